"""The encoders of SMIL MER (Ryumina et al. 2024, github.com/SMIL-SPCRAS/MER): windows every 2 s, their mean and spread.

Where the published code is at fault, here it is not: windows go through the network in batches, faces are not
averaged over people, silence and missing faces are told. Numbers differ from it only where a docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError
from mercli.features.hub import Pin
from mercli.features.seeds import checkpoints
from mercli.features.windows import STATISTICS, Summary, window_spans
from mercli.registry import plugin

AUDIO = "DunnBC22/wav2vec2-base-Speech_Emotion_Recognition"
TEXT = "j-hartmann/emotion-english-distilroberta-base"
TOKENS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
RATE = 16_000
FPS = 5

# the audio model's card names Kaggle's "Speech Emotion Recognition (en)", which holds these four, and no split
AUDIO_SAW = tuple(TrainedOn(corpus, "all") for corpus in ("ravdess", "cremad", "savee", "tess"))
FACE_SAW = (TrainedOn("affectnet", "train"),)
# of the six sources on the text model's card, the two that are corpora with splits
TEXT_SAW = (TrainedOn("meld", "train"), TrainedOn("goemotions", "train"))


@plugin("encoders", "smil-audio", modality="audio", dim=512, trained_on=AUDIO_SAW)
def smil_audio(
    *,
    model: str = AUDIO,
    revision: str | None = None,
    weights: str | None = None,
    sha256: Pin = None,
    trained_on: tuple[str, ...] | None = None,
    window: float = 4.0,
    step: float = 2.0,
    statistics: tuple[str, ...] = STATISTICS,
    pooled: bool = True,
    batch: int = 8,
) -> Encoder:
    """Emotional wav2vec 2.0 of SMIL MER: 256 numbers a window of 4 s every 2 s, their mean and spread: 512.

    ``model``: a folder, or a name on the Hugging Face hub. ``weights``: a state dict (.pt, .safetensors) in the place
    of the model's own, as the authors fine-tuned them; ``sha256`` pins those used. ``trained_on``: what such weights
    saw, each ``corpus`` or ``corpus:split``. ``pooled=False`` keeps a row per window with its times.
    """
    samples = _span(window, step, RATE)
    summary = Summary(tuple(statistics), pooled)
    opened = checkpoints.open_model(model, revision, weights, ("preprocessor_config.json",), sha256)
    from mercli.features.seeds.smil_audio_net import SmilAudio

    return SmilAudio(opened, _seen(trained_on, AUDIO_SAW, model), samples, summary, batch)


OUTSIDE = ("FER_static_ResNet50_AffectNet.pt", "github.com/SMIL-SPCRAS/MER")
"""The weights that no hub has, and where their authors share them."""


@plugin("encoders", "smil-face", modality="face", dim=1024, trained_on=FACE_SAW, outside=OUTSIDE)
def smil_face(
    *,
    weights: str | None = None,
    sha256: Pin = None,
    trained_on: tuple[str, ...] | None = None,
    window: float = 4.0,
    step: float = 2.0,
    statistics: tuple[str, ...] = STATISTICS,
    pooled: bool = True,
    batch: int = 16,  # 64 take half as much time again on a CPU, for memory
    compat: bool = False,
) -> Encoder:
    """ResNet-50 on AffectNet of SMIL MER: 512 numbers a window of 20 faces every 10, their mean and spread: 1024.

    ``weights``: the path of ``FER_static_ResNet50_AffectNet.pt``, required; ``sha256`` pins it. ``trained_on``: what
    other weights saw, each ``corpus`` or ``corpus:split``. ``pooled=False`` keeps a row per window with its times.
    ``compat=True`` does as the published code: it takes every n-th frame, n rounded down from a fifth of the rate (6 a
    second at 29.97 and 24 fps, where 5 are meant), and averages the pixels of faces that share a frame; else each
    counts by itself. All numbers change but for one face at 25 or 30 fps; faces are looked for in every frame.
    """
    frames = _span(window, step, FPS)
    summary = Summary(tuple(statistics), pooled)
    if weights is None:
        raise ConfigError(
            "encoder 'smil-face' needs its option 'weights', the path of 'FER_static_ResNet50_AffectNet.pt', "
            "which its authors share under 'Accessing the Models' of github.com/SMIL-SPCRAS/MER",
            "mer extract --preset smil --set recipe.encoders.face.options.weights=PATH ...",
        )
    checkpoint = checkpoints.read(Path(weights).expanduser(), sha256)
    from mercli.features.seeds.smil_face_net import SmilFace

    return SmilFace(checkpoint, _seen(trained_on, FACE_SAW, weights), frames, summary, batch, compat)


@plugin("encoders", "smil-text", modality="text", dim=768, trained_on=TEXT_SAW)
def smil_text(
    *,
    model: str = TEXT,
    revision: str | None = None,
    weights: str | None = None,
    sha256: Pin = None,
    trained_on: tuple[str, ...] | None = None,
    batch: int = 16,
) -> Encoder:
    """Emotional DistilRoBERTa of SMIL MER: 768 numbers an English text, its classifier's dense layer before tanh.

    ``model``: a folder, or a name on the Hugging Face hub. ``weights``: a state dict (.pt, .safetensors) in the place
    of the model's own, as the authors fine-tuned them; ``sha256`` pins those used. ``trained_on``: what such weights
    saw, each ``corpus`` or ``corpus:split``.
    """
    opened = checkpoints.open_model(model, revision, weights, TOKENS, sha256)
    from mercli.features.seeds.smil_text_net import SmilText

    return SmilText(opened, _seen(trained_on, TEXT_SAW, model), batch)


def _span(window: float, step: float, rate: int) -> tuple[int, int]:
    """Return a window's width and step in samples or frames; raises ``ConfigError`` before anything is loaded."""
    width, stride = round(window * rate), round(step * rate)
    window_spans(1, width, stride)
    return width, stride


def _seen(told: Sequence[str] | None, known: tuple[TrainedOn, ...], place: str) -> tuple[TrainedOn, ...]:
    """Return what weights were trained on: what the user says, a tuned encoder's card, else what is known publicly."""
    return (checkpoints.learned(place) or known) if told is None else tuple(map(TrainedOn.told, told))
