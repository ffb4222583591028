"""``mer loco``: leave one corpus out; nothing of it reaches training, statistics, early stopping or calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np

from mercli import log, registry, rundir
from mercli.config import LocoConfig
from mercli.contracts import Engine
from mercli.errors import MerError, PartialError
from mercli.jobs import audit
from mercli.jobs.fits import comparing, costing, covering, fitting, planning, resuming, rounds, systems, transfer
from mercli.jobs.fits.saving import save
from mercli.results import encoders, scored
from mercli.types import Prediction

Systems = Mapping[str, LocoConfig]


@dataclass(frozen=True)
class Loco:
    """The run folder, a row per head and held-out corpus, the mean over those that no encoder has seen, comparisons.

    With several rows of encoders a head's name is ``HEAD@ROW``, and ``encoders`` has the table of each head (see
    ``results.encoders``). ``failures``: folds that could not be fitted, and why.
    """

    run: Path
    rows: list[dict[str, Any]]
    means: dict[str, float | None]
    comparisons: list[dict[str, Any]]
    matrix: list[dict[str, Any]]
    identifiability: dict[str, dict[str, float | None]]
    encoders: list[dict[str, Any]]
    failures: list[dict[str, str]]


@dataclass
class _Made:
    """What a run's fits have left so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    matrix: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[rounds.Task, MerError] = field(default_factory=dict)


def loco(config: LocoConfig, resume: Path | None = None) -> Loco:
    """Train on the others' train splits (early stopping on their dev), score each held-out corpus (DESIGN 7).

    Systems (heads, each over each row of encoders), folds and seeds are independent fits, spread by the engine with
    those of ``matrix`` and ``final``. ``resume``: the run of this config that was stopped. Raises ``DataError`` for
    corpora that leak, and where no fold can be fitted.
    """
    audit.refuse_leaks(config)
    rounds.forget()
    clock = costing.Clock()
    own = systems.systems(config)
    data = {name: rounds.data(one, name) for name, one in own.items()}
    heads = config.heads or (config.head.name,)
    planning.ready(config, heads, next(iter(data.values())).scheme)
    for one, name in {one: name for name, one in data.items()}.items():
        if config.encoders:
            log.logger.info("encoders '%s':", systems.parts(name)[1])
        covering.tell(one)
    against = rundir.find(Path(config.runs), config.compare) if config.compare else None
    if against:
        comparing.refuse_others("this run", comparing.labels(next(iter(data.values()))), against)
        for note in comparing.untold(against):
            log.logger.warning("%s", note)
    tasks, faults = rounds.possible(own, list(rounds.plan(own)))
    _tell(faults)
    if not any(task.kind == "fold" for task in tasks):
        raise next(iter(faults.values()))
    engine: Engine = registry.build("engines", config.engine.name, config.device, options=config.engine.options)
    with resuming.running(config, f"loco-{'-'.join(heads)}", resume) as run:
        clock.note(run, "load")
        comparing.note(run, next(iter(data.values())))
        own = resuming.settled(run, rounds.taught(own, tasks), own)
        fits = engine.map(partial(rounds.fit, run, own), tasks)
        made = _collect(run, own, log.progress(fits, "loco", total=len(tasks), unit="fits"), faults)
        clock.note(run, "fit", engine)
        result = _result(run, config, own, made, against)
        clock.note(run, "compare and store")
        if result.failures:
            rundir.write_lines(run / "failures.jsonl", result.failures)
        rundir.write_text(run / "scores.json", rundir.json_line({**vars(result), "run": run.name}) + "\n")
    return result


def judge(result: Loco) -> None:
    """Raise ``PartialError`` where some folds could not be fitted."""
    if result.failures:
        first = result.failures[0]
        others = f" (and {len(result.failures) - 1} more)" if len(result.failures) > 1 else ""
        raise PartialError(
            f"'{first['fit']}'{others} could not be fitted; the others were: {first['error']}",
            f"cat {result.run / 'failures.jsonl'}",
        )


def _tell(faults: Mapping[rounds.Task, MerError]) -> None:
    for task, fault in faults.items():
        log.logger.warning("%s is left out: %s", task.place, fault.message)


def _collect(run: Path, own: Systems, done: Iterable[rounds.Outcome], faults: Mapping[rounds.Task, MerError]) -> _Made:
    """Score what the fits leave; what is said of a fold is stored as soon as all of its seeds are there."""
    for file in ("predictions.jsonl", "metrics.jsonl"):
        (run / file).unlink(missing_ok=True)  # a run that is resumed tells them anew
    made = _Made(faults=dict(faults))
    for _, group in groupby(done, key=lambda outcome: outcome.task.place):
        every = list(group)
        failed = dict(islice(((outcome.task, outcome.fault) for outcome in every if outcome.fault), 1))
        _tell(failed)
        made.faults |= failed
        outcomes = [outcome for outcome in every if not outcome.fault]
        if not outcomes:
            continue
        config = own[outcomes[0].task.system]
        match outcomes[0].task.kind:
            case "fold":
                _fold(run, config, outcomes, made, many=len(own) > 1)
            case "alone":
                made.matrix += transfer.cells(config, outcomes)
            case "final":
                _save(run / "bundle" / f"{outcomes[0].task.system}-final", config, outcomes, {})
    if not made.rows:
        raise next(iter(made.faults.values()))
    return made


def _fold(run: Path, config: LocoConfig, outcomes: Sequence[rounds.Outcome], made: _Made, *, many: bool) -> None:
    row = _row(config, outcomes)
    answers = list(_predictions(config, outcomes, run.name, many=many))
    rundir.append_lines(run / "predictions.jsonl", answers)
    rundir.append_lines(run / "metrics.jsonl", _epochs(outcomes))
    made.rows.append(row)
    made.predictions += answers
    name = f"{row['head']}-without-{row['corpus']}" if many else f"without-{row['corpus']}"
    main = scored.main_of(row["held_out"])
    facts = {"left_out": row["corpus"], f"held_out_{main}": scored.rounded(row["held_out"][main])}
    _save(run / "bundle" / name, config, outcomes, facts)


def _row(config: LocoConfig, outcomes: Sequence[rounds.Outcome]) -> dict[str, Any]:
    task = outcomes[0].task
    data, _, left_out = rounds.given(config, task.learn, task.apart)
    part, *tests = task.asks
    outside = [outcome.log_p[part] for outcome in outcomes]
    return {
        "head": task.system,
        "encoder": systems.parts(task.system)[1],
        "corpus": part[0],
        "trained_on": list(task.learn),
        "split": part[1] or "all",
        "modalities": list(data.dims),
        "seen_by": fitting.seen(data, part[0], None),
        "same_texts_left_out": left_out,
        "held_out": {**fitting.score(data, [part], outside), **transfer.beside(data, part, outside)},
        "others_test": transfer.others(data, tests, outcomes),
    }


def _predictions(
    config: LocoConfig, outcomes: Sequence[rounds.Outcome], run: str, *, many: bool
) -> Iterator[Prediction]:
    for outcome in outcomes:
        task = outcome.task
        data = rounds.given(config, task.learn, task.apart)[0]
        fold = f"{task.apart}/seed{task.seed}" + (f"/{task.system}" if many else "")
        yield from fitting.predictions(data, [task.asks[0]], outcome.log_p[task.asks[0]], run=run, fold=fold)


def _epochs(outcomes: Sequence[rounds.Outcome]) -> Iterator[dict[str, Any]]:
    for outcome in outcomes:
        task = outcome.task
        assert outcome.fitted is not None, "only a model of one corpus alone is not kept"
        yield from fitting.epoch_rows(outcome.fitted, head=task.system, held_out=task.apart, seed=task.seed)


def _save(folder: Path, config: LocoConfig, outcomes: Sequence[rounds.Outcome], facts: Mapping[str, Any]) -> None:
    """Write the bundle of the seed that is best on dev."""
    fits = {outcome.task: outcome.fitted for outcome in outcomes if outcome.fitted}
    best = max(fits, key=lambda task: max(epoch.score for epoch in fits[task].epochs))
    data = rounds.given(config, best.learn, best.apart)[1]
    learn: list[fitting.Part] = [(name, "train") for name in best.learn]
    save(folder, config, data, fits[best], learn, {**facts, "seed": best.seed})


def _result(run: Path, config: LocoConfig, own: Systems, made: _Made, against: Path | None) -> Loco:
    order = {name: number for number, name in enumerate(config.corpora)}
    systems_of = {name: number for number, name in enumerate(own)}
    made.matrix.sort(key=lambda c: (systems_of[c["head"]], order[c["trained_on"]], order[c["tested_on"]]))
    return Loco(
        run,
        made.rows,
        {name: _mean([row for row in made.rows if row["head"] == name]) for name in own},
        comparisons=_comparisons(config, own, made, against),
        matrix=made.matrix,
        identifiability=transfer.identifiability(own),
        encoders=encoders.tables(made.rows) if config.encoders else [],
        failures=[
            {"fit": task.place, "error": fault.message}
            for task, fault in made.faults.items()
            if task.kind != "alone"  # a corpus that alone teaches nothing has no row in the matrix
        ],
    )


def _mean(rows: Sequence[dict[str, Any]]) -> float | None:
    scores = [row["held_out"] for row in rows if not row["seen_by"]]
    unseen = [value for score in scores if (value := score[scored.main_of(score)]) is not None]
    return float(np.mean(unseen)) if unseen else None


def _comparisons(config: LocoConfig, own: Systems, made: _Made, against: Path | None) -> list[dict[str, Any]]:
    """Return the first head and the first encoders against the others, and this run's first against another run's.

    Holm's correction is over all of them; each names the encoders that have seen its corpus.
    """
    pairs = systems.pairs(list(own))
    kind = made.rows[0]["held_out"].get("kind", "one-of")
    if pairs and kind != "one-of":
        log.logger.warning("no heads are compared: the test is of classes, and this is a %s scheme", kind)
        return []
    sides = comparing.within(made.predictions, pairs, made.rows)
    if against:
        sides.append(comparing.with_run(made.predictions, made.rows, against, str(config.compare)))
    return comparing.tested(sides)
