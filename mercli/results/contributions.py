"""What each modality contributes: scores of every subset of them, and exact Shapley shares of two games.

The worth of a subset is a class's recall (``uar``: the mean over classes is the UAR), or the mean log-probability of
the targets (``likelihood``). A segment that has none of a subset is answered by chance: each class with 1 / K.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.shares import shapley
from mercli.results.stats import numbered, redrawn
from mercli.results.style import STYLE, gridded, headed, render, series

Subset = tuple[str, ...]
MOST = 20
"""Classes whose shares are drawn."""
GAMES = {"uar": "UAR", "likelihood": "log-likelihood"}


@dataclass(frozen=True, eq=False)
class Answers:
    """What every subset of modalities answers to N segments, the empty one included.

    ``targets`` (N,) of K classes; ``hits`` {subset: (N,)} the chance that the answer is right, 0 or 1 but where a
    segment has none of the subset; ``log_p`` {subset: (N,)} the log-probability of the target; ``answered`` {subset:
    how many segments have any of it}.
    """

    modalities: Subset
    names: Sequence[str]
    targets: NDArray[np.int64]
    clusters: Sequence[Hashable]
    hits: Mapping[Subset, NDArray[np.float64]]
    log_p: Mapping[Subset, NDArray[np.float64]]
    answered: Mapping[Subset, int]


def subsets(modalities: Sequence[str]) -> list[Subset]:
    """Return every subset, the empty one first and all of them last, in the modalities' order."""
    return [subset for size in range(len(modalities) + 1) for subset in combinations(modalities, size)]


def chance(count: int, classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return hits and log-probabilities (N,) of answers by chance."""
    return np.full(count, 1 / classes), np.full(count, -np.log(classes))


def worth(answers: Answers, game: str, subset: Subset, kept: NDArray[np.bool_]) -> float:
    """Return what a subset is worth on the segments ``kept`` (N,) of one class."""
    return float((answers.hits if game == "uar" else answers.log_p)[subset][kept].mean())


def shares(answers: Answers, game: str) -> list[dict[str, Any]]:
    """Return each class's exact Shapley shares, and those of all: for ``uar`` the classes' mean, else the segments'.

    The share of a class is the mean of its segments' shares, since shares are linear in the worth.
    """
    rows: list[dict[str, Any]] = []
    there = np.unique(answers.targets)
    for number in there:
        kept = answers.targets == number
        found = shapley(answers.modalities, lambda subset, k=kept: worth(answers, game, subset, k))  # type: ignore[misc]
        rows.append({"class": answers.names[number], "segments": int(kept.sum()), "shares": found})
    weights = [1.0 if game == "uar" else float((answers.targets == number).mean()) for number in there]
    mean = {m: float(np.average([row["shares"][m] for row in rows], weights=weights)) for m in answers.modalities}
    return [*rows, {"class": "all", "segments": len(answers.targets), "shares": mean}]


def scores(answers: Answers, *, draws: int = 1000) -> list[dict[str, Any]]:
    """Return each subset's UAR with its interval clustered by speaker, accuracy and mean log-likelihood.

    ``against_all`` is the difference of UAR from that of all modalities; ``answered`` counts the segments that have
    any of the subset.
    """
    whole = _uar(_tallies(answers, answers.modalities).sum(0))
    rows = []
    for subset in subsets(answers.modalities):
        tallies = _tallies(answers, subset)
        uar = float(_uar(tallies.sum(0)))
        drawn = _uar(redrawn(tallies, draws, 0)) if len(tallies) > 1 else None
        rows.append(
            {
                "modalities": list(subset),
                "answered": answers.answered[subset],
                "uar": uar,
                "uar_interval": None if drawn is None else np.quantile(drawn, [0.025, 0.975]).tolist(),
                "accuracy": float(answers.hits[subset].mean()),
                "log_likelihood": float(answers.log_p[subset].mean()),
                "against_all": uar - float(whole),
            }
        )
    return rows


def _tallies(answers: Answers, subset: Subset) -> NDArray[np.float64]:
    """Return hits and support (C, 2, K) of each class per cluster."""
    number, classes = numbered(answers.clusters), len(answers.names)
    cells = number * classes + answers.targets
    counts = [
        np.bincount(cells, weights=weights, minlength=(number.max(initial=-1) + 1) * classes).reshape(-1, classes)
        for weights in (answers.hits[subset], None)
    ]
    return np.stack(counts, 1).astype(np.float64)


def _uar(tallies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean recall over the classes that occur, of tallies (..., 2, K)."""
    hits, support = np.moveaxis(tallies, -2, 0)
    with np.errstate(invalid="ignore"):
        return np.nanmean(hits / support, -1)


def named(subset: Sequence[str]) -> str:
    """Return how a subset is called."""
    return " + ".join(subset) or "none (chance)"


def said(title: str, rows: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], game: str) -> str:
    """Return what a picture shows: the best subset beside all of them, and the modality with the largest share."""
    best, whole = max(rows, key=lambda row: row["uar"]), rows[-1]
    shared = found[-1]["shares"]
    largest = max(shared, key=lambda modality: shared[modality])
    return (
        f"{title}: all modalities have a UAR of {whole['uar']:.2f}, the best subset is {named(best['modalities'])} "
        f"with {best['uar']:.2f}; the largest share of {GAMES[game]} is that of {largest} ({shared[largest]:+.2f})."
    )


def picture(
    rows: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], game: str, title: str
) -> dict[str, bytes]:
    """Return PNG and SVG: every subset's UAR with its interval (rows of ``scores``), and each class's ``shares``."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    modalities = list(found[-1]["shares"])
    if len(found) > MOST:
        title = f"{title}: shares of the {MOST} of {len(found) - 1} classes with most segments"
        found = [*sorted(found[:-1], key=lambda row: -row["segments"])[:MOST], found[-1]]
    with rc_context(STYLE):
        height = max(3.6, 0.2 * len(found) * (len(modalities) + 1) * 0.8 + 1.4)
        figure = Figure((10.0, min(24.0, height)), layout="constrained")
        left, right = figure.subplots(1, 2)
        _scores(left, rows)
        for place, modality in enumerate(modalities):
            heights = np.arange(len(found)) + (place - (len(modalities) - 1) / 2) * 0.26
            values = [row["shares"][modality] for row in found]
            right.barh(heights, values, height=0.24, color=series(place), label=modality)
        right.set_yticks(range(len(found)), [f"{row['class']} ({row['segments']})" for row in found])
        right.set_ylim(len(found) - 0.4, -0.6)
        right.axvline(0, color="black", linewidth=0.8)
        right.set_xlabel(f"exact Shapley share of {GAMES[game]}, against chance")
        right.set_ylabel("class (segments)")
        gridded(right, "x")
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=len(modalities))
        return render(figure)


def _scores(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        low, high = row["uar_interval"] or (row["uar"], row["uar"])
        axes.plot([low, high], [place, place], color=series(0), linewidth=1.5)
        axes.plot(row["uar"], place, "o", color="black" if not row["modalities"] else series(0), markersize=6)
    axes.axvline(rows[0]["uar"], color="#7F7F7F", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(rows)), [named(row["modalities"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("UAR with 95 % interval clustered by speaker")
    gridded(axes, "x")
