"""Figures of labels, dimensions or corpora side by side with their intervals, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mercli.labels import WORDS
from mercli.results import labelled, rated
from mercli.results.scored import defined
from mercli.results.stats import bounds, redrawn
from mercli.results.style import STYLE, gridded, headed, render, series
from mercli.types import SchemeKind

Figures = dict[str, NDArray[np.float64]]
DRAWN: Mapping[str, tuple[str, ...]] = {
    "many-of": ("weighted_accuracy", "precision", "recall", "f1"),
    "values": ("ccc", "pearson"),
}
"""The figures that are drawn: those on a scale that all of them share."""


class Answered(NamedTuple):
    """Targets (N, K), the answers (N, K) to them in a kind of scheme, and whose cluster and seed (N,) each is of."""

    kind: SchemeKind
    wanted: NDArray[np.float64]
    scores: NDArray[np.float64]
    clusters: Any
    seeds: Any


def tallies(
    kind: SchemeKind, wanted: NDArray[np.float64], scores: NDArray[np.float64], clusters: Any, seeds: Any
) -> NDArray[np.float64]:
    """Return per cluster and seed (C, S, ..., K) what the figures of answers (N, K) to targets (N, K) need.

    ``clusters`` and ``seeds`` (N,) are whose answer it is; tallies of a scheme's kind are as its module counts them.
    """
    (_, cluster), (_, seed) = (np.unique(numbers, return_inverse=True) for numbers in (clusters, seeds))
    shape = (cluster.max(initial=-1) + 1, seed.max(initial=-1) + 1)
    cells = np.ravel_multi_index((cluster, seed), shape)
    if kind == "values":
        counts = rated.tallies(wanted, scores, cells)
    else:
        counts = labelled.tallies(wanted > 0, labelled.said(scores), cells)
    found = np.zeros((shape[0] * shape[1], *counts.shape[1:]))
    found[list(dict.fromkeys(cells.tolist()))] = counts  # tallies are in the order in which cells first occur
    return found.reshape(*shape, *counts.shape[1:])


def figures(kind: SchemeKind, counts: NDArray[np.float64]) -> Figures:
    """Return every figure of each label or dimension (..., K) of summed tallies."""
    return rated.figures(counts) if kind == "values" else labelled.figures(counts)


def each(answers: Answered, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return each label's or dimension's figures, means over seeds, and their 95 % intervals, whole clusters drawn.

    ``None`` where a figure is undefined, and for intervals of one cluster.
    """
    _, values, drawn = _drawn(answers)
    return [
        {"name": name}
        | {figure: defined(value[:, place].mean()) for figure, value in values.items()}
        | {
            f"{figure}_interval": None if drawn is None else bounds(drawn[figure][..., place].mean(-1))
            for figure in values
        }
        for place, name in enumerate(names)
    ]


def mean(answers: Answered, names: Sequence[str]) -> dict[str, Any]:
    """Return these figures, each seed's mean over the labels or dimensions that define it and then that over seeds.

    With their intervals, whole clusters drawn.
    """
    count, values, drawn = _drawn(answers)
    found: dict[str, Any] = {"answers": len(answers.wanted), "clusters": count}
    for name in names:
        found[name] = defined(labelled.mean(values[name]).mean())
        found[f"{name}_interval"] = None if drawn is None else bounds(labelled.mean(drawn[name]).mean(-1))
    return found


def _drawn(answers: Answered) -> tuple[int, Figures, Figures | None]:
    """Return how many clusters there are, the figures (S, K), and those of 1000 draws (D, S, K) of two or more."""
    counts = tallies(*answers)
    drawn = figures(answers.kind, redrawn(counts, 1000, 0)) if len(counts) > 1 else None
    return len(counts), figures(answers.kind, counts.sum(0)), drawn


def said(title: str, rows: Sequence[Mapping[str, Any]], figure: str) -> str:
    """Return what a picture shows: which row has the best figure and which the worst."""
    found = sorted((row for row in rows if row[figure] is not None), key=lambda row: -row[figure])
    if not found:
        return f"{title}: no {WORDS[figure]} is defined."
    best, worst = (f"{row['name']} ({WORDS[figure]} {row[figure]:.2f})" for row in (found[0], found[-1]))
    return f"{title}: best is {best}" + (f", worst {worst}." if len(found) > 1 else ".")


def picture(rows: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a line a row (name, figures and their intervals), a mark for each figure of ``names``."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure((6.5, 0.5 * len(rows) + 1.6), layout="constrained")
        axes = figure.subplots()
        for place, (name, marker) in enumerate(zip(names, "sodv", strict=False)):
            for at, row in enumerate(rows):
                if row[name] is not None:
                    low, high = row[f"{name}_interval"] or (row[name], row[name])
                    height = at + 0.18 * (place - (len(names) - 1) / 2)
                    axes.plot([low, high], [height, height], color=series(place), linewidth=1.2)
                    axes.plot(row[name], height, marker, color=series(place), markersize=5)
            axes.plot([], [], marker, color=series(place), label=WORDS[name])
        axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        lowest = min((bound for row in rows for name in names for bound in row[f"{name}_interval"] or ()), default=0.0)
        axes.set_xlim(min(-0.02, lowest - 0.02), 1.02)
        axes.set_xlabel("figure, with 95 % interval clustered by speaker")
        gridded(axes, "x")
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=4)
        return render(figure)
