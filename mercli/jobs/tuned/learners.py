"""Which encoders of a run learn along with its head; what cannot be trained so is refused before a run is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mercli import registry
from mercli.config import TrainConfig
from mercli.contracts import Learner
from mercli.errors import ConfigError
from mercli.fusion import dialogues
from mercli.jobs.features import encoding
from mercli.jobs.fits.dataset import Data
from mercli.types import Modality

SCHEDULES = ("constant", "cosine", "step")
MONITORS = (None, "uar", "accuracy", "loss")
SAMPLERS = ("shuffled", "balanced")


def of(config: TrainConfig, encoders: encoding.EncoderSet) -> dict[Modality, Learner]:
    """Return the encoders that learn, by modality; raises ``ConfigError`` for one that cannot, or where none can."""
    can = {m: encoder for m in config.modalities if isinstance(encoder := encoders.encoders.get(m), Learner)}
    for modality in config.end_to_end.tune:
        if modality not in can:
            name = encoders.names.get(modality)
            what = f"encoder '{name}' cannot learn along with a head" if name else "this run has no such modality"
            raise ConfigError(f"'end_to_end.tune' names {modality}: {what}", _hint(can))
    if not can:
        known = ", ".join(spec.name for spec in registry.specs("encoders") if spec.facts.get("learns"))
        told = ", ".join(encoders.names.values())
        raise ConfigError(f"none of {told} can learn along with a head, expected some of {known}", _hint(can))
    return {m: encoder for m, encoder in can.items() if m in (config.end_to_end.tune or can)}


def _hint(can: Mapping[Modality, Learner]) -> str:
    return "--set 'end_to_end.tune=[\"" + next(iter(can)) + "\"]'" if can else "--preset foalnet, or --preset avtca"


def check(config: TrainConfig, data: Data, head: Any) -> None:
    """Raise ``ConfigError`` for what is no part of a training from end to end, naming the key."""
    refused = [
        (data.scheme.kind != "one-of", f"scheme '{data.scheme.name}' has no classes", "mer train without --end-to-end"),
        (dialogues.asks(head), f"the head '{config.head.name}' takes whole dialogues", "--head foalnet"),
        (config.seeds > 1, f"'seeds' is {config.seeds}, expected 1", "--seeds 1, and --set seed=1 for another run"),
        (config.folds != "official", f"'folds' is {config.folds}, expected official", "--folds official"),
        (
            config.standardise,
            "'standardise' is true, and features change while they are learned",
            "--set standardise=false",
        ),
        (bool(config.reduce), "'reduce' is set, and features change while they are learned", "--set 'reduce={}'"),
        (config.curriculum.pilot > 0, "'curriculum.pilot' is set, expected 0", "--set curriculum.pilot=0"),
        (config.distill.teacher is not None, "'distill.teacher' is set", "mer finetune ... --distill TEACHER"),
        (config.sampler not in SAMPLERS, f"'sampler' is {config.sampler}", f"--set sampler={SAMPLERS[0]}"),
        (config.monitor not in MONITORS, f"'monitor' is {config.monitor}", f"--set monitor={MONITORS[1]}"),
        (
            config.schedule.name not in SCHEDULES,
            f"'schedule.name' is {config.schedule.name}",
            "--set schedule.name=cosine",
        ),
    ]
    for wrong, what, hint in refused:
        if wrong:
            raise ConfigError(f"end to end: {what}", hint)
