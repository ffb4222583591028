"""``mer finetune --corpora``: an encoder learns the labels of prepared corpora, on one device or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli import log, rundir
from mercli.config_tune import FinetuneConfig
from mercli.engines import devices
from mercli.errors import ConfigError
from mercli.jobs import audit
from mercli.jobs.features import tuned
from mercli.jobs.fits import lessons, resuming
from mercli.jobs.tuned import bodies, leaks, processes, teaching
from mercli.jobs.tuned import examples as reading
from mercli.jobs.tuned.card import card_of, inherited, write

if TYPE_CHECKING:
    from mercli.tuning.examples import Example
    from mercli.tuning.network import Body
    from mercli.tuning.tuner import Tuner

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Finetuned:
    """The run, the folder that an encoder reads, and its card; ``main`` in the process that writes and answers."""

    run: Path
    encoder: Path
    card: Mapping[str, Any]
    main: bool = True


def finetune(config: FinetuneConfig, resume: Path | None = None) -> Finetuned:
    """Train on the train splits, choose the epoch on dev, score test; leave a folder that ``from_pretrained`` reads.

    ``resume``: a run that was stopped; it goes on from its newest whole checkpoint. Raises ``ConfigError`` for a start
    or a teacher that has seen an excluded corpus, ``DataError`` for corpora that leak, a class without training
    segments that can be read, a loss that is no number.
    """
    device = devices.resolve(config.device)
    precision = devices.precision(config.precision, device)
    state = processes.begun(device)
    config = config.model_copy(update={"encoder": tuned.begun(config.encoder, config.modality)})
    audited = audit.refuse_leaks(config)
    corpora = reading.load(config)
    start = f"what '{config.encoder}' begins with"
    reading.refuse_excluded(config, (use["corpus"] for use in inherited(config)), start, "--encoder another")
    answered = teaching.to_finetune(config, corpora, resume) if state.is_main_process else None
    begun = bodies.begin(config, corpora.scheme.names)
    body = begun.body
    run = processes.run_of(state, lambda: resume or _run(config))
    with log.to_file(run / "log.txt") if state.is_main_process else nullcontext(), processes.beside_others(state):
        if state.is_main_process:
            reading.keep(config, corpora.held, body.settings)
            if answered is not None:
                lessons.keep(run, answered)
        state.wait_for_everyone()
        corpora = reading.decoded(config, corpora, body.settings)
        parts = reading.examples(config, corpora, body.settings, body.classes)
        lesson = lessons.read(run, config.distill)
        if lesson is not None:
            parts["train"] = teaching.told(parts["train"], lesson, config, corpora.scheme.names, body.classes)
        if state.is_main_process:
            log.logger.info("continue with: %s", resuming.command_of("finetune", run))
        tuner = _trained(config, body, parts, run / CHECKPOINTS, (device, precision), resume is not None)
        begun.finish()
        found = tuner.answers(parts["test"])
        card = leaks.marked(card_of(tuner.config, corpora, begun, parts, found, tuner, lesson), audited)
        folder = run / "encoder"
        if state.is_main_process:
            write(folder, body, card)
        state.wait_for_everyone()
    return Finetuned(run, folder, card, state.is_main_process)


def _run(config: FinetuneConfig) -> Path:
    return rundir.create(Path(config.runs), f"finetune-{config.modality}", config.model_dump())


def _trained(
    config: FinetuneConfig,
    body: Body,
    parts: Mapping[str, Sequence[Example]],
    folder: Path,
    how: tuple[str, str],
    resume: bool,
) -> Tuner:
    """Train on a device in a precision (``how``)."""
    from mercli.tuning.network import Tuned
    from mercli.tuning.tuner import Tuner

    device, precision = how
    return processes.trained(
        lambda own: Tuner(Tuned(body), parts["train"], parts["dev"], own, folder, precision, device == "cpu"),
        config,
        folder,
        resume,
    )


def resumed(name: str, runs: Path) -> Finetuned:
    """Go on with a run that was stopped, by path or name, as it was started.

    Raises ``ConfigError`` where it is no run of ``mer finetune``.
    """
    import yaml
    from pydantic import ValidationError

    run = rundir.find(runs, name)
    try:
        config = FinetuneConfig.model_validate(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, ValidationError, yaml.YAMLError) as fault:
        raise ConfigError(f"'{run}' is no run of mer finetune", f"ls {runs}") from fault
    return finetune(config, run)
