"""Answers in values beside their targets, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.results.style import STYLE, gridded, headed, render, series


def said(title: str, dimensions: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: by how much answers are off in each dimension, and to which side."""
    parts = [f"{row['dimension']} is off by {row['mean distance']:.2f} ({_side(row)})" for row in dimensions]
    return f"{title}: on average {', '.join(parts)}."


def _side(row: Mapping[str, Any]) -> str:
    off = row["mean difference"]
    return f"{abs(off):.2f} too {'high' if off > 0 else 'low'}"


def picture(rows: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a panel a dimension, each segment's answer over its target, the diagonal what is right.

    Rows: dimension, group, target, answer; corpora have colours of their own.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    groups = sorted({row["group"] for row in rows})
    with rc_context(STYLE):
        figure = Figure((3.2 * len(names) + 0.6, 3.9), layout="constrained")
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            own = [row for row in rows if row["dimension"] == name]
            ends = [value for row in own for value in (row["target"], row["answer"])]
            axes.plot([min(ends), max(ends)], [min(ends), max(ends)], "--", color="#7F7F7F", linewidth=1)
            for place, group in enumerate(groups):
                points = [(row["target"], row["answer"]) for row in own if row["group"] == group]
                axes.plot(*zip(*points, strict=True), "o", color=series(place), alpha=0.6, markersize=4, label=group)
            axes.set(xlabel=f"target: {name}", ylabel="answer")
            gridded(axes)
        handles, labels = panels[0].get_legend_handles_labels()
        headed(figure, title)
        figure.legend(handles, labels, loc="outside lower center", ncols=6)
        return render(figure)
