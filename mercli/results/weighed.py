"""What a head weighs: gates and attention of segments, averaged per row (a class or a segment), and their pictures.

A head's extras that are never negative are weights. Vectors (n) and tables (a, n) become rows beside each other, maps
(heads, n, m) the mean over their heads. Axes whose lengths differ between segments are brought to ``STEPS`` steps of
relative time before they are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import STYLE, headed, render

STEPS = 24
PANELS = 8
"""Tables of which more are averaged to one."""
MOST = 24
"""Rows that are drawn."""
Weights = NDArray[np.float64]


def averaged(found: Mapping[str, Sequence[Weights]]) -> dict[str, Weights]:
    """Return the mean of each row's weights, all of one shape: (n,), (a, n) or (n, m)."""
    every = [weights for row in found.values() for weights in row]
    every = [weights.mean(0) if weights.ndim == 3 else weights for weights in every]
    maps = any(weights.ndim == 3 for row in found.values() for weights in row)
    shapes = {weights.shape for weights in every}
    axes = range(every[0].ndim) if maps else [every[0].ndim - 1]
    steps = {axis: STEPS for axis in axes if len({shape[axis] for shape in shapes}) > 1}
    means, at = {}, 0
    for name, row in found.items():
        own, at = every[at : at + len(row)], at + len(row)
        means[name] = np.mean([_stretched(weights, steps) for weights in own], 0)
    return means


def _stretched(weights: Weights, steps: Mapping[int, int]) -> Weights:
    """Return weights whose axes are read at so many places, evenly from their first to their last."""
    for axis, count in steps.items():
        places = np.linspace(0, weights.shape[axis] - 1, count)
        here = np.arange(weights.shape[axis])
        lines = np.moveaxis(weights, axis, -1)
        read = [np.interp(places, here, line) for line in lines.reshape(-1, len(here))]
        weights = np.moveaxis(np.reshape(read, (*lines.shape[:-1], count)), -1, axis)
    return weights


def said(title: str, means: Mapping[str, Weights]) -> str:
    """Return what a picture shows: how large the weights are, and the row whose weights vary most."""
    every = np.concatenate([weights.reshape(-1) for weights in means.values()])
    widest = max(means, key=lambda name: float(np.ptp(means[name])))
    low, high = float(means[widest].min()), float(means[widest].max())
    return (
        f"{title}: mean weights are {every.min():.3f} to {every.max():.3f} ({every.mean():.3f} in the mean); "
        f"they vary most for {widest}, from {low:.3f} to {high:.3f}."
    )


def picture(
    means: Mapping[str, Weights],
    labels: Sequence[str],
    axes: tuple[str, str],
    title: str,
    tables: Sequence[str] = (),
    *,
    maps: bool,
) -> dict[str, bytes]:
    """Return PNG and SVG: a map per row, or all rows in one panel per table; one scale for all.

    ``labels`` name the columns (n,), ``tables`` the tables (a,) where these have names; ``axes`` are what the axes of
    a map are.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = dict(list(means.items())[:MOST])
    panels = rows if maps else _tables(rows, tables)
    high = max(float(np.max(values)) for values in panels.values())
    columns = min(len(panels), 4) if maps else 1 if len(panels) in (1, 3) else 2
    lines = (len(panels) + columns - 1) // columns
    side = (2.7, 2.5) if maps else (4.4 if columns > 1 else 6.8, 0.3 * len(rows) + 1.0)
    with rc_context(STYLE):
        figure = Figure((max(5.0, side[0] * columns + 1.2), side[1] * lines + 0.8), layout="constrained")
        grid = list(figure.subplots(lines, columns, squeeze=False).flat)
        for place, (axis, (name, values)) in enumerate(zip(grid, panels.items(), strict=False)):
            image = axis.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=high, interpolation="nearest")
            axis.set_title(name, loc="left", fontsize=9)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            if maps:
                axis.tick_params(labelsize=7)
            else:
                _name_rows(axis, list(rows), labels, first=place % columns == 0)
        for axis in grid[len(panels) :]:
            axis.set_axis_off()
        figure.supxlabel(axes[1], fontsize=9)
        if maps:
            figure.supylabel(axes[0], fontsize=9)
        figure.colorbar(image, ax=grid, shrink=0.9, label="mean weight")
        headed(figure, title)
        return render(figure)


def _name_rows(axes: Any, names: Sequence[str], labels: Sequence[str], *, first: bool) -> None:
    axes.set_yticks(range(len(names)), names if first else [""] * len(names))
    if labels:
        axes.set_xticks(range(len(labels)), labels)


def _tables(rows: Mapping[str, Weights], names: Sequence[str]) -> dict[str, Weights]:
    """Return the rows beside each other: one panel (rows, n), or one of each of the a tables."""
    stacked = np.stack(list(rows.values()))
    if stacked.ndim == 2:
        return {"": stacked}
    if stacked.shape[1] > PANELS:
        return {f"mean of {stacked.shape[1]}": stacked.mean(1)}
    names = names or [f"{number + 1} of {stacked.shape[1]}" for number in range(stacked.shape[1])]
    return {name: stacked[:, number] for number, name in enumerate(names)}
