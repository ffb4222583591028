"""``mer finetune --corpora``: an encoder learns the labels of prepared corpora, on one device or several."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli import log, rundir
from mercli.config_tune import FinetuneConfig
from mercli.engines import devices
from mercli.errors import ConfigError, DataError
from mercli.jobs import audit
from mercli.jobs.tuned import examples as reading
from mercli.jobs.tuned.card import card_of, write

if TYPE_CHECKING:
    from accelerate import PartialState

    from mercli.tuning.examples import Example
    from mercli.tuning.network import Body
    from mercli.tuning.tuner import Tuner

CHECKPOINTS = "checkpoints"
WAIT = timedelta(days=7)
"""How long processes wait for the one that decodes the corpora."""


@dataclass(frozen=True)
class Finetuned:
    """The run, the folder that an encoder reads, and its card; ``main`` in the process that writes and answers."""

    run: Path
    encoder: Path
    card: Mapping[str, Any]
    main: bool = True


def finetune(config: FinetuneConfig, resume: Path | None = None) -> Finetuned:
    """Train on the train splits, choose the epoch on dev, score test; leave a folder that ``from_pretrained`` reads.

    ``resume``: a run that was stopped; it goes on from its newest whole checkpoint. Raises
    ``DataError`` for corpora that leak, a class without training segments, a loss that is no number.
    """
    from accelerate import PartialState

    device = devices.resolve(config.device)
    precision = devices.precision(config.precision, device)
    state = PartialState(cpu=device == "cpu", timeout=WAIT)
    if not state.is_main_process:
        log.setup(quiet=True, verbose=0)
    audit.refuse_leaks(config)
    corpora = reading.load(config)
    body = _body(config, corpora.scheme.names)
    run = _run(config, resume, state)
    with log.to_file(run / "log.txt") if state.is_main_process else nullcontext():
        if state.is_main_process:
            reading.keep(config, corpora, body.settings)
        state.wait_for_everyone()
        parts = reading.examples(config, corpora, body.settings, body.classes)
        if state.is_main_process:
            log.logger.info("continue with: mer finetune --resume %s", run)
        tuner = _trained(config, body, parts, run, (device, precision), resume is not None)
        found = tuner.answers(parts["test"])
        folder, card = run / "encoder", card_of(config, corpora, body, parts, found, tuner)
        if state.is_main_process:
            write(folder, body, card)
        state.wait_for_everyone()
    return Finetuned(run, folder, card, state.is_main_process)


def _body(config: FinetuneConfig, classes: Sequence[str]) -> Body:
    """Return the network of the config with what prepares its input; raises for one that is not to be had."""
    import torch

    from mercli.tuning.network import checkpointed, named
    from mercli.tuning.parameters import freeze

    torch.manual_seed(config.seed)  # a new head is drawn
    ours, model = named(config.encoder, config.modality)
    body: Body
    if config.modality == "audio":
        from mercli.tuning.sound import HfSound, SmilSound

        body = SmilSound(config, model, classes) if ours else HfSound(config, classes)
    elif config.modality == "face":
        from mercli.tuning.faces import HfFaces, SmilFaces

        body = SmilFaces(config, model, classes) if ours else HfFaces(config, classes)
    else:
        from mercli.tuning.words import HfWords

        body = HfWords(config, classes)
    if config.checkpointing:
        checkpointed(body.network)
    log.logger.info("%s: %.1f million parameters are tuned", config.encoder, freeze(body, config) / 1e6)
    return body


def _run(config: FinetuneConfig, resume: Path | None, state: PartialState) -> Path:
    """Return the run's folder, made by one process and told to the others."""
    from accelerate.utils import broadcast_object_list

    if resume is not None:
        return resume
    where: list[Any] = [None]
    if state.is_main_process:
        where = [str(rundir.create(Path(config.runs), f"finetune-{config.modality}", config.model_dump()))]
    return Path(broadcast_object_list(where)[0])


def _trained(
    config: FinetuneConfig,
    body: Body,
    parts: Mapping[str, Sequence[Example]],
    run: Path,
    how: tuple[str, str],
    resume: bool,
) -> Tuner:
    """Train on a device in a precision (``how``); where memory runs out, half the batch is accumulated twice."""
    import torch

    from mercli.features.hf_models import quiet
    from mercli.tuning.network import Tuned
    from mercli.tuning.tuner import Tuner, last_whole

    device, precision = how
    folder = run / CHECKPOINTS
    while True:
        tuner = Tuner(Tuned(body), parts["train"], parts["dev"], config, folder, precision, device == "cpu")
        last = last_whole(folder) if resume else None
        if last:
            log.logger.info("goes on from '%s'", last)
        try:
            with quiet(), warnings.catch_warnings():  # of torch, on how transformers hands masks over
                warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
                tuner.train(resume_from_checkpoint=last)
            return tuner
        except (torch.cuda.OutOfMemoryError, MemoryError) as fault:
            if config.batch == 1:
                raise DataError("there is no memory for one segment at a time", "--set seconds=4") from fault
            config = config.model_copy(update={"batch": config.batch // 2, "accumulate": config.accumulate * 2})
            log.logger.warning("no memory: batches of %d, accumulated %d times", config.batch, config.accumulate)
            resume = True


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
