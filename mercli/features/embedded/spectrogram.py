"""What ``embedded-audio`` sees of a voice: log-mel spectrograms of its speech, one a view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 16_000
HOP = 160
BANDS = 64
SHORTEST = 3200
"""Samples below which a wave is padded with silence (0.2 s)."""
FLOOR = 1e-4
"""Root-mean-square level below which a clip counts as silent (-80 dB of full scale)."""
_FRAME = 400


@dataclass(frozen=True)
class View:
    """A spectrogram's window and transform in samples, its lowest and highest frequency in Hz."""

    window: int
    transform: int
    low: float
    high: float


VIEWS = (View(400, 512, 50, 7600), View(1024, 2048, 50, 2000), View(1024, 2048, 50, 4500))
"""Phones and timbre in 25 ms; the voice's pitch and its harmonics, which need 64 ms, finely and further up."""


@cache
def _spectrogram(window: int, transform: int) -> nn.Module:
    from torchaudio.transforms import Spectrogram

    return Spectrogram(transform, window, HOP)


@cache
def _bands(view: View) -> nn.Module:
    from torchaudio.transforms import MelScale

    return MelScale(BANDS, RATE, view.low, view.high, view.transform // 2 + 1)


def _levels(wave: Tensor) -> Tensor:
    """Return the root-mean-square level of each 25 ms frame of ``wave`` (N,), one every 10 ms."""
    wave = F.pad(wave, (0, max(0, _FRAME - len(wave))))
    return wave.unfold(0, _FRAME, HOP).square().mean(1).sqrt()


def loudest(wave: Tensor) -> float:
    """Return the level of the loudest frame of ``wave`` (N,)."""
    return float(_levels(wave).max())


def voiced(wave: Tensor, below: float = 35.0) -> slice:
    """Return the stretch of ``wave`` (N,) from the first to the last 25 ms frame within ``below`` dB of the loudest.

    Empty where the whole is silent.
    """
    level = _levels(wave)
    if level.max() < FLOOR:
        return slice(0, 0)
    loud = (level >= level.max() * 10 ** (-below / 20)).nonzero().flatten()
    return slice(int(loud[0]) * HOP, min(len(wave), int(loud[-1]) * HOP + _FRAME))


def stacked(mels: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return spectrograms (V, 64, T_i) as one padded batch (B, V, 64, T) and their lengths (B,)."""
    frames = torch.tensor([mel.shape[2] for mel in mels])
    return torch.stack([F.pad(mel, (0, int(frames.max()) - mel.shape[2])) for mel in mels]), frames


def log_mel(wave: Tensor, look: Sequence[int] = range(len(VIEWS))) -> Tensor:
    """Return log-mel spectrograms (V, 64, frames of 10 ms) of ``wave`` (N,), one a view, each normalised as a whole.

    The floor lies 80 dB under the loudest band, so the result does not depend on the level of the recording.
    """
    if len(wave) < SHORTEST:
        wave = F.pad(wave, (0, SHORTEST - len(wave)))
    views = [VIEWS[number] for number in look]
    sizes = sorted({(view.window, view.transform) for view in views})
    power = {size: _spectrogram(*size)(wave) for size in sizes}
    return torch.stack([_normalised(_bands(view)(power[view.window, view.transform])) for view in views])


def _normalised(power: Tensor) -> Tensor:
    decibels = 10 * torch.log10(power.clamp_min(power.max() * 1e-8 + 1e-20))
    return (decibels - decibels.mean()) / decibels.std().clamp_min(1.0)
