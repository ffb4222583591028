"""docs/performance.md, part by part: a benchmark run with ``--write`` replaces its own part and no other's."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.rundir import provenance, write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
HEAD = """# Performance

Each part was written by the benchmark that it names, run with `--write`, and is replaced when that is run again.

Ratios are of CPU time (user and system, children included) inside one run, in which the cases take turns: load of the
machine falls on all of them alike. A figure is the median over the rounds, its range the lowest and the highest round.
One thread computes unless a line says otherwise. Wall time and memory are named where they are meant.
"""
PART = re.compile(r"<!-- (?P<name>[\w-]+) -->\n(?P<text>.*?)<!-- /(?P=name) -->\n", re.DOTALL)


@dataclass(frozen=True)
class Figure:
    """A line of a part: what was measured against what, with its range over the rounds and what it must be."""

    what: str
    against: str
    measured: str
    range: str = ""
    goal: str = ""


def over(what: str, against: str, top: Sequence[float], bottom: Sequence[float], goal: str) -> Figure:
    """Return the median and range of top over bottom, round by round; below a fifth as one over something."""
    every = [one / other for one, other in zip(top, bottom, strict=True)]
    middle, low, high = statistics.median(every), min(every), max(every)
    if middle < 0.2:
        return Figure(what, against, f"1/{1 / middle:.1f}", f"1/{1 / low:.1f} to 1/{1 / high:.1f}", goal)
    return Figure(what, against, f"{middle:.2f}x", f"{low:.2f} to {high:.2f}", goal)


def grown(what: str, against: str, peaks: Sequence[float], goal: str = "<= 1.15x") -> Figure:
    """Return how peak memory (MB) grows from the first to the last of several sizes."""
    ratio = f"{peaks[-1] / peaks[0]:.2f}x"
    return Figure(f"peak memory: {what}", f"{against}: {peaks[0]:.0f} MB", ratio, goal=goal)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a benchmark's parser, which knows ``--write``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--write", action="store_true", help="replace this benchmark's part of docs/performance.md")
    return parser


def finish(name: str, title: str, figures: Sequence[Figure], facts: Mapping[str, Any], write: bool) -> None:
    """Print figures and facts as one JSON object, and with ``write`` put them into the page."""
    print(json.dumps({"benchmark": name, **facts, "figures": [vars(figure) for figure in figures]}, indent=2))
    if write:
        old = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        write_text(PAGE, page(old, name, part(title, figures, facts)))


def page(old: str, name: str, text: str) -> str:
    """Return the page with this part in the place of what was there under its name; parts come by name."""
    parts = {found["name"]: found["text"] for found in PART.finditer(old)} | {name: text}
    return "\n".join([HEAD, *(f"<!-- {key} -->\n{parts[key]}<!-- /{key} -->\n" for key in sorted(parts))])


def part(title: str, figures: Sequence[Figure], facts: Mapping[str, Any]) -> str:
    """Return a part as Markdown: a table of figures, the facts, and the command, machine and versions."""
    rows = ["| what | against | measured | range | goal |", "|---|---|--:|---|---|"]
    rows += [f"| {f.what} | {f.against} | {f.measured} | {f.range} | {f.goal} |" for f in figures]
    told = [f"- {name}: {_told(value)}" for name, value in facts.items()]
    return "\n".join([f"## {title}", "", *rows, "", *told, f"- command: `{command()}`", f"- {machine()}", ""])


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    return str(value)


def command() -> str:
    """Return the command line of this run; paths, which belong to a machine, by a word alone."""
    words = ["PATH" if os.sep in word else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def machine() -> str:
    """Return processor, cores, load at this moment and versions in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in provenance()["versions"].items())
    load = f"load {os.getloadavg()[1]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    return f"{processor()}, {os.cpu_count()} cores, {load}; Python {platform.python_version()}, {versions}"


def processor() -> str:
    """Return the processor's name, and whether it computes in bf16 by itself."""
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    name = re.search(r"model name\s*: (.*)", told)
    bf16 = " ".join(sorted(set(re.findall(r"\b(?:avx512_bf16|amx_bf16)\b", told)))) or "no bf16"
    return f"{name[1] if name else platform.processor() or platform.machine()} ({bf16})"
