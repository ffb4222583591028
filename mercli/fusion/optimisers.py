"""Optimisers and schedules of the learning rate, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from mercli.config_fit import Optimizer, RateSchedule


class Lion(torch.optim.Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): the sign of a moving average, decay apart from the gradient.

    Its steps are as long in every weight, so a rate three to ten times below AdamW's is usual.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every weight that has a gradient; return the loss where a closure computes it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (now, later), lr = group["betas"], group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                mean = self.state[weight].setdefault("mean", torch.zeros_like(weight))
                weight.mul_(1 - lr * group["weight_decay"])
                weight.add_(mean.lerp(weight.grad, 1 - now).sign_(), alpha=-lr)
                mean.lerp_(weight.grad, 1 - later)
        return loss


def build(choice: Optimizer, weights: Iterable[torch.Tensor], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Return the optimiser over ``weights``.

    ``weight_decay`` is apart from the gradient in ``adamw`` and ``lion`` (Loshchilov & Hutter 2019), part of it (L2)
    in ``adam`` and ``sgd``.
    """
    kept = list(weights)
    settings: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if choice.name != "sgd" and choice.betas is not None:
        settings["betas"] = choice.betas
    if choice.name == "lion":
        return Lion(kept, **settings)
    # fused kernels round otherwise than separate ones: on a CPU they are taken only where they are asked for
    fused = choice.fused if choice.fused is not None else any(weight.is_cuda for weight in kept)
    settings["fused"] = True if fused else None
    if choice.name == "sgd":
        return torch.optim.SGD(kept, momentum=choice.momentum, dampening=choice.dampening, **settings)
    return {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[choice.name](kept, **settings)


@dataclass
class Pace:
    """The learning rate over one training of ``epochs`` epochs; epochs and steps count from 0.

    ``first_epoch_only``: the warm-up ends with the first epoch, however far it came, as the scheduler that Foal-Net
    builds (and does not use) has it; else it lasts its number of steps.
    """

    plan: RateSchedule
    lr: float
    epochs: int
    first_epoch_only: bool = False
    reductions: int = 0
    waited: int = 0

    def rate(self, epoch: int, step: int, steps: int) -> float:
        """Return the rate at ``step`` of ``steps`` in ``epoch``: warm-up in steps, then the schedule.

        ``cosine`` and ``step`` move by the epoch, ``restarts`` within it.
        """
        plan, done = self.plan, epoch * steps + step
        if done < plan.warmup and not (self.first_epoch_only and epoch):
            return plan.start + (self.lr - plan.start) * done / plan.warmup
        if plan.name == "cosine":
            return self._half_wave(epoch / self.epochs)
        if plan.name == "restarts":
            return self._restarts(epoch + step / steps)
        if plan.name == "step":
            passed = sum(mark <= epoch for mark in plan.milestones) if plan.milestones else epoch // plan.every
            return max(plan.floor, self.lr * plan.gamma**passed)
        return max(plan.floor, self.lr * plan.gamma**self.reductions) if plan.name == "plateau" else self.lr

    def set(self, optimiser: torch.optim.Optimizer, epoch: int, step: int, steps: int) -> float:
        """Give ``optimiser`` the rate of its next step and return it.

        ``restarts`` is moved after a step, as its authors and SMIL do, so a step runs at the rate of the one before.
        """
        if self.plan.name == "restarts":
            epoch, step = divmod(max(epoch * steps + step - 1, 0), steps)
        rate = self.rate(epoch, step, steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        return rate

    def note(self, better: bool) -> None:
        """Count an epoch without a better dev score; past the plan's patience the plateau's rate is reduced."""
        self.waited = 0 if better else self.waited + 1
        if self.waited > self.plan.patience:
            self.reductions, self.waited = self.reductions + 1, 0

    def _half_wave(self, share: float) -> float:
        return self.plan.floor + (self.lr - self.plan.floor) * (1 + math.cos(math.pi * share)) / 2

    def _restarts(self, position: float) -> float:
        """Return the rate at a position in epochs (SGDR: Loshchilov & Hutter 2017)."""
        length = self.plan.first
        while position >= length:
            position, length = position - length, length * self.plan.factor
        return self._half_wave(position / length)
