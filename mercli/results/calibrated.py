"""Whether probabilities mean what they say: reliability, calibration error, Brier score, risk against coverage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import STYLE, gridded, headed, render, series

BINS = 10
POINTS = 200


def summary(scores: NDArray[np.float64], targets: NDArray[np.int64]) -> dict[str, Any]:
    """Return ECE, Brier score, AURC, the reliability bins and the risk-coverage curve of (N, K) probabilities.

    The answer is the class of the highest score, its confidence that score. ECE: Naeini et al. 2015, bins of equal
    width; Brier 1950: the squared distance to the one-hot target, summed over classes (0 to 2).
    """
    confidence = scores.max(1)
    right = scores.argmax(1) == targets
    bins = reliability(confidence, right)
    one_hot = np.eye(scores.shape[1])[targets]
    coverage, risk, area = risk_coverage(confidence, right)
    return {
        "answers": len(targets),
        "accuracy": float(right.mean()),
        "confidence": float(confidence.mean()),
        "ece": sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins if row["n"]) / len(targets),
        "brier": float(((scores - one_hot) ** 2).sum(1).mean()),
        "aurc": area,
        "bins": bins,
        "risk_coverage": [{"coverage": c, "risk": r} for c, r in zip(coverage, risk, strict=True)],
    }


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> list[dict[str, Any]]:
    """Return per bin of confidence, closed above, how many answers, their mean confidence and accuracy."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = []
    for index in range(bins):
        own = place == index
        there = bool(own.any())
        rows.append(
            {
                "low": round(float(edges[index]), 6),
                "high": round(float(edges[index + 1]), 6),
                "n": int(own.sum()),
                "confidence": float(confidence[own].mean()) if there else None,
                "accuracy": float(right[own].mean()) if there else None,
            }
        )
    return rows


def risk_coverage(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[list[float], list[float], float]:
    """Return coverages, the share of errors among the most confident so many, and the mean risk (AURC).

    Answers of one confidence come together: their errors count evenly over them (Geifman & El-Yaniv 2017 for the
    curve). At most ``POINTS`` points of the curve are returned, the last at full coverage.
    """
    levels, place = np.unique(-confidence, return_inverse=True)
    sizes = np.bincount(place, minlength=len(levels))
    errors = np.bincount(place, weights=~right, minlength=len(levels))
    count = np.arange(1, len(right) + 1)
    risks = np.cumsum(np.repeat(errors / sizes, sizes)) / count
    kept = np.unique(np.linspace(0, len(right) - 1, min(POINTS, len(right))).round().astype(int))
    return (count[kept] / len(right)).tolist(), risks[kept].tolist(), float(risks.mean())


def said(title: str, found: Mapping[str, Any]) -> str:
    """Return what a picture shows: confidence beside accuracy, and the error that is left at half the answers."""
    off = found["confidence"] - found["accuracy"]
    kind = "too sure" if off > 0 else "not sure enough" if off < 0 else "as sure as right"
    half = next(point["risk"] for point in found["risk_coverage"] if point["coverage"] >= 0.5)
    return (
        f"{title}: answers are {kind} (mean confidence {found['confidence']:.2f}, accuracy {found['accuracy']:.2f}, "
        f"ECE {found['ece']:.3f}); of the surer half {half:.0%} are wrong, of all {1 - found['accuracy']:.0%}."
    )


def picture(found: Mapping[str, Any], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of a summary: the reliability diagram over how many answers, and risk against coverage."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    bins = [row for row in found["bins"] if row["n"]]
    with rc_context(STYLE):
        figure = Figure((9.0, 4.6), layout="constrained")
        grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
        upper, risk = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[:, 1])
        lower = figure.add_subplot(grid[1, 0], sharex=upper)
        upper.plot([0, 1], [0, 1], "--", color="#7F7F7F", linewidth=1, label="calibrated")
        given = [row["confidence"] for row in bins], [row["accuracy"] for row in bins]
        upper.plot(*given, "o-", color=series(0), label="answers", clip_on=False, zorder=3)
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
        upper.tick_params(labelbottom=False)
        upper.set_title(f"ECE {found['ece']:.3f}, Brier {found['brier']:.3f}", loc="left")
        upper.legend(loc="upper left")
        places = [(row["low"] + row["high"]) / 2 for row in bins]
        lower.bar(places, [row["n"] for row in bins], width=0.9 / len(found["bins"]), color=series(0))
        lower.set(xlabel="confidence", ylabel="answers")
        curve = found["risk_coverage"]
        risk.plot([point["coverage"] for point in curve], [point["risk"] for point in curve], color=series(1))
        highest = max(0.05, *(point["risk"] for point in curve))
        risk.set(xlim=(0, 1.01), ylim=(0, 1.05 * highest), xlabel="coverage", ylabel="risk (share of errors)")
        risk.set_title(f"AURC {found['aurc']:.3f}", loc="left")
        for axes in (upper, risk):
            gridded(axes)
        headed(figure, title)
        return render(figure)
