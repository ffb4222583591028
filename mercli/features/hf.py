"""``hf-audio``, ``hf-vision``, ``hf-text``: any model of the Hugging Face hub, or a folder in its form, as an encoder.

No code of a model's own is ever run, and weights are safetensors or tensors alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError
from mercli.features.hub import Pin
from mercli.features.seeds import checkpoints
from mercli.features.windows import Summary
from mercli.registry import plugin


@plugin("encoders", "hf-audio", modality="audio", dim=None, trained_on=())
def hf_audio(
    *,
    model: str,
    revision: str | None = None,
    sha256: Pin = None,
    layer: int = -1,
    pooling: Literal["mean", "none"] = "mean",
    window: float | None = None,
    step: float | None = None,
    trained_on: tuple[str, ...] | None = None,
    batch: int = 8,
) -> Encoder:
    """Any speech model of the Hugging Face hub (wav2vec 2.0, HuBERT, WavLM, w2v-BERT, Whisper's encoder ...).

    ``model``: a name on the hub or a folder; ``revision`` one of its commits, ``sha256`` that of its weights (of each
    file): other ones are refused. ``layer``: which hidden state, -1 the model's output, 0 what enters the first layer.
    ``pooling``: ``mean`` of a window's frames, or ``none``: a row per frame. ``window`` and ``step`` in seconds;
    without them a segment is one window, above 20 s in equal parts. ``trained_on``: what its weights saw, each
    ``corpus`` or ``corpus:split``; nothing is known of it otherwise.
    """
    if window is None and step is not None:
        raise ConfigError("option 'step' is given without 'window'", "mer list encoders --json")
    for name, value in (("window", window), ("step", step)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"option '{name}' is {value!r}, expected seconds above 0", "mer list encoders --json")
    _positive(batch)
    from mercli.features.hf_audio_net import HfAudio, Windows

    cut = None if window is None else Windows(window, step or window)
    return HfAudio(model, revision, sha256, layer, pooling == "mean", cut, batch, seen(trained_on, model))


@plugin("encoders", "hf-vision", modality="face", dim=None, trained_on=())
def hf_vision(
    *,
    model: str,
    revision: str | None = None,
    sha256: Pin = None,
    layer: int = -1,
    pooling: Literal["auto", "cls", "mean"] = "auto",
    statistics: tuple[str, ...] = (),
    fps: float = 5.0,
    margin: float = 0.0,
    trained_on: tuple[str, ...] | None = None,
    batch: int = 8,
) -> Encoder:
    """Any picture model of the Hugging Face hub (ViT, CLIP, DINOv2, Swin, ResNet ...): a row per face.

    ``model``: a name on the hub or a folder; ``revision`` one of its commits, ``sha256`` that of its weights (of each
    file): other ones are refused. ``layer``: which hidden state, -1 the model's output. ``pooling``: ``auto`` takes
    what the model itself makes of a picture where its weights can, else its class token, else the mean over places;
    ``cls``; ``mean``. ``statistics`` (mean, std, p0 to p100) make one row of a segment's faces. ``fps``, ``margin``:
    faces looked for a second, and what is left around them. ``trained_on``: what its weights saw, each ``corpus`` or
    ``corpus:split``; nothing is known of it otherwise.
    """
    if not 0 < fps < float("inf"):
        raise ConfigError(f"option 'fps' is {fps!r}, expected a number above 0", "mer list encoders --json")
    _positive(batch)
    summary = Summary(tuple(statistics)) if statistics else Summary(pooled=False)
    from mercli.features.hf_vision_net import HfVision

    return HfVision(model, revision, sha256, layer, pooling, summary, (fps, margin), batch, seen(trained_on, model))


@plugin("encoders", "hf-text", modality="text", dim=None, trained_on=())
def hf_text(
    *,
    model: str,
    revision: str | None = None,
    sha256: Pin = None,
    layer: int = -1,
    pooling: Literal["cls", "mean", "none"] = "cls",
    language: str | None = None,
    tokens: int | None = None,
    trained_on: tuple[str, ...] | None = None,
    batch: int = 16,
) -> Encoder:
    """Any text model of the Hugging Face hub (BERT, RoBERTa, DeBERTa, T5's encoder ...).

    ``model``: a name on the hub or a folder; ``revision`` one of its commits, ``sha256`` that of its weights (of each
    file): other ones are refused. ``layer``: which hidden state, -1 the model's output, 0 its embeddings. ``pooling``:
    the class token, the mean of all tokens, or ``none``: a row per token, with the times of its word. ``language``: two
    letters, where the model reads but one: a text known to be in another is absent. ``tokens``: texts are cut there;
    the model's own limit otherwise. ``trained_on``: what its weights saw, each ``corpus`` or ``corpus:split``; nothing
    is known of it otherwise.
    """
    if tokens is not None and tokens < 1:
        raise ConfigError(f"option 'tokens' is {tokens}, expected 1 or more", "mer list encoders --json")
    _positive(batch)
    from mercli.features.hf_text_net import HfText

    return HfText(model, revision, sha256, layer, pooling, language, tokens, batch, seen(trained_on, model))


def seen(told: Sequence[str] | None, model: str | None = None) -> tuple[TrainedOn, ...]:
    """Return what weights were trained on: what the user says, else what the card of a tuned encoder does."""
    if told is None:
        return (checkpoints.learned(model) if model else None) or ()
    return tuple(map(TrainedOn.told, told))


def _positive(batch: int) -> None:
    if batch < 1:
        raise ConfigError(f"option 'batch' is {batch}, expected 1 or more", "mer list encoders --json")
