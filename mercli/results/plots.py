"""The picture of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import STYLE, render


def confusion(counts: NDArray[np.int64], names: Sequence[str], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of a confusion matrix (K, K): colour is the row's share, text the share and the count."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with rc_context(STYLE):
        side = max(4.0, 0.75 * len(names) + 2.0)
        figure = Figure((side, side * 0.88), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), [f"{n} ({c})" for n, c in zip(names, counts.sum(1), strict=True)])
        axes.set_xlabel("predicted")
        axes.set_ylabel("target (segments)")
        axes.set_title(title, loc="left")
        if len(names) <= 20:
            _write_cells(axes, counts, shares)
        figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
        return render(figure)


def _write_cells(axes: Any, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            colour = "white" if shares[row, column] < 0.55 else "black"
            text = f"{shares[row, column]:.0%}\n{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
