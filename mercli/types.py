"""The few types every stage shares.

Frozen dataclasses; times are seconds from the start of the clip, intervals half-open; segment ids are
``corpus/clip/segment``. A missing modality is ``None`` with a reason, never zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    BoolArray = NDArray[np.bool_]
    ByteArray = NDArray[np.uint8]

Modality = Literal["audio", "face", "text"]
MODALITIES: tuple[Modality, ...] = ("audio", "face", "text")

Label = str | float | dict[str, float]
SchemeKind = Literal["one-of", "many-of", "values"]


@dataclass(frozen=True)
class Clip:
    """One recording of a corpus: its media files (absolute or relative to the corpus root) and length in seconds."""

    id: str
    corpus: str
    video: str | None = None
    audio: str | None = None
    image: str | None = None
    duration: float | None = None
    sha256: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Word:
    """A spoken word: ``[start, end)`` in seconds, confidence in 0..1 where the source gives one."""

    text: str
    start: float
    end: float
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a clip that carries labels: what is said, by whom, when, and which modalities must not be used."""

    id: str
    clip_id: str
    start: float
    end: float | None = None
    region: str | None = None
    speaker: str | None = None
    sex: str | None = None
    dialogue: str | None = None
    turn: int | None = None
    text: str | None = None
    text_source: str | None = None
    text_trust: float | None = None
    language: str | None = None
    words: tuple[Word, ...] = ()
    masked: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Label] = field(default_factory=dict)
    split: str | None = None


@dataclass(frozen=True)
class StreamSettings:
    """What an encoder needs decoded: audio rate in Hz, face frames per second, side and margin of the face crop.

    ``longest``: seconds of a segment that are encoded at once (longer ones come in equal parts, whose rows are joined);
    ``None`` where the encoder must see a segment whole, at the price of memory.
    """

    audio_rate: int = 16_000
    face_fps: float = 5.0
    face_size: int = 112
    face_margin: float = 0.0
    longest: float | None = 20.0


@dataclass(frozen=True)
class Transcript:
    """What was said in a clip, where the words come from, and how far they can be trusted (0..1)."""

    text: str
    source: str
    words: tuple[Word, ...] = ()
    language: str | None = None
    trust: float | None = None


@dataclass(frozen=True, eq=False)
class Streams:
    """One segment's aligned raw material.

    ``audio`` float32 (N,) mono at ``audio_rate``; ``faces`` uint8 (F, H, W, 3) RGB with ``face_times`` (F,) seconds and
    ``face_confidence`` (F,), 0 where the frame has no face, and ``face_boxes`` (F, 4): left, top, width, height in 0..1
    of the picture, NaN where there is no face, ``None`` where they were not stored; ``transcript`` with word times.
    ``missing`` gives the reason for each absent modality, ``id`` the segment (ready-made features look it up).
    """

    id: str = ""
    audio: FloatArray | None = None
    audio_rate: int = 16_000
    faces: ByteArray | None = None
    face_times: FloatArray | None = None
    face_confidence: FloatArray | None = None
    face_boxes: FloatArray | None = None
    transcript: Transcript | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Feature:
    """A sequence of vectors: ``values`` float32 (T, D), ``times`` float32 (T, 2) seconds, ``valid`` bool (T,)."""

    values: FloatArray
    times: FloatArray
    valid: BoolArray


@dataclass(frozen=True, eq=False, slots=True)
class FeatureBundle:
    """A segment's features by modality; ``None`` where the modality is absent, with its reason in ``missing``.

    ``text_trust``: how far the transcript behind the text feature can be trusted (0..1), ``None`` for a person's words.
    """

    segment_id: str
    features: Mapping[str, Feature | None]
    missing: Mapping[str, str] = field(default_factory=dict)
    text_trust: float | None = None


@dataclass(frozen=True)
class LabelScheme:
    """What is predicted: ``one-of`` K names, ``many-of`` K names, or ``values`` (K dimensions in ``low..high``)."""

    name: str
    kind: SchemeKind
    names: tuple[str, ...]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LabelMap:
    """Labels of a source scheme in a target scheme; ``None`` drops the label, and every drop is counted."""

    source: str
    target: str
    table: Mapping[str, str | None]


@dataclass(frozen=True)
class Prediction:
    """The answer for one clip or segment; ``docs/schemas/prediction.schema.json`` publishes its form.

    ``kind`` is that of its scheme. One-of ``scores`` are probabilities that sum to 1, and ``label`` is the name of the
    highest. Many-of ones are independent probabilities at even odds, and ``label`` joins the names at 0.5 or more with
    ``+``, or is ``none``. Values are on the scheme's scale, and have no ``label``; nor has an answer where the model
    abstained or an ``error`` occurred. ``target`` is a name, or by name what is there (0 or 1) or its value.

    ``cluster`` is what a corpus's segment is not independent of (its speaker, dialogue or clip). ``shares`` are exact
    Shapley shares per modality, ``alone`` the scores that each gives with the others masked. ``words`` are those of
    ``text`` that have times.
    """

    id: str
    clip: str
    start: float
    end: float | None
    scheme: str
    scores: Mapping[str, float]
    label: str | None
    run: str
    target: Label | None = None
    fold: str | None = None
    cluster: str | None = None
    modalities: tuple[str, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    text_source: str | None = None
    text_trust: float | None = None
    words: tuple[Word, ...] = ()
    shares: Mapping[str, float] | None = None
    alone: Mapping[str, Mapping[str, float]] | None = None
    error: str | None = None
    kind: SchemeKind = "one-of"
