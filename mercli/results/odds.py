"""Whether probabilities of labels that many may hold mean what they say, each label by itself, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import STYLE, gridded, headed, render, series

BINS = 10
CASES = {"": "as they occur", "_even": "at even odds"}
"""A label is looked at as often as it occurs, and with its presence and absence weighing alike, as in training."""


def summary(scores: NDArray[np.float64], there: NDArray[np.bool_], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return each label's share, mean probability, ECE and Brier score of probabilities (N, K), with its bins.

    ECE (Naeini et al. 2015, bins of equal width) and Brier 1950 are of presence, 0 to 1; those ``_even`` weigh presence
    and absence alike, ``None`` for a label that is always or never there.
    """
    return [_label(name, scores[:, place], there[:, place]) for place, name in enumerate(names)]


def _label(name: str, p: NDArray[np.float64], there: NDArray[np.bool_]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "label": name,
        "answers": len(p),
        "share": float(there.mean()),
        "probability": float(p.mean()),
    }
    varied = bool(there.any() and not there.all())
    weights = {
        "": np.ones(len(p)),
        "_even": np.where(there, 0.5 / there.sum(), 0.5 / (~there).sum()) if varied else None,
    }
    for case, weight in weights.items():
        bins = [] if weight is None else _bins(p, there, weight)
        total = 0.0 if weight is None else float(weight.sum())
        off = sum(row["weight"] * abs(row["share"] - row["probability"]) for row in bins)
        found[f"ece{case}"] = None if weight is None else off / total
        found[f"brier{case}"] = None if weight is None else float((weight * (p - there) ** 2).sum() / total)
        found[f"bins{case}"] = bins
    return found


def _bins(p: NDArray[np.float64], there: NDArray[np.bool_], weight: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return the bins of probability, closed above, that hold answers: their weight, mean probability and share."""
    place = np.clip(np.ceil(p * BINS).astype(int) - 1, 0, BINS - 1)
    rows = []
    for index in np.unique(place):
        own = place == index
        total = weight[own].sum()
        means = {"probability": (weight * p)[own].sum() / total, "share": (weight * there)[own].sum() / total}
        rows.append({"weight": float(total), **{key: float(value) for key, value in means.items()}})
    return rows


def said(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the labels whose probabilities are nearest to and farthest from their shares."""
    found = sorted((row for row in rows if row["ece_even"] is not None), key=lambda row: row["ece_even"])
    if not found:
        return f"{title}: every label is always or never there."
    best, worst = (f"{row['label']} (ECE {row['ece_even']:.3f})" for row in (found[0], found[-1]))
    return f"{title}, at even odds: best calibrated is {best}, worst {worst}."


def picture(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of a summary: each label's share over its probability, as they occur and at even odds."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure((9.0, 4.8), layout="constrained")
        for axes, (case, words) in zip(figure.subplots(1, 2, sharey=True), CASES.items(), strict=True):
            axes.plot([0, 1], [0, 1], "--", color="#7F7F7F", linewidth=1)
            for place, row in enumerate(rows):
                bins = row[f"bins{case}"]
                given = [each["probability"] for each in bins], [each["share"] for each in bins]
                axes.plot(*given, "o-", color=series(place), markersize=4, clip_on=False, label=row["label"])
            axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability")
            axes.set_title(words, loc="left")
            gridded(axes)
        figure.axes[0].set_ylabel("share of segments with the label")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        headed(figure, title)
        figure.legend(handles, labels, loc="outside lower center", ncols=7)
        return render(figure)
