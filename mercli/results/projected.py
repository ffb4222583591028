"""Vectors projected on a plane: the two directions of largest variance, or UMAP; how far groups stand apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.errors import extra
from mercli.results.style import STYLE, columns, headed, palette, render

METHODS = ("pca", "umap")
COLOURED = 11
"""Groups that have a colour of their own: those with most points."""
VECTORS = 300
"""Points of a panel beyond which an SVG holds them as pixels: as shapes they would take megabytes."""
MARKERS = "osD^vP*X<>h"


@dataclass(frozen=True, eq=False)
class Panel:
    """One projection: points (N, 2) of the segments ``rows``, what the axes hold, and the silhouette of the groups.

    ``held``: the shares of the variance on the two axes (PCA). ``silhouette`` is Rousseeuw's (1987) of the groups in
    the vectors as they are, in -1..1; ``None`` for a single group.
    """

    name: str
    rows: NDArray[np.int64]
    points: NDArray[np.float64]
    held: tuple[float, ...]
    silhouette: float | None


def project(
    name: str, rows: NDArray[np.int64], vectors: NDArray[np.float64], groups: Sequence[str], method: str
) -> Panel:
    """Return the projection of vectors (N, D) of the segments ``rows`` (N,), each in one of ``groups`` (N,)."""
    points, held = _pca(vectors) if method == "pca" else (_umap(vectors), ())
    return Panel(name, rows, points, held, _silhouette(vectors, groups))


def _pca(vectors: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    from sklearn.decomposition import PCA

    axes = min(2, *vectors.shape)
    found = PCA(axes, svd_solver="full")
    points = np.zeros((len(vectors), 2))
    points[:, :axes] = found.fit_transform(vectors)
    return points, tuple(float(share) for share in np.nan_to_num(found.explained_variance_ratio_))


def _umap(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return McInnes et al.'s (2018) layout, the same each time: one seed, one thread."""
    with extra("umap", "the UMAP projection"):
        from umap import UMAP
    found = UMAP(n_neighbors=max(2, min(15, len(vectors) - 1)), random_state=0, n_jobs=1, init="pca")
    return np.asarray(found.fit_transform(vectors), np.float64)


def _silhouette(vectors: NDArray[np.float64], groups: Sequence[str]) -> float | None:
    from sklearn.metrics import silhouette_score

    if not 1 < len(set(groups)) < len(groups):
        return None
    return float(silhouette_score(vectors, np.asarray(groups)))


def said(title: str, panels: Sequence[Panel], colour: str) -> str:
    """Return what a picture shows: how far the groups stand apart in each panel."""
    parts = [
        f"{panel.name} ({len(panel.rows)} segments"
        + (f", silhouette {panel.silhouette:+.2f})" if panel.silhouette is not None else ")")
        for panel in panels
    ]
    return f"{title}, coloured by {colour}: {'; '.join(parts)}. A silhouette near 1 is groups that stand apart."


def picture(panels: Sequence[Panel], groups: Sequence[str], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a panel per projection, each segment a point in the colour and mark of its group (N,)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    common = [name for name, _ in sorted(Counter(groups).items(), key=lambda pair: (-pair[1], pair[0]))[:COLOURED]]
    looks = {name: (colour, MARKERS[at]) for at, (name, colour) in enumerate(palette(sorted(common)).items())}
    across = 2 if len(panels) > 1 else 1
    lines = (len(panels) + across - 1) // across
    with rc_context(STYLE):
        figure = Figure((4.6 * across, 3.9 * lines + 0.9), layout="constrained")
        grid = list(figure.subplots(lines, across, squeeze=False).flat)
        for axes, panel in zip(grid, panels, strict=False):
            _scatter(axes, panel, groups, looks)
        others = len(set(groups)) - len(looks)
        known = [*looks.items(), *([(f"{others} others", ("#BBBBBB", "."))] if others else ())]
        handles = [grid[0].scatter([], [], color=c, marker=m, s=24, label=name) for name, (c, m) in known]
        headed(figure, title)
        if len(grid) > len(panels):
            grid[-1].set_axis_off()
            grid[-1].legend(handles=handles, loc="center", ncols=1)
        else:
            figure.legend(handles=handles, loc="outside lower center", ncols=columns(figure, [*looks], 5))
        return render(figure)


def _scatter(axes: Any, panel: Panel, groups: Sequence[str], looks: Mapping[str, tuple[str, str]]) -> None:
    own = np.asarray([groups[row] for row in panel.rows])
    rest = ~np.isin(own, list(looks))
    look = {"s": float(np.clip(4000 / len(own), 5, 40)), "linewidths": 0, "rasterized": len(own) > VECTORS}
    axes.scatter(*panel.points[rest].T, color="#BBBBBB", marker=".", **look)
    for name, (colour, marker) in looks.items():
        here = own == name
        axes.scatter(*panel.points[here].T, color=colour, marker=marker, alpha=0.8, **look)
    apart = f", silhouette {panel.silhouette:+.2f}" if panel.silhouette is not None else ""
    axes.set_title(f"{panel.name}: {len(own)} segments{apart}", loc="left", fontsize=9)
    for set_label, axis, share in zip((axes.set_xlabel, axes.set_ylabel), (1, 2), panel.held, strict=False):
        set_label(f"axis {axis} ({share:.0%} of the variance)", fontsize=8)
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
