"""How an embedded encoder is trained: one frozen recipe a modality, its keys are those of ``presets/finetune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from mercli.errors import ConfigError
from mercli.registry import near


@dataclass(frozen=True)
class Recipe:
    """What every training shares: an optimizer, linear warm-up then cosine decay, averaged weights (EMA).

    ``balance`` is the power of inverse class frequency that the sampler draws by (0: as they are, 1: all alike);
    ``mixup`` the Beta parameter (0: none), ``mixup_share`` the share of batches mixed; ``threads`` 0 keeps torch's own.
    """

    epochs: int = 24
    batch: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.15
    smoothing: float = 0.1
    mixup: float = 0.0
    mixup_share: float = 0.5
    balance: float = 0.0
    ema: float = 0.998
    dropout: float = 0.3
    optimizer: Literal["adamw", "adagrad"] = "adamw"
    clip: float = 5.0
    seed: int = 1
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    threads: int = 0
    evaluate_every: int = 2


@dataclass(frozen=True)
class SettlingRecipe(Recipe):
    """``settling`` epochs follow at a sixth of ``lr`` in which nothing is hidden, mixed or degraded.

    What is asked about later is not, either (He et al. 2019, Data augmentation revisited).
    """

    settling: int = 4
    calm: ClassVar[Mapping[str, Any]] = {"mixup": 0.0}

    def settled(self) -> Self:
        """Return how the network settles after its training."""
        return replace(self, **{**self.calm, "epochs": self.settling, "lr": self.lr / 6, "settling": 0})


@dataclass(frozen=True)
class FaceRecipe(SettlingRecipe):
    """Faces: ``rotation`` in degrees, ``scale`` and ``shift`` as shares of the side, shares of pictures for the rest.

    Pictures are ``small`` pixels wide until ``small_until`` of the training is done, which spares a fifth of the time.
    """

    epochs: int = 30
    mixup: float = 0.2
    mixup_share: float = 0.3
    rotation: float = 10.0
    scale: float = 0.1
    shift: float = 0.06
    cutout: float = 0.5
    degrade: float = 0.12
    small: int = 36
    small_until: float = 0.5
    calm: ClassVar[Mapping[str, Any]] = {"mixup": 0.0, "cutout": 0.0, "degrade": 0.0, "small_until": 0.0}


@dataclass(frozen=True)
class AudioRecipe(SettlingRecipe):
    """Speech: shares of clips that echo, lose bands, get noise; most change of pace and of vocal tract.

    A batch is cut to a quantile of its lengths between ``shortest`` and ``longest``. ``versions`` is how many changed
    versions of a clip functionals are taken of. ``register`` weighs the loss that tells corpora apart. ``folds`` > 0
    also trains that many further sets of networks, each without some training speakers, for calibration.
    """

    epochs: int = 28
    batch: int = 32
    lr: float = 2e-3
    smoothing: float = 0.05
    mixup: float = 0.3
    mixup_share: float = 0.5
    ema: float = 0.998
    dropout: float = 0.2
    balance: float = 0.5
    pace: float = 0.1
    shortest: float = 0.85
    longest: float = 1.0
    room: float = 0.0
    band: float = 0.0
    noise: float = 0.5
    warp: float = 0.06
    masks: int = 2
    versions: int = 4
    register: float = 0.3
    folds: int = 3
    evaluate_every: int = 3
    calm: ClassVar[Mapping[str, Any]] = {"mixup": 0.0, "masks": 0, "room": 0.0, "band": 0.0, "noise": 0.0}


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """Text: ``dropout`` is the share of n-grams left out, ``meld`` the weight of MELD's sentences (the others' is 1).

    ``register`` weighs the loss that tells corpora apart. ``sharpness``, ``trust`` and ``spoken`` are set when members
    are trained (``TextNet``); ``folds`` networks, each without some training dialogues, give calibration.
    A sparse table takes Adagrad (Duchi et al. 2011), which rare n-grams suit, and no clipping. What begins with
    ``word`` is of the members that read words, which take AdamW (``reading``).
    """

    epochs: int = 4
    batch: int = 256
    lr: float = 0.3
    weight_decay: float = 0.0
    warmup: float = 0.1
    smoothing: float = 0.0
    ema: float = 0.995
    dropout: float = 0.4
    optimizer: Literal["adamw", "adagrad"] = "adagrad"
    clip: float = 0.0
    precision: Literal["auto", "bf16", "fp32"] = "fp32"
    meld: float = 2.0
    register: float = 0.3
    sharpness: float = 1.6
    trust: float = 3.5
    spoken: float = 1.0
    folds: int = 3
    word_epochs: int = 6
    word_batch: int = 128
    word_lr: float = 2e-3
    word_smoothing: float = 0.05
    word_weight_decay: float = 0.01
    word_ema: float = 0.998
    word_clip: float = 5.0

    def reading(self) -> Self:
        """Return how a member that reads words is trained."""
        return replace(
            self,
            epochs=self.word_epochs,
            batch=self.word_batch,
            lr=self.word_lr,
            smoothing=self.word_smoothing,
            weight_decay=self.word_weight_decay,
            ema=self.word_ema,
            optimizer="adamw",
            clip=self.word_clip,
        )


RECIPES: dict[str, Recipe] = {"audio": AudioRecipe(), "face": FaceRecipe(), "text": TextRecipe()}


def altered(recipe: Recipe, options: Mapping[str, Any]) -> Recipe:
    """Return the recipe with ``options`` replaced; raises ``ConfigError`` naming each unknown key or wrong value."""
    from pydantic import TypeAdapter, ValidationError

    known = [field.name for field in fields(recipe)]
    unknown = [key for key in options if key not in known]
    if unknown:
        raise ConfigError("; ".join(f"unknown recipe option '{key}'{near(key, known)}" for key in unknown))
    try:
        return TypeAdapter(type(recipe)).validate_python({**asdict(recipe), **options})
    except ValidationError as fault:
        wrong = [f"recipe option '{e['loc'][0]}' is {e['input']!r}: {e['msg'].lower()}" for e in fault.errors()]
        raise ConfigError("; ".join(wrong)) from fault
