"""``mer train``: a fusion head on stored features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import log, rundir
from mercli.config import TrainConfig
from mercli.fusion.conditions import parsed
from mercli.jobs import audit, dataset, fitting, folding
from mercli.types import Prediction


@dataclass(frozen=True)
class Trained:
    """The run folder, what the head scores on each corpus (out of fold where there are folds), and on each fold."""

    run: Path
    scores: dict[str, dict[str, Any]]
    coverage: dict[str, dict[str, Any]]
    folds: list[dict[str, Any]] = field(default_factory=list)


def train(config: TrainConfig) -> Trained:
    """Train on the train splits, choose on dev, score test; the bundle is the seed that is best on dev.

    With ``folds`` every fold of that cross-validation is trained and tested so, and answers are scored together. Each
    condition of ``drop`` is scored beside, under ``dropped``. Raises ``DataError`` for corpora that leak.
    """
    audit.refuse_leaks(config)
    data = dataset.load(config)
    for condition in config.drop:
        parsed(condition, data.dims)
    fitting.ready(config.device, [config.head.name])
    run = rundir.create(Path(config.runs), f"train-{config.head.name}", config.model_dump())
    rounds = [data] if config.folds == "official" else list(folding.folded(data, config.folds, config.seed))
    with log.to_file(run / "log.txt"):
        total = len(rounds) * config.seeds
        bar = iter(log.progress(range(total), "train", total, "fits"))
        folds = [_fold(config, one, number, bar) for number, one in enumerate(rounds, start=1)]
        rundir.write_lines(run / "metrics.jsonl", (row for fold in folds for row in fold.epochs))
        scores: dict[str, dict[str, Any]] = {}
        predictions: list[Prediction] = []
        for name in config.corpora:
            tested = [fold for fold in folds if name in fold.log_p]
            if tested:
                scores[name] = _score(config, data, name, tested)
                predictions += [row for fold in tested for row in _predictions(config, fold, name, run.name)]
        rundir.write_lines(run / "predictions.jsonl", predictions)
        learn: list[fitting.Part] = [(name, "train") for name in config.corpora]
        for number, fold in enumerate(folds, start=1):
            folder = run / "bundle" / f"fold-{number}" if len(folds) > 1 else run / "bundle"
            uar = {name: round(score["uar"], 4) for name, score in (fold.scores if len(folds) > 1 else scores).items()}
            fitting.save(folder, config, fold.data, fold.best, learn, {"seed": fold.seed, "test_uar": uar})
        rundir.write_text(run / "scores.json", rundir.json_line(scores) + "\n")
    rows = [{"fold": number, **fold.scores} for number, fold in enumerate(folds, start=1)] if len(folds) > 1 else []
    return Trained(run, scores, coverage(data), rows)


@dataclass(frozen=True, eq=False)
class _Fold:
    """One round of training: its data, best fit and seed, and each corpus's log-probabilities per seed."""

    number: int
    data: dataset.Data
    best: fitting.Fitted
    seed: int
    epochs: list[dict[str, Any]]
    log_p: dict[str, list[NDArray[np.float64]]]
    dropped: dict[str, dict[str, list[NDArray[np.float64]]]]
    scores: dict[str, dict[str, Any]]


def _fold(config: TrainConfig, data: dataset.Data, number: int, bar: Iterator[int]) -> _Fold:
    learn: list[fitting.Part] = [(name, "train") for name in config.corpora]
    choose: list[fitting.Part] = [(name, "dev") for name in config.corpora]
    seeds = range(config.seed, config.seed + config.seeds)
    apart, left_out = data.without_tested_texts()
    for name, count in left_out.items():
        log.logger.info("%s: %d segments say what another corpus's test split says, and are left out", name, count)
    fits = []
    for seed in seeds:
        next(bar)
        fits.append(fitting.fit(config, apart, learn, choose, seed))
    where = {} if config.folds == "official" else {"fold": number}
    epochs = [row for seed, fit in zip(seeds, fits, strict=True) for row in fitting.epoch_rows(fit, seed=seed, **where)]
    log_p: dict[str, list[NDArray[np.float64]]] = {}
    dropped: dict[str, dict[str, list[NDArray[np.float64]]]] = {condition: {} for condition in config.drop}
    scores: dict[str, dict[str, Any]] = {}
    for name in config.corpora:
        part: list[fitting.Part] = [(name, "test")]
        if data.corpora[name].rows("test"):
            log_p[name] = [fit.log_probabilities(data, part) for fit in fits]
            scores[name] = fitting.score(data, part, log_p[name])
            for condition, found in dropped.items():
                found[name] = [fit.log_probabilities(data, part, condition, config.seed) for fit in fits]
    best = int(np.argmax([max(epoch.score for epoch in fit.epochs) for fit in fits]))
    return _Fold(number, data, fits[best], seeds[best], epochs, log_p, dropped, scores)


def _score(config: TrainConfig, data: dataset.Data, name: str, folds: Sequence[_Fold]) -> dict[str, Any]:
    """Return a corpus's score (that of its test split, or of all its folds' answers together), and its conditions'."""
    seen = fitting.seen(data, name, "test" if len(folds) == 1 else None)
    if len(folds) == 1:
        plain = folds[0].scores[name]
    else:
        plain = _answered(config, data, name, folds, [fold.log_p[name] for fold in folds])
    found = {**plain, "seen_by": seen}
    if config.drop:
        found["dropped"] = {
            condition: _answered(config, data, name, folds, [fold.dropped[condition][name] for fold in folds])
            for condition in config.drop
        }
    return found


def _answered(
    config: TrainConfig,
    data: dataset.Data,
    name: str,
    folds: Sequence[_Fold],
    answers: Sequence[Sequence[NDArray[np.float64]]],
) -> dict[str, Any]:
    """Return the score of the folds' log-probabilities, per fold and seed."""
    if len(folds) == 1:
        return fitting.score(folds[0].data, [(name, "test")], answers[0])
    rows = [folding.tested(fold.data, name) for fold in folds]
    joined, log_p = data, []
    for seed in range(config.seeds):
        joined, whole = folding.together(data, name, rows, [each[seed] for each in answers])
        log_p.append(whole)
    return fitting.score(joined, [(name, None)], log_p)


def _predictions(config: TrainConfig, fold: _Fold, name: str, run: str) -> Iterator[Prediction]:
    own = "" if config.folds == "official" else f"/fold{fold.number}"
    for seed, p in enumerate(fold.log_p[name], config.seed):
        yield from fitting.predictions(fold.data, [(name, "test")], p, run=run, fold=f"{name}/seed{seed}{own}")


def coverage(data: dataset.Data) -> dict[str, dict[str, Any]]:
    """Return per corpus how many segments are used, which labels were dropped, and what has no feature."""
    return {
        name: {
            "segments": len(corpus.segments),
            "dropped_labels": dict(corpus.dropped),
            "without_features": corpus.without_features,
        }
        for name, corpus in data.corpora.items()
    }
