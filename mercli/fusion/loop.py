"""The one training loop: a generator of epochs that knows nothing of files or printing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.fusion.batch import select


@dataclass(frozen=True)
class Schedule:
    """How a head is fitted; ``modality_dropout`` is the chance of hiding a modality of a segment in training."""

    epochs: int
    patience: int
    batch: int
    lr: float
    weight_decay: float
    modality_dropout: float
    seed: int


@dataclass(frozen=True)
class Epoch:
    """One epoch's record: mean training loss, dev UAR, and whether it is the best so far."""

    number: int
    loss: float
    dev_uar: float
    best: bool


def fit(head: Any, train: Batch, dev: Batch, schedule: Schedule) -> Iterator[Epoch]:
    """Train ``head`` in place and yield each epoch; ends after ``patience`` epochs without a better dev UAR.

    The head holds the weights of its best epoch when the generator is exhausted. Raises ``DataError`` when the loss
    is not finite.
    """
    draw = torch.Generator().manual_seed(schedule.seed)
    optimiser = torch.optim.AdamW(head.parameters(), schedule.lr, weight_decay=schedule.weight_decay)
    best, kept, waited = -1.0, clone(head.state_dict()), 0
    for number in range(1, schedule.epochs + 1):
        loss = _epoch(head, train, optimiser, schedule, draw)
        if not np.isfinite(loss):
            raise DataError(f"the training loss is {loss} in epoch {number}, expected a finite number", "--set lr=1e-4")
        score = recall(predict(head, dev).argmax(1), dev.targets)
        if better := score > best:
            best, kept, waited = score, clone(head.state_dict()), 0
        else:
            waited += 1
        yield Epoch(number, loss, score, better)
        if waited >= schedule.patience:
            break
    head.load_state_dict(kept)


def _epoch(
    head: Any, train: Batch, optimiser: torch.optim.Optimizer, schedule: Schedule, draw: torch.Generator
) -> float:
    head.train()
    order = torch.randperm(len(train.present), generator=draw)
    losses = []
    for index in order.split(schedule.batch):
        drop = torch.rand((len(index), len(train.modalities)), generator=draw) < schedule.modality_dropout
        batch = select(train, index.to(train.present.device), drop.to(train.present.device))
        optimiser.zero_grad(set_to_none=True)
        loss = head.loss(head(batch), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def clone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a copy of a state dict that further training does not touch."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.inference_mode()
def predict(head: Any, batch: Batch, size: int = 1024) -> torch.Tensor:
    """Return logits (N, K) of a resident batch."""
    head.eval()
    parts = torch.arange(len(batch.present), device=batch.present.device).split(size)
    return torch.cat([head(select(batch, part)).logits for part in parts])


def recall(predicted: torch.Tensor, targets: torch.Tensor | None) -> float:
    """Return the mean recall over the classes that occur in ``targets``."""
    if targets is None or not len(targets):
        return 0.0
    return float(torch.stack([(predicted[targets == k] == k).double().mean() for k in targets.unique()]).mean())
