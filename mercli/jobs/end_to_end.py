"""``mer train --end-to-end``: encoders learn along with the head, then their features are stored and scored as ever."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mercli import log, registry, rundir
from mercli.config import ExtractConfig, TrainConfig
from mercli.contracts import Learner
from mercli.engines import devices
from mercli.jobs import audit
from mercli.jobs import train as fusion
from mercli.jobs.extract import extract
from mercli.jobs.features import encoding
from mercli.jobs.fits import costing, covering, dataset, planning, resuming
from mercli.jobs.tuned import joining, learners, processes
from mercli.jobs.tuned.card import figures
from mercli.types import Modality, StreamSettings

if TYPE_CHECKING:
    from mercli.tuning.joint import JointBody


def train(config: TrainConfig, resume: Path | None = None) -> fusion.Trained | None:
    """Train the encoders with the head on train, choose the epoch on dev, extract, calibrate and score.

    Leaves ``encoders/MODALITY`` in the run, and a bundle over them. Of several processes the first one answers, the
    others return ``None``. ``resume``: the run of this config that was stopped. Raises ``ConfigError`` for encoders, a
    head or keys that cannot be trained so, ``DataError`` for corpora that leak or lack features.
    """
    device = devices.resolve(config.device)
    precision = devices.precision(config.precision, device)
    state = processes.begun(device)
    audited = audit.refuse_leaks(config)
    encoders = encoding.build(config.recipe, config.modalities)
    own = learners.of(config, encoders)
    data = dataset.load(config)
    planning.ready(config, [config.head.name], data.scheme)
    body = _body(config, data, own)
    run = processes.run_of(state, lambda: resume or _run(config))
    clock = costing.Clock()
    with log.to_file(run / "log.txt") if state.is_main_process else nullcontext(), processes.beside_others(state):
        if not joining.there(run):
            if state.is_main_process:
                log.logger.info("continue with: %s", resuming.command_of("train", run))
                joining.keep(config, tuple(body.learners), encoders.settings)
            state.wait_for_everyone()
            with devices.many_threads(device):
                how = (device, precision)
                _learn(config, data, body, encoders.settings, run, how, resume is not None, audited)
        state.wait_for_everyone()
        if not state.is_main_process:
            return None
        recipe = joining.recipe(run, config, body.learners, data.precision)
        tuned = config.model_copy(update={"recipe": recipe, "precision": precision})
        extract(_extraction(tuned))
        clock.note(run, "end to end")
    return fusion.train(tuned, resume, begun=run)


def _body(config: TrainConfig, data: dataset.Data, own: Mapping[Modality, Learner]) -> JointBody:
    """Return the encoders that learn, with their head; raises ``ConfigError`` for one that cannot be trained so."""
    import torch

    from mercli.tuning.joint import JointBody
    from mercli.tuning.network import checkpointed

    torch.manual_seed(config.seed)
    head = registry.build("heads", config.head.name, data.dims, data.scheme, options=config.head.options)
    learners.check(config, data, head)
    body = JointBody(own, head, data.dims, data.scheme.names)
    for modality, network in body.network["encoders"].items():
        if config.end_to_end.checkpointing:
            checkpointed(network)
        free, every = (sum(p.numel() for p in network.parameters() if p.requires_grad or fixed) for fixed in (0, 1))
        log.logger.info("%s: %s of %s parameters learn along with the head", modality, f"{free:,}", f"{every:,}")
    return body


def _run(config: TrainConfig) -> Path:
    return rundir.create(Path(config.runs), f"train-{config.head.name}", config.model_dump())


def _extraction(config: TrainConfig) -> ExtractConfig:
    shared = ("corpora", "recipe", "modalities", "engine", "device", "data", "runs")
    return ExtractConfig(**{name: getattr(config, name) for name in shared})


def _learn(
    config: TrainConfig,
    data: dataset.Data,
    body: JointBody,
    settings: StreamSettings,
    run: Path,
    how: tuple[str, str],
    resume: bool,
    audited: audit.Audit,
) -> None:
    """Train on a device in a precision (``how``) and leave what was learned in the run."""
    from mercli.tuning.joint import Joint
    from mercli.tuning.joint_tuner import JointTuner

    apart, _ = data.without_tested_texts()
    every = {split: [(name, split) for name in config.corpora] for split in ("train", "dev", "test")}
    covering.check_parts(apart, every["train"], every["dev"])
    parts = {
        split: joining.examples(config, data if split == "test" else apart, part, tuple(body.learners), settings)
        for split, part in every.items()
    }
    joint, plan = Joint(body, joining.penalty(config, data, parts["train"])), joining.plan(config)
    device, precision = how
    folder = run / joining.CHECKPOINTS
    tuner = processes.trained(
        lambda told: JointTuner(joint, parts["train"], parts["dev"], told, folder, precision, device == "cpu", plan),
        joining.tuning(config, next(iter(body.learners))),
        folder,
        resume,
    )
    tested = figures(tuner.answers(parts["test"]), data.scheme.names)
    if tuner.is_world_process_zero():
        joining.leave(run, config, apart, parts, tuner, tested, audited)
