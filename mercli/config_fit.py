"""How a head is fitted: optimiser, rate over time, loss, curriculum; parts of the configs of train and loco."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Optimizer(BaseModel, frozen=True, extra="forbid"):
    """The optimiser; ``betas``: as its paper has them where none are given. ``fused`` kernels: on CUDA unless told."""

    name: Literal["adamw", "adam", "sgd", "lion"] = "adamw"
    betas: tuple[float, float] | None = None
    momentum: float = Field(default=0.0, ge=0, lt=1)
    dampening: float = Field(default=0.0, ge=0, le=1)
    fused: bool | None = None


class RateSchedule(BaseModel, frozen=True, extra="forbid"):
    """The learning rate over time: ``warmup`` steps from ``start``, then by name, never below ``floor``.

    ``step`` multiplies by ``gamma`` at ``milestones``, else ``every`` so many epochs; ``restarts`` after ``first``
    epochs, then ``factor`` times as many; ``plateau`` by ``gamma`` after ``patience`` epochs without a better score.
    """

    name: Literal["constant", "cosine", "restarts", "step", "plateau"] = "constant"
    warmup: int = Field(default=0, ge=0)
    start: float = Field(default=0.0, ge=0)
    floor: float = Field(default=0.0, ge=0)
    gamma: float = Field(default=0.1, gt=0, le=1)
    every: int = Field(default=30, ge=1)
    milestones: tuple[int, ...] = ()
    first: int = Field(default=10, ge=1)
    factor: int = Field(default=2, ge=1)
    patience: int = Field(default=5, ge=0)


class Loss(BaseModel, frozen=True, extra="forbid"):
    """The loss of one-of heads; ``gamma`` is focal's, ``beta`` that of ``effective`` class weights.

    ``adjust_prior`` adds each corpus's log-prior in training; not told: where nothing else balances the classes.
    """

    name: Literal["cross-entropy", "focal"] = "cross-entropy"
    gamma: float = Field(default=2.0, ge=0)
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced", "effective"] = "none"
    beta: float = Field(default=0.999, ge=0, lt=1)
    adjust_prior: bool | None = None


class Curriculum(BaseModel, frozen=True, extra="forbid"):
    """Easy segments first (Bengio et al. 2009), by the loss of a ``pilot`` of so many epochs, 0 for no curriculum.

    The first epoch sees the share ``start`` of each class, its easiest; after ``epochs`` all are seen.
    """

    pilot: int = Field(default=0, ge=0)
    start: float = Field(default=0.3, gt=0, le=1)
    epochs: int = Field(default=10, ge=1)
