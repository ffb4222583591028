"""The one training loop: a generator of epochs that knows nothing of files or printing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mercli.config_fit import Curriculum
from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.fusion import dialogues, judging
from mercli.fusion.checkpoint import Checkpoint
from mercli.fusion.dropout import grow
from mercli.fusion.losses import cross_entropy, item_losses, using
from mercli.fusion.mixup import mixed_loss
from mercli.fusion.sampling import drawn, ease
from mercli.fusion.source import Source, named, parts, take
from mercli.fusion.training import Epoch, Schedule, Training
from mercli.labels import FIGURES
from mercli.types import LabelScheme


def fit(
    head: Any,
    train: Batch | Source,
    dev: Batch | Source,
    schedule: Schedule,
    checkpoint: Checkpoint | None = None,
) -> Iterator[Epoch]:
    """Train ``head`` in place and yield each epoch; ends after ``patience`` epochs without a better dev score.

    The head holds the weights of its best epoch when the generator is exhausted. With a ``checkpoint`` the training
    goes on where that was left, its epochs are yielded again, and it is kept up. Raises ``DataError`` when the loss is
    not finite.
    """
    training = Training(head, schedule)
    if checkpoint is not None:
        checkpoint.restore(training)
    yield from tuple(training.epochs)
    if schedule.curriculum.pilot and training.ease is None and not training.over:
        training.ease = _ease(head, train, schedule)
    while not training.over:
        # the objective holds inside an epoch only: whoever takes the epochs may compute losses of his own between
        with using(schedule.objective):
            loss = _epoch(training, train, checkpoint)
            epoch = training.note(loss, judge(predict(head, dev), dev, schedule.batch, schedule.scheme))
        if checkpoint is not None:
            checkpoint.offer(training)
        yield epoch
    head.load_state_dict(training.kept)


def _ease(head: Any, train: Batch | Source, schedule: Schedule) -> torch.Tensor:
    """Return where each training item (N,) stands within its class by the loss of a pilot that dev never meets."""
    pilot, epochs = copy.deepcopy(head), schedule.curriculum.pilot
    plan = replace(schedule, epochs=epochs, patience=epochs, curriculum=Curriculum())
    for _ in fit(pilot, train, train, plan):
        pass
    assert train.targets is not None
    return ease(item_losses(predict(pilot, train), train.targets, train.log_prior).cpu(), train.targets.cpu())


def _epoch(training: Training, train: Batch | Source, checkpoint: Checkpoint | None = None) -> float:
    """Train what is left of the epoch and return the mean loss over all its batches."""
    plan = training.schedule
    training.head.train()
    if training.order is None:
        training.order = _order(train, training)
    batches = dialogues.split(training.order, train.talk, plan.batch)
    groups = [batches[i : i + plan.accumulate] for i in range(0, len(batches), plan.accumulate)]
    for number in range(training.step, len(groups)):
        training.pace.set(training.optimiser, len(training.epochs), number, len(groups))
        step(training, train, groups[number])
        if checkpoint is not None:
            checkpoint.offer(training)
    # read once an epoch: reading a loss makes a GPU wait for it
    losses = torch.stack(training.losses).tolist()
    for number, (loss, index) in enumerate(zip(losses, batches, strict=True), start=1):
        if not np.isfinite(loss):
            raise DataError(
                f"the training loss is {loss} in epoch {len(training.epochs) + 1}, batch {number} "
                f"({named(train, index)}), expected a finite number",
                "--set lr=1e-4",
            )
    return float(np.mean(losses))


def step(training: Training, train: Batch | Source, group: Sequence[torch.Tensor]) -> None:
    """Make one step of the optimiser from the batches of ``group``, each the indices of its segments."""
    plan = training.schedule
    training.optimiser.zero_grad(set_to_none=True)
    size = sum(len(index) for index in group)
    for index in group:
        batch = _batch(train, index, plan, training.draw)
        with training.arithmetic():
            loss = mixed_loss(training.head, batch, plan.mixup, training.draw, plan.distill)
        training.scaler.scale(loss * (len(index) / size)).backward()
        training.losses.append(loss.detach().reshape(()))
    training.advance()


def _batch(train: Batch | Source, index: torch.Tensor, schedule: Schedule, draw: torch.Generator) -> Batch:
    """Return the segments ``index`` with modalities dropped as the schedule says."""
    if schedule.dropout != "rate":
        return grow(take(train, index), schedule.dropout, draw)
    drop = torch.rand((len(index), len(train.modalities)), generator=draw) < schedule.modality_dropout
    return take(train, index, drop if schedule.modality_dropout else None)


def _order(train: Batch | Source, training: Training) -> torch.Tensor:
    """Return the items of an epoch: drawn by the sampler from those that the curriculum has come to."""
    plan = training.schedule
    targets = torch.zeros(len(train.present), dtype=torch.long) if train.targets is None else train.targets.cpu()
    groups = targets
    if plan.sampler == "by-corpus":
        groups = train.corpora if isinstance(train, Source) else torch.zeros_like(targets)
    if training.ease is None or training.share == 1:
        order = drawn(plan.sampler, groups, training.draw, plan.oversample)
    else:
        (easy,) = torch.where(training.ease < training.share)
        order = easy[drawn(plan.sampler, groups[easy], training.draw, plan.oversample)]
    return dialogues.together(order, train.talk)


@torch.inference_mode()
def predict(head: Any, data: Batch | Source, change: Callable[[Batch], Batch] | None = None) -> torch.Tensor:
    """Return logits (N, K) of all segments, as many at once as ``source.parts`` takes together.

    ``change`` is done to every batch before the head sees it.
    """
    head.eval()
    order = list(parts(data))
    batches = (take(data, index) for index in order)
    logits = torch.cat([head(change(batch) if change else batch).logits for batch in batches])
    return logits[torch.cat(order).argsort().to(logits.device)]


@torch.inference_mode()
def judge(logits: torch.Tensor, dev: Batch | Source, size: int, scheme: LabelScheme | None = None) -> dict[str, float]:
    """Return the figures of the scheme's kind (of classes if ``None``) and the loss of logits (N, K).

    The loss is the mean over batches of ``size``; without targets every figure is 0.
    """
    kind = "one-of" if scheme is None else scheme.kind
    if dev.targets is None or not len(dev.targets):
        return dict.fromkeys((*FIGURES[kind], "loss"), 0.0)
    rows = torch.arange(len(dev.targets), device=dev.targets.device).split(size)
    loss = torch.stack([cross_entropy(logits[part], _labels(dev, part)) for part in rows]).double().mean()
    return {**judging.figures(logits, dev.targets, scheme), "loss": float(loss)}


def _labels(batch: Batch | Source, rows: torch.Tensor) -> Batch:
    """Return these rows of a batch with targets that are known, without their values."""
    prior = None if batch.log_prior is None else batch.log_prior[rows]
    assert batch.targets is not None
    return Batch(batch.modalities, {}, {}, batch.present[rows], batch.targets[rows], prior)
