"""What a head's K logits say under a label scheme: calibrated, as scores, and as a label.

Calibrated numbers can be averaged: log-probabilities of one-of schemes under a uniform prior, log-odds of many-of ones,
values on their scale. Scores are made of them last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from mercli.fusion import calibration
from mercli.labels import THRESHOLD
from mercli.types import LabelScheme

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float64]
Temperature = float | tuple[float, ...]
T = TypeVar("T", NDArray[np.float64], "torch.Tensor")
NOTHING = "none"


def scaled(logits: T, scheme: LabelScheme) -> T:
    """Return the values of logits (..., K) that are -1 to 1 for ``low`` to ``high``, clipped to that scale."""
    assert scheme.low is not None
    assert scheme.high is not None
    half = (scheme.high - scheme.low) / 2
    return (scheme.low + half * (logits + 1)).clip(scheme.low, scheme.high)


def temperature(
    logits: Floats, targets: NDArray[np.generic], scheme: LabelScheme, offset: Floats | float = 0.0
) -> Temperature:
    """Return what divides logits (N, K) so that they fit held-out targets best: one T, one a label; 1 for values.

    ``offset``: what training took off the logits: log-priors (N, K) of classes, log-odds (K,) of labels.
    """
    if scheme.kind == "one-of":
        return calibration.temperature(logits, targets.astype(np.int64), offset)
    if scheme.kind == "values":
        return 1.0
    shift = np.broadcast_to(offset, len(scheme.names))
    columns = zip(logits.T, targets.T, shift, strict=True)
    return tuple(calibration.of_label(column, there > 0, float(own)) for column, there, own in columns)


def calibrated(
    logits: Floats, scheme: LabelScheme, temperature_: Temperature, held_prior: Sequence[float] = ()
) -> Floats:
    """Return the calibrated numbers (N, K) of logits; ``held_prior`` (K,): the class frequencies that they hold."""
    if scheme.kind == "one-of":
        return calibration.uniform(logits, temperature_, held_prior)  # type: ignore[arg-type]  # one for all classes
    return scaled(logits, scheme) if scheme.kind == "values" else logits / np.asarray(temperature_)


def scores(numbers: Floats, scheme: LabelScheme, log_prior: Floats | None = None) -> Floats:
    """Return probabilities or values (..., K) of calibrated numbers; classes under ``log_prior``, else uniform."""
    if scheme.kind == "one-of":
        return calibration.with_prior(numbers, log_prior)
    return numbers if scheme.kind == "values" else 0.5 * (1 + np.tanh(numbers / 2))


def shown(numbers: Floats, scheme: LabelScheme) -> Floats:
    """Return the scores (N, K) that answers to test parts are told with: classes under uniform priors."""
    return np.exp(numbers) if scheme.kind == "one-of" else scores(numbers, scheme)


def unknown(scheme: LabelScheme) -> Floats:
    """Return the calibrated numbers (K,) of who has seen nothing: classes alike, even odds, the middle of a scale."""
    return np.full(len(scheme.names), ((scheme.low or 0.0) + (scheme.high or 0.0)) / 2)


def label(row: Floats, scheme: LabelScheme) -> str | None:
    """Return the label of scores (K,): the name of the highest, the names that hold, ``None`` of values."""
    if scheme.kind == "values":
        return None
    if scheme.kind == "one-of":
        return scheme.names[int(row.argmax())]
    return "+".join(name for name, p in zip(scheme.names, row, strict=True) if p >= THRESHOLD) or NOTHING
