"""The ``Trainer`` for encoders that learn along with a head: rates of their own, else as ``Tuner`` does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from mercli.config_tune import FinetuneConfig
from mercli.tuning.examples import Example
from mercli.tuning.joint import Joint
from mercli.tuning.network import Body
from mercli.tuning.parameters import groups
from mercli.tuning.tuner import Tuner


@dataclass(frozen=True)
class Plan:
    """What a head's training has that an encoder's own has not.

    ``optimiser`` of groups of parameters, ``pace(epoch, step, steps)``: what their rates are multiplied with, and the
    figure on dev that chooses the epoch.
    """

    optimiser: Callable[[list[dict[str, Any]]], torch.optim.Optimizer]
    pace: Callable[[int, int, int], float]
    monitor: str = "uar"


class JointTuner(Tuner):
    """Trains a ``Joint`` as ``Tuner`` does an encoder: batches, checkpoints, stops and processes are the same."""

    slower = "mer train --end-to-end ... --set lr=1e-4 --set end_to_end.lr=1e-6 --precision fp32"
    smaller = "--set end_to_end.checkpointing=true"

    def __init__(
        self, joint: Joint, train: Sequence[Example], dev: Sequence[Example], config: FinetuneConfig, folder: Path,
        precision: str, cpu: bool, plan: Plan,
    ) -> None:  # fmt: skip
        super().__init__(joint, train, dev, config, folder, precision, cpu)
        self.optimizer = plan.optimiser(rated(joint.body, config))
        steps = math.ceil(len(self.batches) / config.accumulate)
        self.lr_scheduler = LambdaLR(self.optimizer, lambda step: plan.pace(*divmod(step, steps), steps))
        self.args.metric_for_best_model, self.args.greater_is_better = plan.monitor, plan.monitor != "loss"

    def penalty(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
        """Return the head's loss of one batch."""
        return model(**inputs), None


def rated(body: Any, config: FinetuneConfig) -> list[dict[str, Any]]:
    """Return the optimiser's groups: the head, whose rate is the one that is told, and each encoder's by its layers."""
    encoders, head = body.network["encoders"], body.network["head"]
    own = {"params": [*head.parameters()], "lr": config.rates.head, "weight_decay": config.rates.weight_decay}
    return [own, *(group for one in encoders.values() for group in groups(cast(Body, _Alone(one)), config))]


class _Alone(NamedTuple):
    """An encoder's network by itself, of which no part is a head."""

    network: Any
    heads: tuple[str, ...] = ()
