"""Random changes to training speech, drawn from one generator so that a step can be repeated exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor

from mercli.features.embedded.spectrogram import RATE
from mercli.tuning.embedded.augment import between
from mercli.tuning.embedded.recipes import AudioRecipe


class Shares(Protocol):
    """What share of waves is made to sound as in a room, through a narrow band, in noise."""

    @property
    def room(self) -> float:
        """Share with reverberation."""
        ...

    @property
    def band(self) -> float:
        """Share through a narrow band."""
        ...

    @property
    def noise(self) -> float:
        """Share with noise."""
        ...


def _draw(low: float, high: float, generator: Generator) -> float:
    return float(between(1, low, high, generator))


def _happens(share: float, generator: Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


def paced(wave: Tensor, amount: float, generator: Generator) -> Tensor:
    """Return ``wave`` (N,) played up to ``amount`` faster or slower in steps of 5 %, pitch and all.

    Resampled by a windowed sinc: a cheaper interpolation leaves images in the upper bands that clean speech lacks.
    """
    from torchaudio.functional import resample

    most = round(amount * 20)
    step = int(torch.randint(-most, most + 1, (1,), generator=generator))
    return resample(wave, 20 + step, 20) if step else wave


def common_length(waves: Sequence[Tensor], recipe: AudioRecipe, generator: Generator) -> int:
    """Return the length in samples that a batch is cut to: a quantile of its lengths, drawn from the recipe's span.

    Batches with little padding are quicker, and their normalisation sees speech only.
    """
    lengths = sorted(len(wave) for wave in waves)
    place = _draw(recipe.shortest, recipe.longest, generator) * (len(lengths) - 1)
    return max(lengths[round(place)], RATE // 2)


def excerpt(wave: Tensor, longest: int, generator: Generator) -> Tensor:
    """Return ``wave`` (N,), or a random stretch of ``longest`` samples where it is longer."""
    spare = max(0, len(wave) - longest)
    start = int(torch.randint(0, spare + 1, (1,), generator=generator))
    return wave[start : start + longest]


def roomy(wave: Tensor, generator: Generator) -> Tensor:
    """Return ``wave`` as a room sounds: convolved with decaying noise, the direct sound before it."""
    decay = _draw(0.1, 0.5, generator)
    count = round(decay * RATE)
    tail = torch.randn(count, generator=generator) * 10 ** (-3 * torch.arange(count) / count)
    response = tail * (_draw(0.1, 0.6, generator) / tail.square().sum().sqrt())
    response[0] = 1.0
    size = len(wave) + count
    return torch.fft.irfft(torch.fft.rfft(wave, size) * torch.fft.rfft(response, size), size)[: len(wave)]


def narrowed(wave: Tensor, generator: Generator) -> Tensor:
    """Return ``wave`` through a telephone's or a cheap codec's band, with slopes of 200 Hz."""
    low, high = _draw(50, 400, generator), _draw(2800, 7000, generator)
    spectrum = torch.fft.rfft(wave)
    hertz = torch.linspace(0, RATE / 2, len(spectrum))
    gain = torch.sigmoid((hertz - low) / 50) * torch.sigmoid((high - hertz) / 50)
    return torch.fft.irfft(spectrum * gain, len(wave))


def noisy(wave: Tensor, generator: Generator) -> Tensor:
    """Return ``wave`` with noise 10 to 35 dB below it whose spectrum falls by 0 to 6 dB an octave."""
    spectrum = torch.fft.rfft(torch.randn(len(wave), generator=generator))
    slope = torch.arange(1, len(spectrum) + 1) ** -_draw(0, 1, generator)
    noise = torch.fft.irfft(spectrum * slope, len(wave))
    power = wave.square().mean() / noise.square().mean().clamp_min(1e-12)
    return wave + noise * power.sqrt() * 10 ** (-_draw(10, 35, generator) / 20)


def changed(wave: Tensor, recipe: Shares, generator: Generator) -> Tensor:
    """Return one training version of ``wave`` (N,): room, band, noise, each by the recipe's share."""
    if _happens(recipe.room, generator):
        wave = roomy(wave, generator)
    if _happens(recipe.band, generator):
        wave = narrowed(wave, generator)
    if _happens(recipe.noise, generator):
        wave = noisy(wave, generator)
    return wave


def warped(mel: Tensor, amount: float, generator: Generator) -> Tensor:
    """Return spectrograms (..., bands, T) stretched along frequency by up to ``amount``: another vocal tract."""
    bands = mel.shape[-2]
    place = (torch.arange(bands) * (1 + amount * _draw(-1, 1, generator))).clamp(0, bands - 1)
    below = place.floor().long().clamp_max(bands - 2)
    share = (place - below)[:, None]
    return mel[..., below, :] * (1 - share) + mel[..., below + 1, :] * share


def masked(mel: Tensor, masks: int, generator: Generator) -> Tensor:
    """Return spectrograms (..., bands, T), ``masks`` stretches of bands and of time 0 (SpecAugment, Park 2019)."""
    mel = mel.clone()
    for _ in range(masks):
        for axis, widest in ((-2, 10), (-1, min(25, mel.shape[-1] // 4))):
            width = int(torch.randint(0, widest + 1, (1,), generator=generator))
            start = int(torch.randint(0, mel.shape[axis] - width + 1, (1,), generator=generator))
            mel.narrow(axis, start, width).zero_()
    return mel
