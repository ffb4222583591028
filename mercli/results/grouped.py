"""Figures of groups of answers (speakers, sexes, corpora, ...) with clustered intervals, ranked where large enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.labels import WORDS
from mercli.results.classes import Clusters, figures, tallies
from mercli.results.stats import redrawn
from mercli.results.style import STYLE, gridded, headed, render, series

FIGURES: Mapping[str, tuple[str, ...]] = {
    "one-of": ("uar", "accuracy"),
    "many-of": ("weighted_accuracy", "f1"),
    "values": ("ccc", "pearson"),
}
"""The two figures that groups have in each kind of label scheme; they are ranked by the first."""
DRAWN = 20
"""Groups of one kind that are drawn: the best and the worst."""


def measured(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], clusters: Clusters, classes: int, *, draws: int = 1000
) -> dict[str, Any]:
    """Return UAR and accuracy of answers (N,) with 95 % intervals (``None`` for one cluster), and their numbers."""
    counts = tallies(targets, predicted, clusters, classes)
    drawn = redrawn(counts, draws, 0) if len(counts) > 1 else None
    found: dict[str, Any] = {
        "answers": len(targets),
        "clusters": len(counts),
        "classes": int((counts.sum(0)[1] > 0).sum()),
    }
    for name, figure in (("uar", _uar), ("accuracy", _accuracy)):
        found[name] = float(figure(counts.sum(0)))
        found[f"{name}_interval"] = None if drawn is None else np.quantile(figure(drawn), [0.025, 0.975]).tolist()
    return found


def _uar(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanmean(figures(counts)[..., 1, :], -1))


def _accuracy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(counts[..., 0, :].sum(-1) / counts[..., 1, :].sum(-1))


def said(title: str, kinds: Mapping[str, Sequence[Mapping[str, Any]]], main: str = "uar") -> str:
    """Return what a picture shows: the best and the worst group of each kind that has several, by the main figure."""
    parts = [
        f"by {kind}, best is {rows[0]['name']} ({rows[0][main]:.2f}), worst {rows[-1]['name']} ({rows[-1][main]:.2f})"
        for kind, rows in kinds.items()
        if len(rows) > 1
    ]
    return f"{title}, {WORDS[main]}: {'; '.join(parts) or 'no kind has two groups that are large enough'}."


def picture(
    kinds: Mapping[str, Sequence[Mapping[str, Any]]], title: str, names: tuple[str, ...] = FIGURES["one-of"]
) -> dict[str, bytes]:
    """Return PNG and SVG: a panel per kind of group, two figures of each with their intervals, best first."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    chosen = {kind: _extremes(rows) for kind, rows in kinds.items()}
    heights = [0.34 * len(rows) + 0.5 for rows in chosen.values()]
    with rc_context(STYLE):
        figure = Figure((7.0, sum(heights) + 1.4), layout="constrained")
        panels = figure.subplots(len(chosen), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (kind, rows) in zip(panels, chosen.items(), strict=True):
            for place, (name, marker) in enumerate(zip(names, "os", strict=True)):
                for at, row in enumerate(rows):
                    if row[name] is None:
                        continue
                    height = at + 0.26 * (place - 0.5)
                    low, high = row[f"{name}_interval"] or (row[name], row[name])
                    axes.plot([low, high], [height, height], color=series(place), linewidth=1.2)
                    axes.plot(row[name], height, marker, color=series(place), markersize=5)
            shown = len(rows) < len(kinds[kind])
            axes.set_title(f"{kind}: best and worst of {len(kinds[kind])}" if shown else kind, loc="left")
            axes.set_yticks(range(len(rows)), [f"{row['name']} ({row['segments']})" for row in rows])
            axes.set_ylim(len(rows) - 0.4, -0.6)
            gridded(axes, "x")
        bounds = [
            bound for rows in chosen.values() for row in rows for n in names for bound in row[f"{n}_interval"] or ()
        ]
        panels[-1].set_xlim(min([-0.02, *(bound - 0.02 for bound in bounds)]), 1.02)
        panels[-1].set_xlabel("figure with clustered 95 % interval (segments in brackets)")
        for place, (name, marker) in enumerate(zip(names, "os", strict=True)):
            panels[-1].plot([], [], marker, color=series(place), label=WORDS[name])
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=2)
        return render(figure)


def _extremes(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    half = DRAWN // 2
    return list(rows) if len(rows) <= DRAWN else [*rows[:half], *rows[-half:]]
