"""The score of one part over seeds, by the figures of its kind of scheme."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.labels import FIGURES
from mercli.results import labelled, metrics, rated, stats
from mercli.types import LabelScheme

Answers = Sequence[NDArray[np.float64]]


def score(scheme: LabelScheme, targets: NDArray[Any], answers: Answers, clusters: Sequence[Hashable]) -> dict[str, Any]:
    """Return figures as means over seeds, the spread of the main one, and its interval clustered as ``clusters`` (N,).

    ``answers`` of each seed (N, K): what is highest for the class, probabilities of labels, or values. ``targets`` are
    class indices (N,) or numbers (N, K).
    """
    own = {"one-of": _classes, "many-of": _labels, "values": _dimensions}[scheme.kind]
    found = own(scheme, targets, answers, clusters)
    return {**found, "clusters": len(set(clusters))}


def _classes(
    scheme: LabelScheme, targets: NDArray[Any], answers: Answers, clusters: Sequence[Hashable]
) -> dict[str, Any]:
    classes = len(scheme.names)
    guesses = [p.argmax(1) for p in answers]
    each = [metrics.uar(targets, guess, classes) for guess in guesses]
    recall = np.mean([metrics.recalls(targets, guess, classes) for guess in guesses], 0)
    low, high = stats.clustered_interval(
        metrics.uar_of, np.tile(targets, len(guesses)), np.concatenate(guesses), [*clusters] * len(guesses), classes
    )
    return {
        **metrics.summary(targets, guesses[0], scheme.names),
        "uar": float(np.mean(each)),
        "uar_seeds": each,
        "uar_spread": float(np.std(each, ddof=1)) if len(each) > 1 else None,
        "uar_interval": None if np.isnan(low) else [low, high],
        "accuracy": float(np.mean([metrics.accuracy(targets, g) for g in guesses])),
        "weighted_f1": float(np.mean([metrics.weighted_f1(targets, g, classes) for g in guesses])),
        "macro_f1": float(np.mean([metrics.macro_f1(targets, g, classes) for g in guesses])),
        "recall": {name: defined(value) for name, value in zip(scheme.names, recall, strict=True)},
    }


def _labels(
    scheme: LabelScheme, targets: NDArray[Any], answers: Answers, clusters: Sequence[Hashable]
) -> dict[str, Any]:
    there = targets > 0
    counts = [labelled.tallies(there, labelled.said(p), clusters) for p in answers]
    each = [labelled.figures(one.sum(0)) for one in counts]
    return {
        "kind": scheme.kind,
        "n": len(targets),
        **_over_seeds(each, labelled.FIGURES),
        "weighted_accuracy_interval": _interval(labelled.main, counts),
        "labels": _by_name(scheme, each, labelled.FIGURES),
        "support": {name: int(count) for name, count in zip(scheme.names, there.sum(0), strict=True)},
    }


def _dimensions(
    scheme: LabelScheme, targets: NDArray[Any], answers: Answers, clusters: Sequence[Hashable]
) -> dict[str, Any]:
    counts = [rated.tallies(targets, values, clusters) for values in answers]
    each = [rated.figures(one.sum(0)) for one in counts]
    found = {
        "kind": scheme.kind,
        "n": len(targets),
        **_over_seeds(each, rated.FIGURES),
        "ccc_interval": _interval(rated.main, counts),
        "dimensions": _by_name(scheme, each, rated.FIGURES),
    }
    if scheme.names == ("sentiment",):
        signs = [rated.sentiment(targets[:, 0], values[:, 0]) for values in answers]
        found["sentiment"] = {name: defined(np.mean([one[name] for one in signs])) for name in signs[0]}
    return found


def _interval(
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]], counts: Sequence[NDArray[np.float64]]
) -> list[float] | None:
    """Return the interval of a figure's mean over seeds, of each seed's tallies: a draw is of one set of clusters."""
    return stats.interval(lambda sums: figure(sums).mean(-1), np.stack(counts, 1))


def _over_seeds(each: Sequence[dict[str, NDArray[np.float64]]], names: Sequence[str]) -> dict[str, Any]:
    """Return every figure's mean over its labels or dimensions and seeds, and of the first the seeds and spread."""
    means = {name: [float(labelled.mean(one[name])) for one in each] for name in names}
    main = names[0]
    return {
        **{name: defined(np.mean(values)) for name, values in means.items()},
        f"{main}_seeds": [defined(value) for value in means[main]],
        f"{main}_spread": defined(np.std(means[main], ddof=1)) if len(each) > 1 else None,
    }


def _by_name(
    scheme: LabelScheme, each: Sequence[dict[str, NDArray[np.float64]]], names: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    return {
        own: {name: defined(np.mean([one[name][place] for one in each])) for name in names}
        for place, own in enumerate(scheme.names)
    }


def main_of(score: Mapping[str, Any]) -> str:
    """Return the name of a score's main figure."""
    return FIGURES[score.get("kind", "one-of")][0]


def rounded(value: float | None) -> float | None:
    """Return a figure to four digits, ``None`` where it is undefined."""
    return None if value is None else round(value, 4)


def defined(value: Any) -> float | None:
    """Return a figure, ``None`` where it is undefined."""
    return None if np.isnan(value) else float(value)
