"""How a head is fitted: optimiser, rate over time, loss, curriculum, teacher; parts of commands' configs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from mercli.types import Modality

Monitor = Literal[
    "uar", "accuracy", "weighted_f1", "macro_f1", "loss", "weighted_accuracy", "f1", "ccc", "pearson", "mae"
]
LESS = ("loss", "mae")
"""The figures of which less is better."""


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

    ``adjust_prior`` adds each corpus's log-prior in training; not told: where nothing else balances the classes. Labels
    of which many may hold are weighted to even odds by it or by ``balanced`` weights, and values have neither.
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


class Distill(BaseModel, frozen=True, extra="forbid"):
    """A ``teacher`` (a bundle, or a tuned encoder's folder) whose soft labels are learned, too (Hinton et al. 2015).

    The loss is (1 - ``weight``) that of the labels + ``weight`` T^2 KL(teacher || student), both softened by the
    ``temperature`` T; of a batch that the teacher answers in part, ``weight`` is that share of what is told here.
    """

    teacher: str | None = None
    weight: float = Field(default=0.5, gt=0, le=1)
    temperature: float = Field(default=2.0, gt=0)


class EndToEnd(BaseModel, frozen=True, extra="forbid"):
    """The encoders that learn along with the head (``on``): those of ``tune``, or every one that can.

    ``lr`` is theirs at the top, ``decay`` times that a layer further down; the head keeps the run's own.
    ``checkpointing`` computes a second time what a step would hold in memory.
    """

    on: bool = False
    tune: tuple[Modality, ...] = ()
    lr: float = Field(default=1e-5, gt=0)
    decay: float = Field(default=1.0, gt=0, le=1)
    checkpointing: bool = False
