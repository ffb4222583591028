"""``mer loco``: leave one corpus out; nothing of it reaches training, statistics, early stopping or calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import log, registry, rundir
from mercli.config import LocoConfig
from mercli.contracts import Engine
from mercli.jobs import audit
from mercli.jobs.fits import comparing, costing, covering, dataset, fitting, planning, resuming, transfer
from mercli.types import Prediction

LogP = NDArray[np.float64]


@dataclass(frozen=True)
class Loco:
    """The run folder, a row per head and held-out corpus, the mean over those that no encoder has seen, comparisons."""

    run: Path
    rows: list[dict[str, Any]]
    means: dict[str, float | None]
    comparisons: list[dict[str, Any]]
    matrix: list[dict[str, Any]]
    identifiability: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Task:
    """One fit: a head, the corpus that is held out, a seed."""

    head: str
    held_out: str
    seed: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a fit leaves: the trained head, log-probabilities of the held-out part and of the others' test splits."""

    task: Task
    fitted: fitting.Fitted
    outside: LogP
    home: LogP | None
    left_out: dict[str, int]


def loco(config: LocoConfig, resume: Path | None = None) -> Loco:
    """Train on the others' train splits (early stopping on their dev), score each held-out corpus (DESIGN 7).

    Heads, folds and seeds are independent fits, spread by the engine. ``resume``: the run of this config that was
    stopped. Raises ``DataError`` for corpora that leak.
    """
    audit.refuse_leaks(config)
    settings = config.model_dump_json()
    for held in (_data, _apart):
        held.cache_clear()  # what lies on disk may have changed since this process last looked
    clock = costing.Clock()
    data = _data(settings)
    heads = config.heads or (config.head.name,)
    planning.ready(config, heads)
    covering.tell(data)
    for name in config.corpora:
        others: list[fitting.Part] = [(other, "train") for other in config.corpora if other != name]
        covering.check_classes(data, others, [target(config, data, name)])
    seeds = range(config.seed, config.seed + config.seeds)
    tasks = [Task(head, held_out, seed) for head in heads for held_out in config.corpora for seed in seeds]
    engine: Engine = registry.build("engines", config.engine.name, config.device, options=config.engine.options)
    with resuming.running(config, f"loco-{'-'.join(heads)}", resume) as run:
        clock.note(run, "load")
        own = resuming.settled(run, data, {head: transfer.with_head(config, head) for head in heads})
        done = log.progress(engine.map(partial(_run, run, settings, own), tasks), "loco", total=len(tasks), unit="fits")
        rows, predictions = _folds(run, own, data, done)
        clock.note(run, "fit")
        result = Loco(
            run,
            rows,
            {head: _mean([row for row in rows if row["head"] == head]) for head in heads},
            comparisons=_comparisons(config, predictions, heads),
            matrix=transfer.matrix(run, own, data) if config.matrix else [],
            identifiability=transfer.identifiability(data),
        )
        if config.final:
            _final(run, own, data)
        clock.note(run, "compare and store")
        rundir.write_text(run / "scores.json", rundir.json_line({**vars(result), "run": run.name}) + "\n")
    return result


def _folds(
    run: Path, heads: Mapping[str, LocoConfig], data: dataset.Data, done: Iterable[Outcome]
) -> tuple[list[dict[str, Any]], list[Prediction]]:
    """Return the row of every head and held-out corpus, and all answers; each is stored as soon as it is there."""
    for file in ("predictions.jsonl", "metrics.jsonl"):
        (run / file).unlink(missing_ok=True)  # a run that is resumed tells them anew
    rows: list[dict[str, Any]] = []
    predictions: list[Prediction] = []
    for (head, held_out), group in groupby(done, key=lambda o: (o.task.head, o.task.held_out)):
        outcomes, config = list(group), heads[head]
        rows.append(_row(config, data, outcomes))
        answers = list(_predictions(config, data, outcomes, run.name, many=len(heads) > 1))
        rundir.append_lines(run / "predictions.jsonl", answers)
        rundir.append_lines(run / "metrics.jsonl", _epochs(outcomes))
        predictions += answers
        name = f"without-{held_out}" if len(heads) == 1 else f"{head}-without-{held_out}"
        _save(run / "bundle" / name, config, data, outcomes, rows[-1])
    return rows, predictions


@cache
def _data(settings: str) -> dataset.Data:
    """Load the features once per process; workers share the mapped files."""
    return dataset.load(LocoConfig.model_validate_json(settings))


@cache
def _apart(settings: str, held_out: str) -> tuple[dataset.Data, dict[str, int]]:
    return _data(settings).without_texts_of(held_out)


def _run(run: Path, settings: str, heads: Mapping[str, LocoConfig], task: Task) -> Outcome:
    config, data = heads[task.head], _data(settings)
    others = [name for name in config.corpora if name != task.held_out]
    apart, left_out = _apart(settings, task.held_out)
    learn: list[fitting.Part] = [(name, "train") for name in others]
    choose: list[fitting.Part] = [(name, "dev") for name in others]
    place = resuming.Place(run, f"{task.head}/without-{task.held_out}/seed-{task.seed}")
    fitted = fitting.fit(config, apart, learn, choose, task.seed, place)
    home: list[fitting.Part] = [(name, "test") for name in others]
    outside = fitted.log_probabilities(data, [target(config, data, task.held_out)])
    inside = fitted.log_probabilities(data, home) if data.segments(home) else None
    return Outcome(task, fitted.on_cpu(), outside, inside, left_out)


def target(config: LocoConfig, data: dataset.Data, name: str) -> fitting.Part:
    """Return what of a held-out corpus is scored: its test split, all of it where it has none or ``score`` says so."""
    return name, "test" if config.score == "test" and data.corpora[name].rows("test") else None


def _row(config: LocoConfig, data: dataset.Data, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    held_out = outcomes[0].task.held_out
    others = [name for name in config.corpora if name != held_out]
    part = target(config, data, held_out)
    outside = [o.outside for o in outcomes]
    home = [o.home for o in outcomes if o.home is not None]
    return {
        "head": outcomes[0].task.head,
        "corpus": held_out,
        "trained_on": others,
        "split": part[1] or "all",
        "seen_by": fitting.seen(data, held_out, None),
        "same_texts_left_out": outcomes[0].left_out,
        "held_out": {**fitting.score(data, [part], outside), **transfer.beside(data, part, outside)},
        "others_test": fitting.score(data, [(name, "test") for name in others], home) if home else None,
    }


def _predictions(
    config: LocoConfig, data: dataset.Data, outcomes: Sequence[Outcome], run: str, *, many: bool
) -> Iterator[Prediction]:
    for outcome in outcomes:
        task = outcome.task
        fold = f"{task.held_out}/seed{task.seed}" + (f"/{task.head}" if many else "")
        part = target(config, data, task.held_out)
        yield from fitting.predictions(data, [part], outcome.outside, run=run, fold=fold)


def _epochs(outcomes: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        task = outcome.task
        yield from fitting.epoch_rows(outcome.fitted, head=task.head, held_out=task.held_out, seed=task.seed)


def _save(
    folder: Path, config: LocoConfig, data: dataset.Data, outcomes: Sequence[Outcome], row: dict[str, Any]
) -> None:
    best = max(outcomes, key=lambda o: max(epoch.score for epoch in o.fitted.epochs))
    learn: list[fitting.Part] = [(name, "train") for name in row["trained_on"]]
    facts = {"left_out": row["corpus"], "held_out_uar": round(row["held_out"]["uar"], 4), "seed": best.task.seed}
    fitting.save(folder, config, data, best.fitted, learn, facts)


def _final(run: Path, heads: Mapping[str, LocoConfig], data: dataset.Data) -> None:
    """Leave one bundle per head that is trained on every corpus; its own scores are those of the folds."""
    for head, config in heads.items():
        learn: list[fitting.Part] = [(name, "train") for name in config.corpora]
        fits = transfer.fits(run, config, data, config.corpora, f"{head}/final")
        best = int(np.argmax([max(epoch.score for epoch in fit.epochs) for fit in fits]))
        fitting.save(run / "bundle" / f"{head}-final", config, data, fits[best], learn, {"seed": config.seed + best})


def _mean(rows: Sequence[dict[str, Any]]) -> float | None:
    unseen = [row["held_out"]["uar"] for row in rows if not row["seen_by"]]
    return float(np.mean(unseen)) if unseen else None


def _comparisons(config: LocoConfig, made: Sequence[Prediction], heads: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first head against each other one, or this run against another, with Holm's correction over all."""
    if config.compare is not None:
        return comparing.with_run(made, rundir.find(Path(config.runs), config.compare), config.compare)
    return comparing.heads(made, heads) if len(heads) > 1 else []
