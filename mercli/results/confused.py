"""Confusion matrices: shares of rows, the most frequent pairs, the picture and what is to be seen in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import INK, STYLE, headed, render

LARGEST = 30
"""Classes up to which a matrix can be read; more are a list of pairs."""
WRITTEN = 14
"""Classes up to which cells have room for their numbers."""
PAIRS = 20


def shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row of counts (K, K) as shares of its sum; a row without counts is zeros."""
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def pairs(counts: NDArray[np.int64], names: Sequence[str], most: int = PAIRS) -> list[dict[str, Any]]:
    """Return the most frequent mistakes of counts (K, K): target, answer, how many, and what share of the target's."""
    wrong = counts - np.diag(counts.diagonal())
    share = shares(counts)
    order = np.lexsort((np.arange(wrong.size), -share.reshape(-1), -wrong.reshape(-1)))[:most]
    places = [divmod(int(place), len(names)) for place in order]
    return [
        {
            "target": names[row],
            "answer": names[column],
            "count": int(wrong[row, column]),
            "share": float(share[row, column]),
        }
        for row, column in places
        if wrong[row, column]
    ]


def said(title: str, matrix: Mapping[str, Any]) -> str:
    """Return what a picture shows: how many answers are right, and the most frequent confusion."""
    counts = np.asarray(matrix["counts"])
    right = f"{title}: {counts.trace()} of {counts.sum()} answers are right"
    if not matrix["pairs"]:
        return f"{right}."
    worst = matrix["pairs"][0]
    taken = f"{worst['target']} is most often taken for {worst['answer']}"
    return f"{right}; {taken} ({worst['count']} times, {worst['share']:.0%} of its answers)."


def picture(counts: NDArray[np.int64], names: Sequence[str], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of a confusion matrix (K, K): colour is the row's share, text the share and the count."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    share = shares(counts)
    with rc_context(STYLE):
        side = max(4.2, (0.62 if len(names) <= WRITTEN else 0.26) * len(names) + 2.0)
        figure = Figure((side + 1.0, side), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(share, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), [f"{n} ({c})" for n, c in zip(names, counts.sum(1), strict=True)])
        axes.set_xlabel("answer")
        axes.set_ylabel("target (answers)")
        if len(names) <= WRITTEN:
            _write_cells(axes, counts, share)
        figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
        headed(figure, title)
        return render(figure)


def _write_cells(axes: Any, counts: NDArray[np.int64], share: NDArray[np.float64]) -> None:
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            colour = "white" if share[row, column] < 0.5 else INK
            text = f"{share[row, column]:.0%}\n{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
