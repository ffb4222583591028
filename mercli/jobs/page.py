"""``mer report page``: every kind of report that applies to a run, on one page; several runs one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.errors import DataError, PluginError
from mercli.jobs import reports
from mercli.jobs.reports import origin
from mercli.jobs.reports.summary import summary
from mercli.results import page as pages
from mercli.results.section import Section

PAIRED = "compare"


@dataclass(frozen=True)
class Page:
    """The file, and what each run's part holds and leaves out: ``{run, sections, left_out {kind: reason}}``."""

    file: Path
    parts: list[dict[str, Any]]


def page(runs: Path, names: Sequence[str], output: Path | None) -> Page:
    """Write a page on runs found by name or path (the newest if none), into the first one's report unless told.

    The first run is compared with each other. A kind that a run has not the data or packages for is left out, with the
    reason on the page. Raises ``DataError`` where a run is not there, or where no kind applies to it.
    """
    found = [rundir.find(runs, name) for name in names] or [rundir.find(runs, apart=origin.TUNED)]
    for run in found:
        origin.refuse_tuned(run)
    if output and output.is_dir():
        raise DataError(f"'{output}' is a folder, expected the name of a file", f"-o {output / 'report.html'}")
    parts = [_part(run, found[0] if number else None) for number, run in enumerate(found)]
    path = output or found[0] / "report" / "page.html"
    rundir.write_text(path, pages.render(parts))
    told: list[dict[str, Any]] = [
        {"run": part.name, "sections": [each.kind for each in part.sections], "left_out": dict(part.left_out)}
        for part in parts
    ]
    return Page(path, told)


def _part(run: Path, first: Path | None) -> pages.Part:
    head = summary(run)
    sections, without = _sections(run, first)
    if not sections:
        raise DataError(f"run '{run.name}' has nothing to report: {'; '.join(without.values())}", f"ls '{run}'")
    left_out = [*head.left_out, *((f"report {kind}", reason) for kind, reason in without.items())]
    return pages.Part(run.name, head.title, head.facts, head.main, head.notes, sections, left_out)


def _sections(run: Path, first: Path | None) -> tuple[list[Section], dict[str, str]]:
    """Return the kinds that apply, and why the others do not."""
    sections, without = [], {}
    for kind in reports.KINDS:
        if kind == PAIRED and first is None:
            continue
        given = (first, run) if kind == PAIRED else (run,)
        try:
            if kind in reports.REOPENED:
                origin.settings(run)
            sections.append(reports.kind(kind)(*given))
        except (DataError, PluginError) as fault:
            without[kind] = fault.message
    return sections, without
