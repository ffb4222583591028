"""The encoder ``text-guided-audio``: acoustic, prosodic and spectral numbers as text-guided attention is fed with."""

from __future__ import annotations

from mercli.contracts import Encoder
from mercli.errors import ConfigError
from mercli.registry import plugin

DIM = 512 + 25 + 25


@plugin("encoders", "text-guided-audio", modality="audio", dim=DIM, trained_on=())
def text_guided_audio(*, window: float | None = None, step: float | None = None) -> Encoder:
    """Acoustic 512, prosodic 25, spectral 25 statistics of a sound, in this order; no trained weights.

    The system is published with these widths and without a word on what the numbers are: this is our choice, named in
    ``features/seeds/text_guided_sound.py`` dimension by dimension. ``window`` and ``step`` in seconds give a row each,
    so that attention has several to choose from; by default a segment is one row, as published. The same at any level.
    """
    for name, value in (("window", window), ("step", step)):
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"option '{name}' is {value!r}, expected seconds above 0", "mer list encoders --json")
    if window is None and step is not None:
        raise ConfigError("option 'step' is given without 'window'", "mer list encoders --json")
    from mercli.features.seeds.text_guided_sound import TextGuidedAudio

    return TextGuidedAudio(None if window is None else (window, step or window))
