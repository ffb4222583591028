"""One frozen model per command; every fault is told with its path and the known keys.

Order: defaults < ``base:`` preset < preset < ``--set a.b=value``. An ordinary flag is the spelling of one ``--set``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mercli import config_sets, presets
from mercli.config_compat import Seed, as_the_seed
from mercli.config_fit import Curriculum, Distill, EndToEnd, Loss, Monitor, Optimizer, RateSchedule
from mercli.errors import ConfigError
from mercli.registry import near
from mercli.types import MODALITIES, Modality


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Frozen):
    """A plugin by name, with its options."""

    name: str
    options: dict[str, Any] = Field(default_factory=dict)


class Config(_Frozen):
    """What every command's config shares; ``main`` is the field whose plugin bare ``--set`` keys speak to."""

    command: ClassVar[str] = ""
    main: ClassVar[str | None] = None
    data: str = "data"
    runs: str = "runs"


class Recipe(_Frozen):
    """How features are made from a clip: a bundle carries it, so that ``predict`` makes them the same way."""

    encoders: dict[Modality, Choice]
    face: Literal["speaker", "largest", "all", "whole"] = "speaker"
    transcriber: Choice = Choice(name="auto")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"


EMBEDDED: dict[Modality, Choice] = {m: Choice(name=f"embedded-{m}") for m in MODALITIES}


class PrepareConfig(Config):
    """``mer prepare``: a raw corpus becomes a manifest."""

    command: ClassVar[str] = "prepare"
    main: ClassVar[str | None] = "corpus"
    corpus: Choice
    root: str
    name: str | None = None
    split: str | None = None
    seed: int = 0
    hash: bool = False
    probe: bool = True
    check: bool = False
    transcribe: bool = False
    transcriber: Choice = Choice(name="auto")
    streams: bool = False
    recipe: Recipe = Recipe(encoders=EMBEDDED)
    dry_run: bool = False


class ExtractConfig(Config):
    """``mer extract``: segments become features in the store."""

    command: ClassVar[str] = "extract"
    corpora: tuple[str, ...] = Field(min_length=1)
    recipe: Recipe = Recipe(encoders=EMBEDDED)
    compat: Seed | None = None
    modalities: tuple[Modality, ...] = MODALITIES
    engine: Choice = Choice(name="local")
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    device: str = "auto"
    shard: str | None = None
    strict: bool = False
    max_fail: float = Field(default=1.0, ge=0, le=1)


class FitConfig(Config):
    """What ``train`` and ``loco`` share: corpora, head, and how it is fitted.

    ``dropout_kind``: ``rate`` hides each modality of each segment with the chance ``modality_dropout``. Whatever that
    is, ``softhard``, ``noise`` and ``hard`` take a batch in copies with sound or face weakened, hidden or replaced
    (AVT-CA).
    ``mixup`` is the alpha of mixtures (Zhang et al. 2018), 0 for none. ``oversample``: to how many items of a class the
    sampler of that name goes, else to the largest's. ``checkpoint``: seconds between two looks at a training that can
    be resumed. ``reduce`` {modality: C}: to how many principal components of the training rows. ``compat``: the system
    whose code's defects are to be repeated. ``scheme``: which labels are learned, where not the seven classes;
    ``monitor``: the dev figure that chooses the epoch, the main one of the scheme's kind where none is told.
    """

    main: ClassVar[str | None] = "head"
    corpora: tuple[str, ...] = Field(min_length=1)
    recipe: Recipe = Recipe(encoders=EMBEDDED)
    compat: Seed | None = None
    modalities: tuple[Modality, ...] = MODALITIES
    classes: tuple[str, ...] = ()
    scheme: str | None = None
    head: Choice = Choice(name="late")
    seeds: int = Field(default=1, ge=1)
    seed: int = 0
    epochs: int = Field(default=60, ge=1)
    patience: int = Field(default=10, ge=1)
    batch: int = Field(default=32, ge=1)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    modality_dropout: float = Field(default=0.2, ge=0, lt=1)
    dropout_kind: Literal["rate", "softhard", "noise", "hard"] = "rate"
    mixup: float = Field(default=0.0, ge=0)
    curriculum: Curriculum = Curriculum()
    optimizer: Optimizer = Optimizer()
    schedule: RateSchedule = RateSchedule()
    loss: Loss = Loss()
    accumulate: int = Field(default=1, ge=1)
    clip: float = Field(default=1.0, ge=0)
    monitor: Monitor | None = None
    sampler: Literal["shuffled", "balanced", "by-corpus", "oversample", "in-order"] = "shuffled"
    oversample: int | None = Field(default=None, ge=1)
    reduce: dict[Modality, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    standardise: bool = True
    engine: Choice = Choice(name="local")
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    checkpoint: float = Field(default=60.0, ge=0)
    tensorboard: bool = False
    require: Literal["any", "all"] = "any"
    allow_leak: bool = False
    end_to_end: EndToEnd = EndToEnd()


class TrainConfig(FitConfig):
    """``mer train``: a fusion head on stored features."""

    command: ClassVar[str] = "train"
    folds: str = "official"
    drop: tuple[str, ...] = ()
    distill: Distill = Distill()


class EncoderRow(_Frozen):
    """A row of the encoder x left-out table: a recipe (else that of the run), and encoders laid over it."""

    recipe: Recipe | None = None
    modalities: tuple[Modality, ...] = MODALITIES
    tuned: dict[Modality, Choice] = Field(default_factory=dict)


class LocoConfig(FitConfig):
    """``mer loco``: leave one corpus out."""

    command: ClassVar[str] = "loco"
    corpora: tuple[str, ...] = Field(min_length=2)
    heads: tuple[str, ...] = ()
    encoders: dict[str, EncoderRow] = Field(default_factory=dict)
    score: Literal["test", "all"] = "test"
    matrix: bool = False
    compare: str | None = None
    final: bool = False

    @field_validator("end_to_end")
    @classmethod
    def _heads_alone(cls, told: EndToEnd) -> EndToEnd:
        if told.on:
            raise ValueError("encoders learn along with a head in mer train only")
        return told


class PredictConfig(Config):
    """``mer predict``: clips become emotions."""

    command: ClassVar[str] = "predict"
    main: ClassVar[str | None] = "transcriber"
    model: tuple[str, ...] = ("embedded",)
    text: str | None = None
    transcriber: Choice = Choice(name="auto")
    windows: str | None = None
    by_speech: bool = False
    face: Literal["speaker", "largest", "all", "whole"] | None = None
    prior: str = "uniform"
    explain: bool = False
    alone: bool = False
    abstain: float = Field(default=0.0, ge=0, le=1)
    device: str = "auto"
    jobs: int = Field(default=1, ge=1)
    strict: bool = False


C = TypeVar("C", bound=Config)
PRESETTED: tuple[type[Config], ...] = (ExtractConfig, TrainConfig, LocoConfig, PredictConfig)


def over_defaults(model: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` laid over the defaults of nested fields, so that naming one key of a field keeps the others."""
    defaults = {name: info.default for name, info in model.model_fields.items()}
    nested = {name: default.model_dump() for name, default in defaults.items() if isinstance(default, BaseModel)}
    return presets.lay(nested, values)


def resolve(
    model: type[C],
    flags: Mapping[str, Any],
    *,
    preset: str | None = None,
    sets: Iterable[str] = (),
    under: Mapping[str, Any] | None = None,
) -> C:
    """Return the validated config of a command.

    ``flags`` maps dotted keys to the values given on the command line (``None`` = not given); ``under``: what lies in
    the place of the defaults. Raises ``ConfigError`` that tells every fault with its path.
    """
    given = [(key.split("."), value) for key, value in flags.items() if value is not None]
    given += [(config_sets.place(model, key), value) for key, value in map(config_sets.override, sets)]
    command_line: dict[str, Any] = {}
    for path, value in given:
        command_line = presets.merge(command_line, config_sets.layer(path, value))
    merged = over_defaults(model, presets.lay(under or {}, presets.load(preset, model.command) if preset else {}))
    merged = as_the_seed(presets.lay(merged, command_line))
    return validate(model, merged, f"preset '{preset}'" if preset else "configuration")


def validate(model: type[C], values: Mapping[str, Any], what: str) -> C:
    """Return the model of ``values``; raises ``ConfigError`` with each fault's path, value and the known keys."""
    try:
        return model.model_validate(values)
    except ValidationError as fault:
        lines = [_explain(model, error) for error in fault.errors()]
        raise ConfigError(f"{what}: {'; '.join(lines)}", f"mer {model.command} --help") from fault


def _explain(model: type[BaseModel], error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        parent: Any = model
        for part in error["loc"][:-1]:
            fields = getattr(parent, "model_fields", {})
            parent = fields[part].annotation if part in fields else parent
        return f"unknown key '{path}'{near(str(error['loc'][-1]), getattr(parent, 'model_fields', {}))}"
    if error["type"] == "missing":
        return f"'{path}' is required"
    if error["type"] == "too_short":
        return f"'{path}' is {', '.join(map(str, error['input']))}, expected {error['ctx']['min_length']} or more"
    return f"'{path}' is {error['input']!r}: {error['msg'].lower()}"


def share(text: str) -> float:
    """Return a share in 0..1 from ``5%`` or ``0.05``; raises ``ConfigError`` for anything else."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"'{text}' is no share, expected 5% or 0.05")
    return value


def shard(text: str) -> tuple[int, int]:
    """Return which part of how many ``i/n`` asks for; raises ``ConfigError`` for another form.

    ``n/n`` is ``0/n``, so that arrays that count from 1 work as those that count from 0 do.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(count) > 0 and int(number) <= int(count)):
        raise ConfigError(
            f"--shard '{text}' cannot be read, expected i/n with i in 0..n", "mer extract --shard 0/10 ..."
        )
    return int(number) % int(count), int(count)
