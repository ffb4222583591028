"""Precision, recall and F1 of each class, with intervals clustered as every other figure's, and their picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.stats import bounds, numbered, redrawn
from mercli.results.style import STYLE, gridded, headed, render, series

Clusters = Sequence[Hashable] | NDArray[np.int64]
FIGURES = ("precision", "recall", "f1")
MOST = 60
"""Classes that are drawn: those with most segments."""


def tallies(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], clusters: Clusters, classes: int
) -> NDArray[np.float64]:
    """Return hits, support and times named of each class per cluster (C, 3, K); abstentions (-1) name no class.

    They add as confusion matrices do and are all that these figures need, however many classes there are.
    """
    number = numbered(clusters)
    rows = number.max(initial=-1) + 1
    hit, named = targets == predicted, predicted >= 0
    counts = [
        np.bincount(number[kept] * classes + values[kept], minlength=rows * classes).reshape(-1, classes)
        for kept, values in ((hit, targets), (np.ones_like(hit), targets), (named, predicted))
    ]
    return np.stack(counts, 1).astype(np.float64)


def figures(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return precision, recall and F1 (..., 3, K) of tallies (..., 3, K); NaN where a class gives none."""
    hits, support, named = np.moveaxis(counts, -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([hits / named, hits / support, 2 * hits / (support + named)], -2)


def per_class(
    targets: NDArray[np.int64],
    predicted: NDArray[np.int64],
    clusters: Clusters,
    names: Sequence[str],
    *,
    draws: int = 1000,
) -> list[dict[str, Any]]:
    """Return each class's figures and their 95 % percentile intervals, whole clusters drawn with replacement.

    ``None`` where a figure is undefined (a class that does not occur has no recall), and for intervals of one cluster.
    """
    counts = tallies(targets, predicted, clusters, len(names))
    values = figures(counts.sum(0))
    drawn = figures(redrawn(counts, draws, 0)) if len(counts) > 1 else None
    rows = []
    for index, name in enumerate(names):
        row: dict[str, Any] = {"class": name}
        for place, figure in enumerate(FIGURES):
            value = values[place, index]
            row[figure] = None if np.isnan(value) else float(value)
            row[f"{figure}_interval"] = None if drawn is None or np.isnan(value) else bounds(drawn[:, place, index])
        rows.append(row)
    return rows


def said(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the class that is found best and the one that is found worst."""
    found = sorted((row for row in rows if row["recall"] is not None), key=lambda row: -row["recall"])
    best, worst = (f"{row['class']} (recall {row['recall']:.2f})" for row in (found[0], found[-1]))
    return f"{title}: of {len(found)} classes {best} is found best, {worst} worst."


def picture(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of every class's figures with their intervals; rows as of ``per_class``, with support."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if len(rows) > MOST:
        title = f"{title}: the {MOST} of {len(rows)} classes with most segments"
        rows = sorted(rows, key=lambda row: -row["support"])[:MOST]
    with rc_context(STYLE):
        figure = Figure((6.5, max(2.6, 0.5 * len(rows) + 1.6)), layout="constrained")
        axes = figure.subplots()
        for place, (name, marker) in enumerate(zip(FIGURES, "sod", strict=True)):
            for at, row in enumerate(rows):
                if row[name] is not None:
                    low, high = row[f"{name}_interval"] or (row[name], row[name])
                    height = at + 0.22 * (place - 1)
                    axes.plot([low, high], [height, height], color=series(place), linewidth=1.2)
                    axes.plot(row[name], height, marker, color=series(place), markersize=5)
            axes.plot([], [], marker, color=series(place), label={"f1": "F1"}.get(name, name))
        axes.set_yticks(range(len(rows)), [f"{row['class']} ({row['support']})" for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylabel("class (segments)")
        axes.set_xlabel("figure, with 95 % interval clustered by speaker")
        gridded(axes, "x")
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=3)
        return render(figure)
