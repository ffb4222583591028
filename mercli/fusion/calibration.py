"""Calibration by one temperature (Guo et al. 2017), and priors added to logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.05, 20.0


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-probabilities (..., K)."""
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def nll(logits: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood of targets (N,) under logits (N, K)."""
    return float(-log_softmax(logits)[np.arange(len(targets)), targets].mean())


def temperature(
    logits: NDArray[np.float64], targets: NDArray[np.int64], log_prior: NDArray[np.float64] | float = 0.0
) -> float:
    """Return the T > 0 that minimises the likelihood loss of ``logits / T + log_prior`` on held-out targets (N,)."""
    from scipy.optimize import minimize_scalar

    if len(targets) == 0:
        return 1.0
    found = minimize_scalar(
        lambda log_t: nll(logits / np.exp(log_t) + log_prior, targets),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def of_label(logits: NDArray[np.float64], there: NDArray[np.bool_], offset: float = 0.0) -> float:
    """Return the T > 0 of one label of many, whose likeliest log-odds are then ``logits / T + offset`` (N,).

    Targets are a little less than sure (Platt 1999), as few of a rare label are easily told apart by chance; 1 for a
    label that is always or never there.
    """
    from scipy.optimize import minimize_scalar

    if there.all() or not there.any():
        return 1.0
    positive = there.sum()
    targets = np.where(there, (positive + 1) / (positive + 2), 1 / (len(there) - positive + 2))

    def loss(log_t: float) -> float:
        odds = logits / np.exp(log_t) + offset
        return float((np.logaddexp(0, odds) - targets * odds).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def uniform(logits: NDArray[np.float64], temperature_: float, held_prior: Sequence[float] = ()) -> NDArray[np.float64]:
    """Return uniform-prior log-probabilities (N, K) of logits that hold ``held_prior`` (K,), or none."""
    log_prior = np.log(np.asarray(held_prior)) if len(held_prior) else 0.0
    return log_softmax(logits / temperature_ - log_prior)


def with_prior(log_probability: NDArray[np.float64], log_prior: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return probabilities (N, K) for uniform-prior log-probabilities under another prior (Saerens et al. 2002)."""
    moved = log_probability if log_prior is None else log_probability + log_prior
    return np.exp(log_softmax(moved))


def log_frequencies(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return the log of class frequencies (K,) with half a count added to each, so that none is impossible."""
    counts = np.bincount(targets, minlength=classes) + 0.5
    return np.log(counts / counts.sum())
