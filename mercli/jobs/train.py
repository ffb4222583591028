"""``mer train``: a fusion head on stored features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import log, registry, rundir
from mercli.config import TrainConfig
from mercli.contracts import Engine
from mercli.fusion.conditions import parsed
from mercli.jobs import audit
from mercli.jobs.fits import comparing, costing, covering, dataset, fitting, folding, lessons, planning, resuming
from mercli.jobs.fits.saving import save
from mercli.jobs.tuned import joining, teaching
from mercli.labels import FIGURES
from mercli.results import scored
from mercli.types import Prediction


@dataclass(frozen=True)
class Trained:
    """The run folder, what the head scores on each corpus (out of fold where there are folds), and on each fold."""

    run: Path
    scores: dict[str, dict[str, Any]]
    coverage: dict[str, dict[str, Any]]
    folds: list[dict[str, Any]] = field(default_factory=list)


def train(config: TrainConfig, resume: Path | None = None, *, begun: Path | None = None) -> Trained:
    """Train on the train splits, choose on dev, score test; the bundle is the seed that is best on dev.

    With ``folds`` every fold of that cross-validation is trained and tested so, and answers are scored together. Each
    condition of ``drop`` is scored beside, under ``dropped``. ``resume``: the run of this config that was stopped;
    ``begun``: one whose encoders and head are trained already (``mer train --end-to-end``).
    Raises ``DataError`` for corpora that leak.
    """
    audit.refuse_leaks(config)
    settings = config.model_dump_json()
    for held in (_data, _rounds, _apart):
        held.cache_clear()  # what lies on disk may have changed since this process last looked
    clock = costing.Clock()
    data = _data(settings)
    covering.tell(data)
    for condition in config.drop:
        parsed(condition, data.dims)
    planning.ready(config, [config.head.name], data.scheme)
    lesson = teaching.to_train(config, data, resume)
    rounds = _rounds(settings)
    covering.check_tests(rounds)
    engine: Engine = registry.build("engines", config.engine.name, config.device, options=config.engine.options)
    seeds = range(config.seed, config.seed + config.seeds)
    tasks = [Task(number, seed) for number in range(1, len(rounds) + 1) for seed in seeds]
    with resuming.running(config, f"train-{config.head.name}", resume, begun) as run:
        data, *rounds = _taught(run, config, lesson, [data, *rounds])
        clock.note(run, "load")
        comparing.note(run, data)
        head = config.head.name
        taught = (_apart(settings, 1)[0], [(name, "train") for name in config.corpora])
        (config,) = resuming.settled(run, {head: taught}, {head: config}).values()
        for number in range(1, len(rounds) + 1):
            _tell_left_out(settings, number)
        fits = engine.map(partial(_fit, run, settings, config), tasks)
        done = zip(tasks, log.progress(fits, "train", len(tasks), "fits"), strict=True)
        folds = [
            _fold(config, rounds[number - 1], number, [fit for _, fit in group])
            for number, group in groupby(done, key=lambda pair: pair[0].fold)
        ]
        clock.note(run, "fit", engine)
        rundir.write_lines(run / "metrics.jsonl", (row for fold in folds for row in fold.epochs))
        tested = {name: [fold for fold in folds if name in fold.log_p] for name in config.corpora}
        scores = {name: _score(config, data, name, own) for name, own in tested.items() if own}
        answers = (_predictions(config, fold, name, run.name) for name, own in tested.items() for fold in own)
        rundir.write_lines(run / "predictions.jsonl", chain.from_iterable(answers))
        _save(run, config, settings, folds, scores)
        clock.note(run, "store")
        rundir.write_text(run / "scores.json", rundir.json_line(scores) + "\n")
    rows = [{"fold": number, **fold.scores} for number, fold in enumerate(folds, start=1)] if len(folds) > 1 else []
    return Trained(run, scores, covering.summary(data), rows)


def _taught(
    run: Path, config: TrainConfig, lesson: lessons.Lesson | None, every: Sequence[dataset.Data]
) -> list[dataset.Data]:
    """Keep a teacher's answers in a new run; return the data, which know what the teacher of the run has seen."""
    if lesson is not None:
        lessons.keep(run, lesson)
    known = lessons.read(run, config.distill)
    return [known.marked(one) if known else one for one in every]


def _save(
    run: Path, config: TrainConfig, settings: str, folds: Sequence[_Fold], scores: dict[str, dict[str, Any]]
) -> None:
    """Write each fold's bundle; where there are no folds, the one bundle tells the scores."""
    # what a fold trains on may be any of the corpus's own splits
    learn: list[fitting.Part] = [(name, "train" if len(folds) == 1 else None) for name in config.corpora]
    for number, fold in enumerate(folds, start=1):
        folder = run / "bundle" / f"fold-{number}" if len(folds) > 1 else run / "bundle"
        main = FIGURES[fold.data.scheme.kind][0]
        tested = fold.scores if len(folds) > 1 else scores
        told = {name: scored.rounded(score[main]) for name, score in tested.items()}
        learned = replace(fold.data, corpora=_apart(settings, number)[0].corpora)  # priors are of what was learned
        save(folder, config, learned, fold.best, learn, {"seed": fold.seed, f"test_{main}": told})


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


@dataclass(frozen=True)
class Task:
    """One fit: a fold, counted from 1, and a seed."""

    fold: int
    seed: int


@dataclass(frozen=True, eq=False)
class _Fit:
    """What a fit leaves: the head, and each corpus's log-probabilities as they are and under each condition."""

    fitted: fitting.Fitted
    log_p: dict[str, NDArray[np.float64]]
    dropped: dict[str, dict[str, NDArray[np.float64]]]


@cache
def _data(settings: str) -> dataset.Data:
    """Load the features once per process; workers share the mapped files."""
    return dataset.load(TrainConfig.model_validate_json(settings))


@cache
def _rounds(settings: str) -> list[dataset.Data]:
    config, data = TrainConfig.model_validate_json(settings), _data(settings)
    return [data] if config.folds == "official" else list(folding.folded(data, config.folds, config.seed))


@cache
def _apart(settings: str, fold: int) -> tuple[dataset.Data, dict[str, int]]:
    return _rounds(settings)[fold - 1].without_tested_texts()


def _tell_left_out(settings: str, fold: int) -> None:
    for name, count in _apart(settings, fold)[1].items():
        log.logger.info("%s: %d segments say what another corpus's test split says, and are left out", name, count)


def _fit(run: Path, settings: str, config: TrainConfig, task: Task) -> _Fit:
    data = _rounds(settings)[task.fold - 1]
    apart, _ = _apart(settings, task.fold)
    learn: list[fitting.Part] = [(name, "train") for name in config.corpora]
    choose: list[fitting.Part] = [(name, "dev") for name in config.corpora]
    place = resuming.Place(run, f"fold-{task.fold}/seed-{task.seed}")
    lesson = lessons.read(run, config.distill)
    if config.end_to_end.on:
        fitted = joining.fitted(run, config, apart, learn, choose)
    else:
        fitted = fitting.fit(config, apart, learn, choose, task.seed, place, lesson)
    tested: dict[str, list[fitting.Part]] = {
        name: [(name, "test")] for name in config.corpora if data.corpora[name].rows("test")
    }
    log_p = {name: fitted.log_probabilities(data, part) for name, part in tested.items()}
    dropped = {
        condition: {name: fitted.log_probabilities(data, part, condition, config.seed) for name, part in tested.items()}
        for condition in config.drop
    }
    return _Fit(fitted.on_cpu(), log_p, dropped)


def _fold(config: TrainConfig, data: dataset.Data, number: int, fits: Sequence[_Fit]) -> _Fold:
    seeds = range(config.seed, config.seed + config.seeds)
    where = {} if config.folds == "official" else {"fold": number}
    epochs = [
        row for seed, fit in zip(seeds, fits, strict=True) for row in fitting.epoch_rows(fit.fitted, seed=seed, **where)
    ]
    log_p = {name: [fit.log_p[name] for fit in fits] for name in fits[0].log_p}
    dropped = {
        condition: {name: [fit.dropped[condition][name] for fit in fits] for name in found}
        for condition, found in fits[0].dropped.items()
    }
    scores = {name: fitting.score(data, [(name, "test")], found) for name, found in log_p.items()}
    best = int(np.argmax([max(epoch.score for epoch in fit.fitted.epochs) for fit in fits]))
    return _Fold(number, data, fits[best].fitted, seeds[best], epochs, log_p, dropped, scores)


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
