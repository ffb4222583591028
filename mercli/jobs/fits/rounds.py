"""The fits of ``mer loco`` as one list for an engine: folds, models of one corpus alone, models of every corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mercli.config import LocoConfig
from mercli.errors import CheckpointError, DataError, MerError
from mercli.jobs.fits import covering, dataset, fitting, planning, systems
from mercli.jobs.fits.resuming import Place

LogP = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One fit of a system on the train splits of ``learn``, without the texts of ``apart``; it answers ``asks``.

    Of a ``fold`` the first part that is asked is what was held out.
    """

    system: str
    kind: Literal["fold", "alone", "final"]
    learn: tuple[str, ...]
    apart: str | None
    asks: tuple[fitting.Part, ...]
    seed: int

    def __str__(self) -> str:
        return f"{self.place}/seed-{self.seed}"

    @property
    def place(self) -> str:
        """What all seeds of it are kept under in the run."""
        if self.kind == "fold":
            return f"{self.system}/without-{self.apart}"
        if self.kind == "final":
            return f"{self.system}/final"
        return f"{self.system}/on-{self.learn[0]}" + (f"-for-{self.apart}" if self.apart else "")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a task leaves: the trained head (none of a model of one corpus), log-probabilities by part, or a fault."""

    task: Task
    fitted: fitting.Fitted | None
    log_p: Mapping[fitting.Part, LogP]
    fault: MerError | None = None


def forget() -> None:
    """Load features anew when they are next asked for: what lies on disk may have changed."""
    for held in (_loaded, _given):
        held.cache_clear()


def data(config: LocoConfig, system: str) -> dataset.Data:
    """Return the features of a system, loaded once per process for all heads; workers share the mapped files.

    Raises ``DataError`` that names the row of encoders whose features are not there.
    """
    row = systems.parts(system)[1]
    try:
        return _loaded(_settings(config))
    except DataError as fault:
        if row is None:
            raise
        raise DataError(f"encoders '{row}': {fault.message}", fault.hint) from fault


def _settings(config: LocoConfig) -> str:
    """Return a config without what features and labels do not depend on: it is the same for all heads of a row."""
    return config.model_dump_json(exclude={"head", "precision"})


@cache
def _loaded(settings: str) -> dataset.Data:
    return dataset.load(LocoConfig.model_validate_json(settings))


def given(
    config: LocoConfig, learn: tuple[str, ...], apart: str | None
) -> tuple[dataset.Data, dataset.Data, dict[str, int]]:
    """Return what is answered, what is learned from, and how many texts of ``apart`` the latter lacks by corpus.

    Both are of the modalities that the training side has: a fold goes on without one that nothing there teaches.
    """
    return _given(_settings(config), learn, apart)


@cache
def _given(
    settings: str, learn: tuple[str, ...], apart: str | None
) -> tuple[dataset.Data, dataset.Data, dict[str, int]]:
    held = _loaded(settings)
    own = held.of(held.taught([(name, "train") for name in learn]))
    return (own, own, {}) if apart is None else (own, *own.without_texts_of(apart))


def target(config: LocoConfig, held: dataset.Data, name: str) -> fitting.Part:
    """Return what of a held-out corpus is scored: its test split, all of it where it has none or ``score`` says so."""
    return name, "test" if config.score == "test" and held.corpora[name].rows("test") else None


def plan(own: Mapping[str, LocoConfig]) -> Iterator[Task]:
    """Yield every fit of these systems, all seeds of one after another: folds first, then what was asked for beside."""
    for kind in (_folds, _alone, _final):
        for system, config in own.items():
            for task in kind(system, config):
                yield from (replace(task, seed=seed) for seed in range(config.seed, config.seed + config.seeds))


def _folds(system: str, config: LocoConfig) -> Iterator[Task]:
    for name in config.corpora:
        others = tuple(other for other in config.corpora if other != name)
        held = given(config, others, name)[0]
        tests = [(other, "test") for other in others if held.corpora[other].rows("test")]
        yield Task(system, "fold", others, name, (target(config, held, name), *tests), config.seed)


def _alone(system: str, config: LocoConfig) -> Iterator[Task]:
    """Yield the model of each corpus alone, and one more for each corpus whose texts must leave its training side."""
    for name in config.corpora if config.matrix else ():
        held = given(config, (name,), None)[0]
        asks: dict[str | None, list[fitting.Part]] = {}
        for other in config.corpora:
            split = "test" if held.corpora[other].rows("test") else None
            if held.corpora[other].rows(split) and (other, split) != (name, None):  # own training data are no test
                shared = other != name and given(config, (name,), other)[2].get(name)
                asks.setdefault(other if shared else None, []).append((other, split))
        for apart, parts in asks.items():
            yield Task(system, "alone", (name,), apart, tuple(parts), config.seed)


def _final(system: str, config: LocoConfig) -> Iterator[Task]:
    if config.final:
        yield Task(system, "final", config.corpora, None, (), config.seed)


def possible(own: Mapping[str, LocoConfig], tasks: Sequence[Task]) -> tuple[list[Task], dict[Task, MerError]]:
    """Return the tasks that there are data for, and for the others, by their first seed, why there are none."""
    faults: dict[Task, MerError] = {}
    kept: list[Task] = []
    for _, group in groupby(tasks, key=lambda task: task.place):
        seeds = list(group)
        try:
            _check(own[seeds[0].system], seeds[0])
            kept += seeds
        except DataError as fault:
            faults[seeds[0]] = fault
    return kept, faults


def taught(own: Mapping[str, LocoConfig], tasks: Sequence[Task]) -> dict[str, planning.Taught]:
    """Return what the first of each system's tasks learns from."""
    first = {task.system: task for task in reversed(tasks)}
    return {
        system: (given(config, first[system].learn, first[system].apart)[1], _splits(first[system])[0])
        for system, config in own.items()
        if system in first
    }


def _check(config: LocoConfig, task: Task) -> None:
    apart = given(config, task.learn, task.apart)[1]
    covering.check_parts(apart, *_splits(task))
    if task.kind == "fold":
        covering.check_asked(apart, _splits(task)[0], task.asks[0])


def _splits(task: Task) -> tuple[list[fitting.Part], list[fitting.Part]]:
    return [(name, "train") for name in task.learn], [(name, "dev") for name in task.learn]


def fit(run: Path, own: Mapping[str, LocoConfig], task: Task) -> Outcome:
    """Train what a task says and let it answer; early stopping and temperature are by the dev splits of ``learn``.

    A fault of data or configuration is the outcome: it is that of one fold, and spares the others.
    """
    config = own[task.system]
    held, apart, _ = given(config, task.learn, task.apart)
    try:
        fitted = fitting.fit(config, apart, *_splits(task), task.seed, Place(run, str(task)))
    except CheckpointError:
        raise  # the whole run is taken up again with other data
    except MerError as fault:
        return Outcome(task, None, {}, fault)
    log_p = {part: fitted.log_probabilities(held, [part]) for part in task.asks}
    return Outcome(task, None if task.kind == "alone" else fitted.on_cpu(), log_p)
