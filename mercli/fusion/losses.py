"""Losses: of one-of heads under the run's objective, of many-of and of values.

A head calls ``cross_entropy``; of which kind the targets are, how classes are weighted and easy items damped is the
run's matter (``using``), so that no head has to know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from mercli.config_fit import Loss
from mercli.contracts import Batch
from mercli.focal import focal
from mercli.types import LabelScheme

TINY = 1e-8
Penalty = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Returns the scalar penalty of logits (B, K) for targets: class indices (B,), or (B, K) of many-of and values."""


@dataclass(frozen=True, eq=False)
class Objective:
    """The penalty of one-of decisions: cross-entropy where nothing is set.

    ``focal``: the exponent gamma of focal loss (Lin et al. 2017), 0 for none; ``smoothing`` of labels (Szegedy et al.
    2016); ``weight`` (K,) by class, where the mean is over the weights of the batch.
    """

    focal: float = 0.0
    smoothing: float = 0.0
    weight: torch.Tensor | None = None

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the scalar penalty of logits (B, K) for class indices (B,)."""
        weight = None if self.weight is None else self.weight.to(logits)
        if weight is None and not self.focal:
            return F.cross_entropy(logits, targets, label_smoothing=self.smoothing)
        each = F.cross_entropy(logits, targets, weight, reduction="none", label_smoothing=self.smoothing)
        if self.focal:
            each = focal(each, logits, targets, self.focal)
        return each.mean() if weight is None else each.sum() / weight[targets].sum().clamp(min=TINY)


@dataclass(frozen=True, eq=False)
class Presence:
    """The penalty of many-of decisions: binary cross-entropy of each label; ``positive`` (K,) weighs the ones."""

    positive: torch.Tensor | None = None

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the scalar penalty of logits (B, K) for what is there (B, K), 0 or 1."""
        return binary_cross_entropy(logits, targets, self.positive)


@dataclass(frozen=True)
class Concordance:
    """The penalty of values: 1 - CCC, of logits that are -1 to 1 where the scheme's values are ``low`` to ``high``."""

    low: float
    high: float

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the scalar penalty of logits (B, K) for values (B, K)."""
        half = (self.high - self.low) / 2
        return concordance(logits, (targets.to(logits) - self.low) / half - 1)


_objective: ContextVar[Penalty] = ContextVar("objective", default=Objective())  # noqa: B039 (frozen)


@contextmanager
def using(objective: Penalty) -> Iterator[None]:
    """Let ``cross_entropy`` penalise by this objective inside the block."""
    token = _objective.set(objective)
    try:
        yield
    finally:
        _objective.reset(token)


def objective(loss: Loss, targets: torch.Tensor, classes: int) -> Objective:
    """Return the objective that a config asks for; the weights of ``classes`` come from the training targets (N,)."""
    weight = class_weights(targets, classes, loss.class_weights, loss.beta)
    return Objective(loss.gamma if loss.name == "focal" else 0.0, loss.smoothing, weight)


def penalty(scheme: LabelScheme, loss: Loss, targets: torch.Tensor, *, balanced: bool) -> Penalty:
    """Return what a config asks for under a scheme, its weights from the training targets (N,) or (N, K).

    ``balanced``: whether many-of labels are weighted to even odds.
    """
    if scheme.kind == "one-of":
        return objective(loss, targets, len(scheme.names))
    if scheme.kind == "many-of":
        return Presence(positive_weights(targets) if balanced else None)
    assert scheme.low is not None
    assert scheme.high is not None
    return Concordance(scheme.low, scheme.high)


def cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the penalty of logits (B, K) by the run's objective, cross-entropy unless ``using`` says otherwise.

    Each corpus's log-prior is added where the batch has it, so that logits stay uniform: added in training only it is
    logit adjustment (Menon et al. 2021; balanced softmax, Ren et al. 2020). Raises ``ValueError`` without targets.
    """
    if batch.targets is None:
        raise ValueError("a loss needs targets")
    whole = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    adjusted = whole if batch.log_prior is None else whole + batch.log_prior
    return _objective.get()(adjusted, batch.targets)


def item_losses(logits: torch.Tensor, targets: torch.Tensor, log_prior: torch.Tensor | None) -> torch.Tensor:
    """Return the plain cross-entropy (N,) of logits (N, K) for class indices, under log-priors (N, K) if there are."""
    return F.cross_entropy(logits if log_prior is None else logits + log_prior, targets, reduction="none")


def class_weights(
    targets: torch.Tensor, classes: int, kind: str = "balanced", beta: float = 0.999
) -> torch.Tensor | None:
    """Return float32 weights (K,) of the classes of one-of targets (N,), ``None`` for the kind ``none``.

    ``balanced``: n / (k n_c) with k the classes that occur. ``effective``: in proportion to (1 - beta) / (1 -
    beta^n_c), with mean 1 over the classes that occur (effective number of samples, Cui et al. 2019). A class that does
    not occur weighs 0; SMIL's vector leaves it out, is then too short, and stops its training.
    """
    if kind == "none":
        return None
    counts = torch.bincount(targets.cpu(), minlength=classes).double()
    here = counts > 0
    if kind == "balanced":
        weight = counts.sum() / (here.sum() * counts)
    else:
        weight = (1 - beta) / (1 - beta**counts)
        weight = weight * here.sum() / weight[here].sum()
    return torch.where(here, weight, 0.0).float()


def binary_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, positive: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean loss of many-of logits (B, K) for targets (B, K) in 0..1; ``positive`` (K,) weighs the ones."""
    weight = None if positive is None else positive.to(logits)
    return F.binary_cross_entropy_with_logits(logits, targets.to(logits), pos_weight=weight)


def positive_weights(targets: torch.Tensor) -> torch.Tensor:
    """Return n_negative / n_positive (K,) of many-of targets (N, K); 1 for a label that is always or never there."""
    ones = (targets > 0).sum(0).float()
    zeros = len(targets) - ones
    return torch.where((ones > 0) & (zeros > 0), zeros / ones.clamp(min=1), 1.0)


def concordance(values: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return 1 - CCC of values (B, K) for targets (B, K), mean over the K dimensions (concordance, Lin 1989)."""
    x, y = values - values.mean(0), targets - targets.mean(0)
    apart = (values.mean(0) - targets.mean(0)) ** 2
    spread = (x**2).mean(0) + (y**2).mean(0) + apart
    return (1 - 2 * (x * y).mean(0) / spread.clamp(min=TINY)).mean()
