"""What stands beside a held-out score: other priors, the train-on-one matrix, how well features tell the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.config import LocoConfig
from mercli.fusion.calibration import with_prior
from mercli.jobs.fits import dataset, fitting, rounds, systems
from mercli.results import metrics, shift

MOST = 2000
"""Segments of a corpus that the probe looks at."""


def beside(data: dataset.Data, part: fitting.Part, log_p: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Return, as means over seeds: top-2 accuracy, UAR among the corpus's own classes, and the figures under the prior
    that is estimated from the unlabelled part (Saerens et al. 2002); nothing where labels are no classes.
    """
    if data.scheme.kind != "one-of":
        return {}
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


def others(
    data: dataset.Data, tests: Sequence[fitting.Part], outcomes: Sequence[rounds.Outcome]
) -> dict[str, Any] | None:
    """Return the scores on the training corpora's test splits: of those that no encoder has seen, if there are such.

    ``corpora`` are those that are scored, ``seen_by`` the encoders' modalities by each that they have seen. Nothing
    where no training corpus has a test split.
    """
    seen = {name: by for name, split in tests if (by := fitting.seen(data, name, split))}
    tests = [part for part in tests if data.segments([part])]
    scored = [part for part in tests if part[0] not in seen] or tests
    if not scored:
        return None
    log_p = [np.concatenate([outcome.log_p[part] for part in scored]) for outcome in outcomes]
    return {**fitting.score(data, scored, log_p), "corpora": [name for name, _ in scored], "seen_by": seen}


def cells(config: LocoConfig, outcomes: Sequence[rounds.Outcome]) -> Iterator[dict[str, Any]]:
    """Yield the scores of the models of one corpus alone, one for each part that they were asked."""
    task = outcomes[0].task
    data = rounds.given(config, task.learn, task.apart)[0]
    for part in task.asks:
        name, split = part
        yield {
            "head": task.system,
            "encoder": systems.parts(task.system)[1],
            "trained_on": task.learn[0],
            "tested_on": name,
            "split": split or "all",
            "modalities": list(data.dims),
            "seen_by": fitting.seen(data, name, split if name == task.learn[0] else None),
            **fitting.score(data, [part], [outcome.log_p[part] for outcome in outcomes]),
        }


def identifiability(own: Mapping[str, LocoConfig]) -> dict[str, dict[str, float | None]]:
    """Return per modality, and per row of encoders where there are several, how features tell the corpus.

    A linear model's UAR on pooled features beside chance; no UAR where a corpus has one cluster alone.
    """
    found = {}
    for system, config in own.items():
        row = systems.parts(system)[1]
        data = rounds.data(config, system)
        for modality in data.dims:
            name = modality if row is None else f"{modality}{systems.OVER}{row}"
            if name not in found and (probe := _probe(data, modality)):
                found[name] = {key: None if np.isnan(value) else value for key, value in probe.items()}
    return found


def _probe(data: dataset.Data, modality: str) -> dict[str, float] | None:
    """Return what is found of one modality, nothing where one corpus alone has it."""
    features, corpora, clusters = [], [], []
    for name, corpus in data.corpora.items():
        step = ceil(len(corpus.segments) / MOST)
        for segment, bundle in list(zip(corpus.segments, corpus.bundles, strict=True))[::step]:
            feature = bundle.features.get(modality)
            if feature is not None:
                features.append(feature.values[feature.valid].mean(0))
                corpora.append(name)
                clusters.append(fitting.cluster(segment))
    return shift.identifiability(np.stack(features), corpora, clusters) if len(set(corpora)) > 1 else None
