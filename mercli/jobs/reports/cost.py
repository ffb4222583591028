"""``mer report cost``: what a run took, stage by stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs.reports.stored import unfinished
from mercli.results import spent
from mercli.results.section import Picture, Section, Table


def cost(run: Path) -> Section:
    """Return wall and CPU seconds and peak memory of each stage of a run, and how long an epoch took.

    Raises ``DataError`` where the run has noted none.
    """
    made = rundir.noted(run)
    stages: list[dict[str, Any]] = list(made.get("stages", ()))
    if not stages:
        why = "it is in progress, was stopped in its first stage, or was made before costs were noted"
        raise DataError(f"run '{run.name}' has noted no cost ({why})", f"tail '{run / 'log.txt'}'")
    rows = [(*(stage[key] for key in ("stage", "wall_seconds", "cpu_seconds")), *_more(stage)) for stage in stages]
    wall, cpu = (sum(stage[key] for stage in stages) for key in ("wall_seconds", "cpu_seconds"))
    peak = max((stage["peak_bytes"] for stage in stages if stage["peak_bytes"] is not None), default=None)
    most = max((stage.get("worker_peak_bytes", []) for stage in stages), key=lambda own: max(own, default=0))
    total = {"stage": "all", "wall_seconds": wall, "cpu_seconds": cpu, "peak_bytes": peak, "worker_peak_bytes": most}
    rows.append(("all", wall, cpu, *_more(total)))
    title = f"{run.name}: cost"
    picture = Picture("cost", title, spent.said(title, stages), **spent.picture(stages, title))
    columns = ("stage", "wall s", "CPU s", "cores busy", "peak MiB", "workers", "largest worker MiB")
    kept = len(columns) if most else -2
    fits = _fits(run)
    document = {"run": run.name, "platform": made.get("platform"), "stages": stages, "total": total, "fits": fits}
    notes = (*unfinished(run), *_notes(fits, stages))
    return Section(
        "cost",
        "Cost",
        document,
        (Table("cost", "stages", columns[:kept], [row[:kept] for row in rows]),),
        (picture,),
        notes,
    )


def _more(stage: dict[str, Any]) -> tuple[float | None, ...]:
    """Return how many cores were busy in the mean, the peak in MiB, how many workers there were, the largest's peak."""
    busy = stage["cpu_seconds"] / stage["wall_seconds"] if stage["wall_seconds"] else None
    peak = None if stage["peak_bytes"] is None else stage["peak_bytes"] / spent.MIB
    workers = stage.get("worker_peak_bytes")
    return busy, peak, len(workers) if workers else None, max(workers) / spent.MIB if workers else None


def _fits(run: Path) -> dict[str, Any]:
    """Return how many fits and epochs the run has stored, and the most bytes that CUDA held in one."""
    fits, epochs, held = set(), 0, 0
    path = run / "metrics.jsonl"
    for row in rundir.read_lines(path) if path.is_file() else ():
        fits.add(tuple(row.get(key) for key in ("head", "held_out", "seed", "fold")))
        epochs += 1
        held = max(held, row.get("peak_bytes") or 0)
    return {"fits": len(fits), "epochs": epochs, "cuda_peak_bytes": held or None}


def _notes(fits: dict[str, Any], stages: list[dict[str, Any]]) -> Iterator[str]:
    yield "CPU seconds are those of the run and its workers; peak MiB is the main process's own"
    trained = sum(stage["wall_seconds"] for stage in stages if stage["stage"] == "fit")
    if fits["epochs"] and trained:
        yield f"{fits['fits']} fits of {fits['epochs']} epochs: {1000 * trained / fits['epochs']:.0f} ms an epoch"
    if fits["cuda_peak_bytes"]:
        yield f"CUDA held at most {fits['cuda_peak_bytes'] / spent.MIB:.0f} MiB"
