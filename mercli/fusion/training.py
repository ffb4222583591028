"""A head in training: what it is told, and where it stands, so that it can be written down and taken up again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from mercli.config_fit import LESS, Curriculum, Distill, Monitor, Optimizer, RateSchedule
from mercli.fusion import optimisers
from mercli.fusion.losses import Objective, Penalty
from mercli.types import LabelScheme

HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Schedule:
    """How a head is fitted; ``modality_dropout`` is the chance of hiding a modality of a segment in training.

    Where ``dropout`` is not ``rate``, every batch comes in the copies of ``mercli.fusion.dropout`` instead.
    ``accumulate`` batches make one step of the optimiser; ``clip`` is the largest gradient norm, 0 for any. ``mixup``
    is the alpha of mixtures, 0 for none; ``oversample`` to how many items, ``None`` for the largest class's. ``scheme``
    is that of the targets, ``None`` for classes.
    """

    epochs: int
    patience: int
    batch: int
    lr: float
    weight_decay: float
    modality_dropout: float
    seed: int
    optimizer: Optimizer = field(default_factory=Optimizer)
    rate: RateSchedule = field(default_factory=RateSchedule)
    objective: Penalty = field(default_factory=Objective)
    accumulate: int = 1
    clip: float = 1.0
    monitor: Monitor = "uar"
    sampler: Literal["shuffled", "balanced", "by-corpus", "oversample", "in-order"] = "shuffled"
    dropout: Literal["rate", "softhard", "noise", "hard"] = "rate"
    oversample: int | None = None
    mixup: float = 0.0
    curriculum: Curriculum = field(default_factory=Curriculum)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    scheme: LabelScheme | None = None
    distill: Distill = field(default_factory=Distill)


@dataclass(frozen=True)
class Epoch:
    """One epoch's record: mean training loss, the dev figures of its kind of scheme, and whether it is the best so far.

    ``dev_loss`` is the mean over batches, as the training loss is; ``lr`` the rate of the last step; ``score`` the
    figure that is watched, turned so that more is better; ``peak_bytes`` the most that CUDA held, ``None`` on a CPU.
    """

    number: int
    loss: float
    dev_uar: float | None = field(default=None, kw_only=True)
    best: bool
    dev_accuracy: float | None = field(default=None, kw_only=True)
    dev_weighted_f1: float | None = field(default=None, kw_only=True)
    dev_macro_f1: float | None = field(default=None, kw_only=True)
    dev_loss: float
    lr: float
    score: float
    peak_bytes: int | None = None
    dev_weighted_accuracy: float | None = None
    dev_f1: float | None = None
    dev_ccc: float | None = None
    dev_pearson: float | None = None
    dev_mae: float | None = None


class Training:
    """A head and all that changes with it from step to step.

    ``order``: the items of the epoch that is being trained, ``None`` between two; ``step`` of its steps are done, with
    ``losses`` of their batches. ``ease`` (N,) in 0..1 of the training items, where a curriculum sorts them. ``kept``
    are the weights of the best epoch.
    """

    def __init__(self, head: Any, schedule: Schedule) -> None:
        self.head = head
        self.schedule = schedule
        self.device: torch.device = next(head.parameters()).device
        self.draw = torch.Generator().manual_seed(schedule.seed)
        self.optimiser = optimisers.build(schedule.optimizer, head.parameters(), schedule.lr, schedule.weight_decay)
        self.pace = optimisers.Pace(schedule.rate, schedule.lr, schedule.epochs)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=schedule.precision == "fp16")  # type: ignore[attr-defined]
        self.best, self.waited, self.kept = -np.inf, 0, clone(head.state_dict())
        self.epochs: list[Epoch] = []
        self.ease: torch.Tensor | None = None
        self.order: torch.Tensor | None = None
        self.step = 0
        self.losses: list[torch.Tensor] = []

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or ``patience`` of them brought nothing better."""
        return len(self.epochs) >= self.schedule.epochs or self.waited >= self.schedule.patience

    @property
    def share(self) -> float:
        """Which share of the training items the epoch sees, the easiest of each class: all but for a curriculum."""
        plan = self.schedule.curriculum
        return min(1.0, plan.start + (1 - plan.start) * len(self.epochs) / plan.epochs) if plan.pilot else 1.0

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Return the context in which products are computed at the schedule's precision; weights stay fp32."""
        kind = HALF.get(self.schedule.precision)
        return nullcontext() if kind is None else torch.autocast(self.device.type, kind)

    def advance(self) -> None:
        """Make the optimiser's step with the gradients that are there."""
        if self.schedule.clip:
            self.scaler.unscale_(self.optimiser)
            torch.nn.utils.clip_grad_norm_(self.head.parameters(), self.schedule.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1

    def note(self, loss: float, dev: Mapping[str, float]) -> Epoch:
        """End the epoch with its mean loss and the figures on dev; an easier share than all is not waited for."""
        watched = self.schedule.monitor
        score = -dev[watched] if watched in LESS else dev[watched]
        lr, full = self.optimiser.param_groups[0]["lr"], self.share == 1
        if better := score > self.best:
            self.best, self.waited, self.kept = score, 0, clone(self.head.state_dict())
        elif full:
            self.waited += 1
        self.pace.note(better)
        told = {f"dev_{name}": value for name, value in dev.items()}
        epoch = Epoch(len(self.epochs) + 1, loss, best=better, lr=lr, score=score, peak_bytes=self._peak(), **told)
        self.epochs.append(epoch)
        self.order, self.step, self.losses = None, 0, []
        return epoch

    def _peak(self) -> int | None:
        """Return the most bytes that CUDA held since this was asked before."""
        if self.device.type != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        return peak

    def state(self) -> dict[str, Any]:
        """Return all that ``restore`` needs to go on with the same bits; of a training that is over, what it left."""
        left = {"kept": self.kept, "epochs": [asdict(epoch) for epoch in self.epochs], "waited": self.waited}
        if self.over:
            return left
        return left | {
            "best": self.best,
            "head": self.head.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "pace": [self.pace.reductions, self.pace.waited],
            "ease": self.ease,
            "order": self.order,
            "step": self.step,
            "losses": self.losses,
            "draw": self.draw.get_state(),
            "cpu": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was told, the generators of random numbers included."""
        self.kept, self.waited = state["kept"], state["waited"]
        self.epochs = [Epoch(**row) for row in state["epochs"]]
        if self.over:
            return
        self.best = state["best"]
        self.head.load_state_dict(state["head"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.pace.reductions, self.pace.waited = state["pace"]
        self.ease, self.order, self.step = state["ease"], state["order"], state["step"]
        self.losses = [loss.to(self.device) for loss in state["losses"]]
        self.draw.set_state(state["draw"])
        torch.set_rng_state(state["cpu"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)


def clone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a copy of a state dict that further training does not touch."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}
