"""What stands beside a held-out score: other priors, the train-on-one matrix, how well features tell the corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.config import Choice, LocoConfig
from mercli.errors import DataError
from mercli.fusion.calibration import with_prior
from mercli.jobs.fits import dataset, fitting
from mercli.jobs.fits.resuming import Place
from mercli.log import logger
from mercli.results import metrics, shift

MOST = 2000
"""Segments of a corpus that the probe looks at."""


def beside(data: dataset.Data, part: fitting.Part, log_p: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Return, as means over seeds: top-2 accuracy, UAR among the corpus's own classes, and the figures under the prior
    that is estimated from the unlabelled part (Saerens et al. 2002).
    """
    targets = data.examples([part]).targets
    classes = len(data.scheme.names)
    own = np.unique(targets)
    rows = []
    for p in log_p:
        among = own[p[:, own].argmax(1)]
        prior = shift.estimated_prior(p)
        moved = with_prior(p, np.log(np.maximum(prior, 1e-12))).argmax(1)
        rows.append(
            {
                "top2": float((np.argsort(-p, 1)[:, :2] == targets[:, None]).any(1).mean()),
                "uar_own_classes": metrics.uar(targets, among, classes),
                "corrected_uar": metrics.uar(targets, moved, classes),
                "corrected_accuracy": metrics.accuracy(targets, moved),
                "corrected_weighted_f1": metrics.weighted_f1(targets, moved, classes),
            }
        )
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def with_head(config: LocoConfig, head: str) -> LocoConfig:
    """Return the config for one of its heads; options belong to the head that the config names itself."""
    return config if head == config.head.name else config.model_copy(update={"head": Choice(name=head)})


def matrix(run: Path, heads: Mapping[str, LocoConfig], data: dataset.Data) -> list[dict[str, Any]]:
    """Return, per head, the scores of every corpus by models trained on one: trained on, tested on, score.

    Texts that the tested corpus has too leave the training side, as in the folds. A corpus that lacks a modality, or a
    split, is told and has no row.
    """
    cells = []
    for head, own in heads.items():
        for name in own.corpora:
            try:
                whole = fits(run, own, data, [name], f"{head}/on-{name}")
            except DataError as fault:  # the unit boundary: a corpus that lacks a modality spares the others
                logger.warning("matrix: nothing is learned from %s alone: %s", name, fault.message)
                continue
            for other in own.corpora:
                split = "test" if data.corpora[other].rows("test") else None
                if other == name and split is None:
                    continue  # its own training data are no test
                apart, left_out = data.without_texts_of(other)
                made = fits(run, own, apart, [name], f"{head}/on-{name}-for-{other}") if left_out.get(name) else whole
                part: fitting.Part = (other, split)
                found = fitting.score(data, [part], [fit.log_probabilities(data, [part]) for fit in made])
                where = {"head": head, "trained_on": name, "tested_on": other, "split": split or "all"}
                cells.append({**where, "seen_by": fitting.seen(data, other, split if other == name else None), **found})
    return cells


def fits(run: Path, config: LocoConfig, data: dataset.Data, corpora: Sequence[str], name: str) -> list[fitting.Fitted]:
    """Return a fit per seed on the train splits of these corpora, kept in the run under ``name``."""
    learn: list[fitting.Part] = [(corpus, "train") for corpus in corpora]
    choose: list[fitting.Part] = [(corpus, "dev") for corpus in corpora]
    return [
        fitting.fit(config, data, learn, choose, seed, Place(run, f"{name}/seed-{seed}"))
        for seed in range(config.seed, config.seed + config.seeds)
    ]


def identifiability(data: dataset.Data) -> dict[str, dict[str, float]]:
    """Return per modality how well a linear model tells the corpus of pooled features, beside chance."""
    found = {}
    for modality in data.dims:
        features, corpora, clusters = [], [], []
        for name, corpus in data.corpora.items():
            step = max(1, len(corpus.segments) // MOST)
            for segment, bundle in list(zip(corpus.segments, corpus.bundles, strict=True))[::step]:
                feature = bundle.features.get(modality)
                if feature is not None:
                    features.append(feature.values[feature.valid].mean(0))
                    corpora.append(name)
                    clusters.append(fitting.cluster(segment))
        if len(set(corpora)) > 1:
            found[modality] = shift.identifiability(np.stack(features), corpora, clusters)
    return found
