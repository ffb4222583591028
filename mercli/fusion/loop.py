"""The one training loop: a generator of epochs that knows nothing of files or printing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from mercli.config_fit import Optimizer, RateSchedule
from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.fusion import optimisers
from mercli.fusion.dropout import grow
from mercli.fusion.losses import Objective, cross_entropy, using
from mercli.fusion.sampling import ORDERS
from mercli.fusion.source import Source, parts, take


@dataclass(frozen=True)
class Schedule:
    """How a head is fitted; ``modality_dropout`` is the chance of hiding a modality of a segment in training.

    Where ``dropout`` is not ``rate``, every batch comes in the copies of ``mercli.fusion.dropout`` instead.
    ``accumulate`` batches make one step of the optimiser; ``clip`` is the largest gradient norm, 0 for any.
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
    objective: Objective = field(default_factory=Objective)
    accumulate: int = 1
    clip: float = 1.0
    monitor: Literal["uar", "accuracy", "weighted_f1", "macro_f1", "loss"] = "uar"
    sampler: Literal["shuffled", "balanced", "oversample", "in-order"] = "shuffled"
    dropout: Literal["rate", "softhard", "noise"] = "rate"


@dataclass(frozen=True)
class Epoch:
    """One epoch's record: mean training loss, dev figures, and whether it is the best so far.

    ``dev_loss`` is the mean over batches, as the training loss is; ``lr`` the rate of the last step; ``score`` the
    figure that is watched, turned so that more is better.
    """

    number: int
    loss: float
    dev_uar: float
    best: bool
    dev_accuracy: float
    dev_weighted_f1: float
    dev_macro_f1: float
    dev_loss: float
    lr: float
    score: float


def fit(head: Any, train: Batch | Source, dev: Batch | Source, schedule: Schedule) -> Iterator[Epoch]:
    """Train ``head`` in place and yield each epoch; ends after ``patience`` epochs without a better dev score.

    The head holds the weights of its best epoch when the generator is exhausted. Raises ``DataError`` when the loss
    is not finite.
    """
    draw = torch.Generator().manual_seed(schedule.seed)
    optimiser = optimisers.build(schedule.optimizer, head.parameters(), schedule.lr, schedule.weight_decay)
    pace = optimisers.Pace(schedule.rate, schedule.lr, schedule.epochs)
    best, kept, waited = -np.inf, clone(head.state_dict()), 0
    for number in range(1, schedule.epochs + 1):
        # the objective holds inside an epoch only: whoever takes the epochs may compute losses of his own between
        with using(schedule.objective):
            loss, lr = _epoch(head, train, optimiser, schedule, pace, number - 1, draw)
            if not np.isfinite(loss):
                raise DataError(
                    f"the training loss is {loss} in epoch {number}, expected a finite number", "--set lr=1e-4"
                )
            found = judge(predict(head, dev), dev, schedule.batch)
        score = -found["loss"] if schedule.monitor == "loss" else found[schedule.monitor]
        if better := score > best:
            best, kept, waited = score, clone(head.state_dict()), 0
        else:
            waited += 1
        pace.note(better)
        yield Epoch(number, loss, best=better, lr=lr, score=score, **{f"dev_{name}": v for name, v in found.items()})
        if waited >= schedule.patience:
            break
    head.load_state_dict(kept)


def _epoch(
    head: Any,
    train: Batch | Source,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
    pace: optimisers.Pace,
    epoch: int,
    draw: torch.Generator,
) -> tuple[float, float]:
    """Return the mean loss over the batches of one epoch, and the rate of its last step."""
    head.train()
    batches = _order(train, schedule, draw).split(schedule.batch)
    groups = [batches[i : i + schedule.accumulate] for i in range(0, len(batches), schedule.accumulate)]
    losses, lr = [], schedule.lr
    for step, group in enumerate(groups):
        lr = pace.set(optimiser, epoch, step, len(groups))
        optimiser.zero_grad(set_to_none=True)
        size = sum(len(index) for index in group)
        for index in group:
            batch = _batch(train, index, schedule, draw)
            loss = head.loss(head(batch), batch)
            (loss * (len(index) / size)).backward()
            losses.append(loss.detach().reshape(()))
        if schedule.clip:
            torch.nn.utils.clip_grad_norm_(head.parameters(), schedule.clip)
        optimiser.step()
    # read once an epoch: reading a loss makes a GPU wait for it
    return float(np.mean(torch.stack(losses).tolist())), lr


def _batch(train: Batch | Source, index: torch.Tensor, schedule: Schedule, draw: torch.Generator) -> Batch:
    """Return the segments ``index`` with modalities dropped as the schedule says."""
    if schedule.dropout != "rate":
        return grow(take(train, index), schedule.dropout, draw)
    drop = torch.rand((len(index), len(train.modalities)), generator=draw) < schedule.modality_dropout
    return take(train, index, drop)


def _order(train: Batch | Source, schedule: Schedule, draw: torch.Generator) -> torch.Tensor:
    targets = torch.zeros(len(train.present), dtype=torch.long) if train.targets is None else train.targets.cpu()
    return ORDERS[schedule.sampler](targets, draw)


def clone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a copy of a state dict that further training does not touch."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


@torch.inference_mode()
def predict(head: Any, data: Batch | Source, change: Callable[[Batch], Batch] | None = None) -> torch.Tensor:
    """Return logits (N, K) of all segments, as many at once as ``source.parts`` takes together.

    ``change`` is done to every batch before the head sees it.
    """
    head.eval()
    batches = (take(data, index) for index in parts(data))
    return torch.cat([head(change(batch) if change else batch).logits for batch in batches])


def recall(predicted: torch.Tensor, targets: torch.Tensor | None) -> float:
    """Return the mean recall over the classes that occur in ``targets``."""
    if targets is None or not len(targets):
        return 0.0
    return float(torch.stack([(predicted[targets == k] == k).double().mean() for k in targets.unique()]).mean())


@torch.inference_mode()
def judge(logits: torch.Tensor, dev: Batch | Source, size: int) -> dict[str, float]:
    """Return UAR, accuracy, weighted and macro F1, and the loss of logits (N, K), mean over batches of ``size``.

    F1 is over the classes that occur in the targets, as in ``mercli.results``; without targets every figure is 0.
    """
    targets, predicted = dev.targets, logits.argmax(1)
    names = ("uar", "accuracy", "weighted_f1", "macro_f1", "loss")
    if targets is None or not len(targets):
        return dict.fromkeys(names, 0.0)
    count = logits.shape[1]
    support, named, hits = (
        torch.bincount(found, minlength=count).double() for found in (targets, predicted, targets[targets == predicted])
    )
    f1 = 2 * hits / (support + named).clamp(min=1)
    rows = torch.arange(len(targets), device=targets.device).split(size)
    loss = torch.stack([cross_entropy(logits[part], _labels(dev, part)) for part in rows]).double().mean()
    found = ((predicted == targets).double().mean(), (f1 * support).sum() / support.sum(), f1[support > 0].mean(), loss)
    return dict(zip(names, (recall(predicted, targets), *map(float, found)), strict=True))


def _labels(batch: Batch | Source, rows: torch.Tensor) -> Batch:
    """Return these rows of a batch with targets that are known, without their values."""
    prior = None if batch.log_prior is None else batch.log_prior[rows]
    assert batch.targets is not None
    return Batch(batch.modalities, {}, {}, batch.present[rows], batch.targets[rows], prior)
