"""The encoders of SMIL MER (Ryumina et al. 2024, github.com/SMIL-SPCRAS/MER): windows every 2 s, their mean and spread.

Where the published code is at fault, here it is not: windows go through the network in batches, faces are not
averaged over people, silence and missing faces are told. Numbers differ from it only where a docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError
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
    trained_on: tuple[str, ...] | None = None,
    window: float = 4.0,
    step: float = 2.0,
    statistics: tuple[str, ...] = STATISTICS,
    pooled: bool = True,
    batch: int = 16,
) -> Encoder:
    """Emotional wav2vec 2.0 of SMIL MER: 256 numbers a window of 4 s every 2 s, their mean and spread: 512.

    ``model``: a folder, or a name on the Hugging Face hub. ``weights``: a state dict (.pt, .safetensors) in the place
    of the model's own, as the authors fine-tuned them. ``trained_on``: what such weights saw, each ``corpus`` or
    ``corpus:split``. ``pooled=False`` keeps a row per window with its times.
    """
    samples = _span(window, step, RATE)
    summary = Summary(tuple(statistics), pooled)
    opened = checkpoints.open_model(model, revision, weights, ("preprocessor_config.json",))
    from mercli.features.seeds.smil_audio_net import SmilAudio

    return SmilAudio(opened, _seen(trained_on, AUDIO_SAW), samples, summary, batch)


@plugin("encoders", "smil-face", modality="face", dim=1024, trained_on=FACE_SAW)
def smil_face(
    *,
    weights: str | None = None,
    trained_on: tuple[str, ...] | None = None,
    window: float = 4.0,
    step: float = 2.0,
    statistics: tuple[str, ...] = STATISTICS,
    pooled: bool = True,
    batch: int = 64,
    compat: bool = False,
) -> Encoder:
    """ResNet-50 on AffectNet of SMIL MER: 512 numbers a window of 20 faces every 10, their mean and spread: 1024.

    ``weights``: the path of ``FER_static_ResNet50_AffectNet.pt``, required. ``trained_on``: what other weights saw,
    each ``corpus`` or ``corpus:split``. ``pooled=False`` keeps a row per window with its times. ``compat=True``
    averages the pixels of faces that share a frame's time, as the published code does; else each counts by itself.
    """
    frames = _span(window, step, FPS)
    summary = Summary(tuple(statistics), pooled)
    if weights is None:
        raise ConfigError(
            "encoder 'smil-face' needs its option 'weights', the path of 'FER_static_ResNet50_AffectNet.pt', "
            "which its authors share under 'Accessing the Models' of github.com/SMIL-SPCRAS/MER",
            "mer extract --preset smil --set recipe.encoders.face.options.weights=PATH ...",
        )
    checkpoint = checkpoints.read(Path(weights).expanduser())
    from mercli.features.seeds.smil_face_net import SmilFace

    return SmilFace(checkpoint, _seen(trained_on, FACE_SAW), frames, summary, batch, compat)


@plugin("encoders", "smil-text", modality="text", dim=768, trained_on=TEXT_SAW)
def smil_text(
    *,
    model: str = TEXT,
    revision: str | None = None,
    weights: str | None = None,
    trained_on: tuple[str, ...] | None = None,
    batch: int = 16,
) -> Encoder:
    """Emotional DistilRoBERTa of SMIL MER: 768 numbers an English text, its classifier's dense layer before tanh.

    ``model``: a folder, or a name on the Hugging Face hub. ``weights``: a state dict (.pt, .safetensors) in the place
    of the model's own, as the authors fine-tuned them. ``trained_on``: what such weights saw, each ``corpus`` or
    ``corpus:split``.
    """
    opened = checkpoints.open_model(model, revision, weights, TOKENS)
    from mercli.features.seeds.smil_text_net import SmilText

    return SmilText(opened, _seen(trained_on, TEXT_SAW), batch)


def _span(window: float, step: float, rate: int) -> tuple[int, int]:
    """Return a window's width and step in samples or frames; raises ``ConfigError`` before anything is loaded."""
    width, stride = round(window * rate), round(step * rate)
    window_spans(1, width, stride)
    return width, stride


def _seen(told: Sequence[str] | None, known: tuple[TrainedOn, ...]) -> tuple[TrainedOn, ...]:
    """Return what weights were trained on: what the user says, else what is known of the public model."""
    return known if told is None else tuple(map(TrainedOn.told, told))
