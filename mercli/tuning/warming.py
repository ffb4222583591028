"""Warm-up of schedules that have none of their own: torch's plateau knows figures, not steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import TrainerCallback, TrainingArguments


class Warming(TrainerCallback):
    """Raises each group's learning rate linearly to what it was made with, over a ``share`` of all steps."""

    def __init__(self, optimizer: torch.optim.Optimizer, share: float) -> None:
        self.rates, self.share = [group["lr"] for group in optimizer.param_groups], share

    def on_step_begin(self, args: TrainingArguments, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        """Set the rates of a step of the warm-up; the schedule has those after it."""
        steps = math.ceil(self.share * state.max_steps)
        if state.global_step >= steps:
            return
        for group, rate in zip(optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * (state.global_step + 1) / steps
