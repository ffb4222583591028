"""What changes between corpora: how often each class occurs, and whether features tell the corpus, not the label."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

ROUNDS = 200
TOLERANCE = 1e-6


def estimated_prior(log_probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the class frequencies (K,) under which uniform-prior log-probabilities (N, K) are most likely.

    Expectation maximisation of Saerens, Latinne & Decaestecker (2002): it sees no label of the corpus.
    """
    likelihood = np.exp(log_probability - log_probability.max(1, keepdims=True))
    prior = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for _ in range(ROUNDS):
        posterior = likelihood * prior
        posterior /= posterior.sum(1, keepdims=True)
        updated = posterior.mean(0)
        if np.abs(updated - prior).max() < TOLERANCE:
            return updated
        prior = updated
    return prior


def identifiability(
    features: NDArray[np.float32], corpora: Sequence[str], clusters: Sequence[Hashable], *, seed: int = 0
) -> dict[str, float]:
    """Return how well a linear model tells the corpus of pooled features (N, D): its UAR by cluster folds, and chance.

    High identifiability beside low transfer is the mark of a shortcut.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names, codes = np.unique(np.asarray(corpora), return_inverse=True)
    groups = [f"{corpus}/{cluster}" for corpus, cluster in zip(corpora, clusters, strict=True)]
    smallest = min(len({g for g, code in zip(groups, codes, strict=True) if code == k}) for k in range(len(names)))
    folds = min(5, smallest)
    chance = 1 / len(names)
    if folds < 2:
        return {"uar": float("nan"), "chance": chance}
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, class_weight="balanced"))
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    guessed = cross_val_predict(model, features, codes, groups=groups, cv=split)
    return {"uar": float(balanced_accuracy_score(codes, guessed)), "chance": chance}
