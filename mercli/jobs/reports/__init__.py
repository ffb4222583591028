"""The kinds of report: each is one function that reads a run and returns one ``Section``, and writes nothing."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.results.section import Section
from mercli.types import SchemeKind

EVERY: tuple[SchemeKind, ...] = ("one-of", "many-of", "values")
KINDS: Mapping[str, tuple[SchemeKind, ...]] = {
    "loco": EVERY,
    "classes": EVERY,
    "confusion": ("one-of",),
    "calibration": ("one-of", "many-of"),
    "modalities": ("one-of",),
    "groups": EVERY,
    "errors": EVERY,
    "projection": ("one-of",),
    "gates": ("one-of",),
    "distribution": EVERY,
    "curves": EVERY,
    "cost": EVERY,
    "compare": ("one-of",),
}
"""Every kind, named as its module and function, in the order in which a page has them, and which label schemes it
serves.
"""
REOPENED = ("modalities", "projection", "gates")
"""Kinds that ask a run's bundles again: they need its corpora and features where they were."""


def kind(name: str) -> Callable[..., Section]:
    """Return the function of a kind: ``(run, **options)``, two runs for ``compare``.

    It raises ``DataError`` for a run whose answers are in a scheme that the kind does not serve.
    """
    from mercli.jobs.reports.origin import refuse_tuned
    from mercli.jobs.reports.stored import kind_of

    function: Callable[..., Section] = getattr(importlib.import_module(f"{__name__}.{name}"), name)

    def section(*runs: Path, **options: Any) -> Section:
        for run in runs:
            refuse_tuned(run)
            own = kind_of(run)
            if own not in KINDS[name]:
                raise DataError(
                    f"run '{run.name}' answers in a {own} scheme, and {name} is for {' and '.join(KINDS[name])} ones",
                    f"mer report classes {shlex.quote(str(run))}",
                )
        return function(*runs, **options)

    return section
