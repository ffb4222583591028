"""Functionals: what a whole utterance's sound, loudness and pitch are like, as acoustic parameter sets describe them.

Means, deviations and rates of change over time of short-time tracks (the idea of eGeMAPS, Eyben et al. 2016), here of
cepstra of each view and of a pitch found by adding up its harmonics (subharmonic summation, Hermes 1988). A network
learns from few clips what they tell.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from mercli.features.embedded.spectrogram import BANDS, VIEWS, View

CEPSTRA = 20
TRACKS = CEPSTRA * len(VIEWS) + 2
"""Cepstra of each view (the first of a view is its level), pitch in octaves, clarity of the pitch."""
COUNT = 7 * TRACKS + 2
"""Seven functionals a track, the duration, the mean weight of voicing."""
_PITCH_VIEW = 1
_LEVEL, _CLARITY = 0, TRACKS - 1
_LOWEST, _STEPS, _OCTAVE = 70.0, 44, 15
"""Pitches that are tried: from 70 Hz up to 510 Hz, 15 an octave."""
_HARMONICS, _FADE = 8, 0.85
"""Harmonics of a pitch that are added up, and how loud each counts beside the one below it."""
_WIDTH, _SPREAD = 15.0, 0.02
"""Half a harmonic's width in Hz, and how much it grows by Hz of its frequency."""
_SHARP = 12.0
"""How much the best pitches count for more than the rest."""
_VOICED = 6.0
"""Steepness with which a frame counts as voiced whose pitch is clearer than the utterance's mean."""
_LEAST = 1e-4
"""Variance that every track has at least."""


@cache
@torch.inference_mode(mode=False)
def _cosines() -> Tensor:
    """Return the cosine transform (20, 64) from bands to cepstra, orthonormal but for its first row, which is level."""
    order, band = torch.arange(CEPSTRA)[:, None], torch.arange(BANDS)
    return (torch.pi * order * (band + 0.5) / BANDS).cos() * math.sqrt(2 / BANDS)


def _centres(view: View) -> Tensor:
    """Return the centre of each mel band in Hz (64,)."""
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (view.low, view.high))
    mel = low + (high - low) * torch.arange(1, BANDS + 1) / (BANDS + 1)
    return 700 * (10 ** (mel / 2595) - 1)


@cache
@torch.inference_mode(mode=False)
def _pitches() -> Tensor:
    """Return the pitches tried in octaves over 1 Hz (44,)."""
    return math.log2(_LOWEST) + torch.arange(_STEPS) / _OCTAVE


@cache
@torch.inference_mode(mode=False)
def _combs() -> Tensor:
    """Return a comb for each pitch (44, 64): its harmonics, less what lies between them, each fainter than the last."""
    view = VIEWS[_PITCH_VIEW]
    hertz = _centres(view)
    order = torch.arange(1, _HARMONICS + 1)[:, None]

    def bell(at: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((hertz - at) / (_WIDTH + _SPREAD * at)) ** 2)

    rows = []
    for pitch in 2 ** _pitches():
        gain = _FADE**order * (order * pitch < 0.95 * view.high)
        comb = (gain * (bell(pitch * order) - bell(pitch * (order - 0.5)))).sum(0)
        rows.append(comb / comb.abs().sum())
    return torch.stack(rows)


def _tracks(mel: Tensor) -> Tensor:
    """Return the tracks (B, 62, T) of spectrograms (B, 3, 64, T)."""
    cepstra = _cosines().to(mel.device) @ mel
    fit = _combs().to(mel.device) @ mel[:, _PITCH_VIEW]
    pitch = ((fit * _SHARP).softmax(1) * _pitches().to(mel.device)[:, None]).sum(1)
    return torch.cat((cepstra.flatten(1, 2), torch.stack((pitch, fit.amax(1)), 1)), 1)


def _mean(tracks: Tensor, weights: Tensor) -> Tensor:
    """Return means (B, C) of ``tracks`` (B, C, T) over time under ``weights`` (B, T)."""
    return (tracks * weights[:, None]).sum(2) / weights.sum(1, keepdim=True).clamp_min(1e-3)


def _deviation(tracks: Tensor, mean: Tensor, weights: Tensor) -> Tensor:
    """Return deviations (B, C) of ``tracks`` (B, C, T) from their ``mean`` (B, C) under ``weights`` (B, T)."""
    return (_mean((tracks - mean[:, :, None]).square(), weights) + _LEAST).sqrt()


def functionals(mel: Tensor, frames: Tensor) -> Tensor:
    """Return the functionals (B, 436) of log-mels (B, 3, 64, T), of which the first ``frames`` (B,) columns are real.

    Per track its mean, the mean's change in loud and in voiced frames, the deviation in all and in voiced frames, the
    deviation of its slope over 20 ms, and its mean absolute slope in deviations; last the log of ``frames`` (of 10 ms)
    and the mean weight of voicing.
    """
    tracks = _tracks(mel)
    real = (torch.arange(mel.shape[3], device=mel.device)[None] < frames[:, None]).float()
    mean = _mean(tracks, real)
    loud = (tracks[:, _LEVEL] > mean[:, _LEVEL, None] - 1e-3).float() * real  # all frames of a sound that stays
    voicing = torch.sigmoid((tracks[:, _CLARITY] - mean[:, _CLARITY, None]) * _VOICED) * real
    spoken = _mean(tracks, voicing)
    deviation = _deviation(tracks, mean, real)
    slopes = tracks[:, :, 2:] - tracks[:, :, :-2]
    found = (
        mean,
        _mean(tracks, loud) - mean,
        spoken - mean,
        deviation,
        _deviation(tracks, spoken, voicing),
        _deviation(slopes, _mean(slopes, real[:, 2:]), real[:, 2:]),
        _mean(slopes.abs(), real[:, 2:]) / deviation,
        frames.float().log()[:, None],
        voicing.sum(1, keepdim=True) / frames[:, None],
    )
    return torch.cat(found, 1)
