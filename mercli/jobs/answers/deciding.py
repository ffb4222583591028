"""Deciding: a bundle's probabilities for a segment under a prior, a transcript's trust, and shares per modality."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import presets
from mercli.errors import ConfigError
from mercli.fusion import readout
from mercli.fusion.bundle import Bundle
from mercli.fusion.calibration import log_softmax
from mercli.results.shares import shapley
from mercli.types import FeatureBundle

LogProbabilities = NDArray[np.float64]


def prior(bundle: Bundle, name: str) -> LogProbabilities | None:
    """Return the log-prior (K,) of ``uniform | train | corpus:NAME | FILE``; ``None`` is uniform.

    Raises ``ConfigError`` for a file that does not give every class a positive number, and for labels of another kind.
    """
    scheme = bundle.card.scheme
    if scheme.kind != "one-of":
        if name == "uniform":
            return None
        raise ConfigError(
            f"--prior '{name}' is for one-of schemes, and bundle '{bundle.card.name}' answers in a {scheme.kind} one",
            "mer predict without --prior",
        )
    known = name.removeprefix("corpus:")
    if name.startswith("corpus:") or name in ("uniform", "train"):
        return bundle.log_prior(known)
    path = Path(name)
    if not path.is_file():
        raise ConfigError(
            f"prior '{name}' is unknown, expected uniform, train, corpus NAME or a file",
            f"mer predict --prior train (corpora of this bundle: {', '.join(bundle.card.priors)})",
        )
    names = bundle.card.scheme.names
    table = _table(path)
    if set(table) != set(names) or not all(_weight(table[n]) for n in names):
        raise ConfigError(f"prior file '{name}' must give a number > 0 for each of {', '.join(names)}")
    values = np.asarray([table[n] for n in names], np.float64)
    return np.log(values / values.sum())


def _table(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else presets.parse(text, str(path))
    except ValueError as fault:  # what json and the decoder of UTF-8 raise
        raise ConfigError(f"prior file '{path}' cannot be read: {fault}") from fault
    return table if isinstance(table, dict) else {}


def _weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value) and value > 0


def probabilities(
    bundle: Bundle,
    features: FeatureBundle,
    log_prior: LogProbabilities | None,
    text_trust: float | None,
    modalities: tuple[str, ...],
) -> NDArray[np.float64]:
    """Return the scores (K,) from ``modalities`` alone; none of them gives the prior, even odds, or a scale's middle.

    A transcript trusted to ``t`` < 1 counts for ``t``: ``log p = t log p(with text) + (1 - t) log p(without)``;
    log-odds and values are averaged likewise.
    """
    scheme = bundle.card.scheme
    unknown = readout.unknown(scheme)
    log_p = bundle.log_probabilities([features], modalities)[0] if modalities else unknown
    if text_trust is not None and text_trust < 1 and "text" in modalities:
        others = tuple(m for m in modalities if m != "text")
        without = bundle.log_probabilities([features], others)[0] if others else unknown
        log_p = text_trust * log_p + (1 - text_trust) * without
        log_p = log_softmax(log_p) if scheme.kind == "one-of" else log_p
    return readout.scores(log_p, scheme, log_prior)


def refuse(bundle: Bundle, *, explain: bool, abstain: float) -> None:
    """Raise ``ConfigError`` for an option that asks of a bundle's answers what labels of their kind have not."""
    scheme = bundle.card.scheme
    asked = {"--explain": explain and scheme.kind == "values", "--abstain": abstain > 0 and scheme.kind != "one-of"}
    for option, refused in asked.items():
        if refused:
            raise ConfigError(
                f"{option} needs the probability of one answer, and bundle '{bundle.card.name}' answers in a "
                f"{scheme.kind} scheme",
                f"mer predict without {option}",
            )


def alone(
    bundle: Bundle,
    features: FeatureBundle,
    log_prior: LogProbabilities | None,
    text_trust: float | None,
    present: tuple[str, ...],
) -> dict[str, dict[str, float]]:
    """Return the scores of the answer that each modality gives with the others masked, prior and trust unchanged."""
    return {m: named(bundle, probabilities(bundle, features, log_prior, text_trust, (m,))) for m in present}


def named(bundle: Bundle, scores: NDArray[np.float64]) -> dict[str, float]:
    """Return scores (K,) by class name, to six digits."""
    return {name: round(float(p), 6) for name, p in zip(bundle.card.scheme.names, scores, strict=True)}


def shares(
    bundle: Bundle,
    features: FeatureBundle,
    log_prior: LogProbabilities | None,
    text_trust: float | None,
    present: tuple[str, ...],
    chosen: int,
) -> dict[str, float]:
    """Return how much each modality moved the probability of class ``chosen`` away from the prior (exact Shapley)."""
    exact = shapley(
        present, lambda subset: float(probabilities(bundle, features, log_prior, text_trust, subset)[chosen])
    )
    return {modality: round(value, 6) for modality, value in exact.items()}
