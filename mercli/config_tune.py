"""The config of ``mer finetune``: which network, what its examples go through, what stays frozen, at what rates."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from mercli.config import Config
from mercli.config_fit import Distill
from mercli.types import MODALITIES, Modality

RESNETS = {
    "resnet18": ("basic", (2, 2, 2, 2)), "resnet34": ("basic", (3, 4, 6, 3)), "resnet50": ("bottleneck", (3, 4, 6, 3)),
}  # fmt: skip
"""Torchvision's: the kind of their blocks, and how many each stage has."""
OURS = {
    "smil-audio": "audio", "smil-face": "face",
    **{f"embedded-{modality}": modality for modality in MODALITIES}, **dict.fromkeys(RESNETS, "face"),
}  # fmt: skip
"""Networks that are begun with by name (``NAME:WHAT`` with weights), and what they read."""
Share = Annotated[float, Field(ge=0, le=1)]


class Augment(BaseModel, frozen=True, extra="forbid"):
    """Random changes to training examples: the share of them that each is done to; all off unless told.

    Sound: ``pace`` is the most that speed changes by, ``room`` reverberates, ``band`` narrows, ``noise`` adds some;
    ``specaugment`` is the share of frames that the network itself masks (Park et al. 2019). Faces: ``flip``, ``crop``
    (down to ``1 - crop`` of the area), ``colour``, ``cutout``, ``frames`` dropped. Text: ``tokens`` hidden, and words
    as recognisers leave them (``asr``): without case and marks, some lost, some twice. Of ``embedded-audio``,
    ``specaugment`` is the share of spectrograms with masked stretches; of ``embedded-text``, ``tokens`` are n-grams
    (its members that read words hide a fifth of them in any case).
    """

    pace: float = Field(default=0.0, ge=0, le=0.5)
    room: Share = 0.0
    band: Share = 0.0
    noise: Share = 0.0
    specaugment: Share = 0.0
    flip: Share = 0.0
    crop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    colour: Share = 0.0
    cutout: Share = 0.0
    frames: Annotated[float, Field(ge=0, lt=1)] = 0.0
    tokens: Annotated[float, Field(ge=0, lt=1)] = 0.0
    asr: Share = 0.0


class Rates(BaseModel, frozen=True, extra="forbid"):
    """Learning rates: ``lr`` at the head, ``decay`` times that a layer further down; ``warmup``: share of all steps.

    ``plateau`` takes a tenth after ``patience`` epochs without a better dev UAR; the others run to the last epoch.
    """

    lr: float = Field(default=2e-5, gt=0)
    decay: float = Field(default=1.0, gt=0, le=1)
    head: float | None = Field(default=None, gt=0)
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    schedule: Literal["cosine", "linear", "constant", "plateau"] = "cosine"
    patience: int = Field(default=2, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, ge=0)


class TuningLoss(BaseModel, frozen=True, extra="forbid"):
    """Cross-entropy or focal loss (Lin et al. 2017) with its ``gamma``; classes weighed by inverse frequency or not."""

    name: Literal["cross-entropy", "focal"] = "cross-entropy"
    gamma: float = Field(default=2.0, ge=0)
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = "none"


class Lora(BaseModel, frozen=True, extra="forbid"):
    """Low-rank changes to a transformer's layers in place of all their weights (Hu et al. 2021); ``rank`` 0 for none.

    A change is scaled by ``alpha / rank``, ``alpha`` being twice the rank unless told; ``dropout`` is of its input.
    """

    rank: int = Field(default=0, ge=0)
    alpha: float | None = Field(default=None, gt=0)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class FinetuneConfig(Config):
    """``mer finetune``: an encoder's network learns a corpus's labels.

    ``encoder``: a model of the Hugging Face hub, a folder, or one by name (``OURS``); ``weights`` take the place of its
    own. ``seconds`` of sound and ``faces`` of a segment go through at once. ``freeze``: ``features`` (what a network
    calls its ``feature_extractor``, as the convolutions of a wav2vec 2.0; networks without one learn whole), so many
    layers from below with what lies below them, or all but the ``head``; batch norms that are frozen keep their
    statistics. ``exclude`` names corpora that must not be heard of, as those that ``loco`` holds out. ``refit``: how
    ``--data-root`` trains what ships inside.
    """

    command: ClassVar[str] = "finetune"
    modality: Modality
    corpora: tuple[str, ...] = Field(min_length=1)
    exclude: tuple[str, ...] = ()
    encoder: str
    revision: str | None = None
    weights: str | None = None
    reset_classifier: bool = False
    classes: tuple[str, ...] = ()
    face: Literal["speaker", "largest", "all", "whole"] = "speaker"
    seconds: float = Field(default=8.0, gt=0)
    faces: int = Field(default=8, ge=1)
    tokens: int = Field(default=128, ge=4)
    epochs: int = Field(default=10, ge=1)
    batch: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    rates: Rates = Rates()
    loss: TuningLoss = TuningLoss()
    augment: Augment = Augment()
    freeze: Annotated[int, Field(ge=0)] | Literal["none", "features", "head"] = "features"
    lora: Lora = Lora()
    distill: Distill = Distill()
    checkpointing: bool = False
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    patience: int = Field(default=3, ge=1)
    seed: int = 0
    device: str = "auto"
    strict: bool = False
    allow_leak: bool = False
    refit: dict[str, Any] = Field(default_factory=dict, exclude=True)
