"""The AVT-CA front end: 3.6 s of sound as MFCC, and which frames of a clip are looked at.

Facts: https://github.com/katerynaCh/multimodal-emotion-recognition (Chumachenko et al. 2022, arXiv 2201.11095), from
which AVT-CA (arXiv 2407.18552) takes its preprocessing; MFCC as librosa's defaults define it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import torch
import torchaudio.functional as AF
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mercli.types import BoolArray, FloatArray

RATE = 22_050
SECONDS = 3.6
SAMPLES = 79_380
FPS = 30
FRAMES = 15
COEFFICIENTS = 10
HOP = 512
WINDOW = 2_048
BANDS = 128
RANGE_DB = 80.0
SMALLEST = 1e-10

Edges = Literal["zeros", "reflect"]
_PADDING = {"zeros": "constant", "reflect": "reflect"}


def span(length: int, target: int = SAMPLES) -> tuple[int, int, int]:
    """Return the first sample kept, how many are kept, and how many zeros follow, so that ``target`` samples result.

    A longer clip loses the same at both ends (an odd sample at the end); one of exactly ``target`` samples stays whole,
    where the published script returns nothing.
    """
    surplus = max(0, length - target)
    return surplus // 2, min(length, target), max(0, target - length)


def fit(wave: Tensor, target: int = SAMPLES) -> Tensor:
    """Return ``wave`` (N,) as ``target`` samples: its middle, or all of it and zeros."""
    first, kept, zeros = span(len(wave), target)
    return torch.nn.functional.pad(wave[first : first + kept], (0, zeros))


def mfcc(wave: Tensor, edges: Edges = "zeros") -> Tensor:
    """Return 10 MFCC (10, 1 + N // 512) of ``wave`` (N,) at 22 050 Hz.

    Power spectra of centred 2048-sample Hann windows, 128 Slaney mel bands up to 11 025 Hz, decibels no more than 80
    below the loudest, orthonormal DCT-II. ``edges``: what lies beyond both ends; librosa takes zeros since 0.10, and
    mirrored samples (``reflect``) in the 0.8.1 that the seed pins, which changes the outermost two frames of each end.
    """
    spectrum = torch.stft(
        wave.float(),
        WINDOW,
        HOP,
        window=torch.hann_window(WINDOW),
        center=True,
        pad_mode=_PADDING[edges],
        return_complex=True,
    )
    mel = _bands().T @ spectrum.abs().square()
    decibels = 10 * torch.log10(mel.clamp_min(SMALLEST))
    return _cosines().T @ decibels.clamp_min(float(decibels.max()) - RANGE_DB)


@cache
def _bands() -> Tensor:
    """Return the Slaney mel filters (1025, 128) of unit area."""
    return AF.melscale_fbanks(WINDOW // 2 + 1, 0.0, RATE / 2, BANDS, RATE, norm="slaney", mel_scale="slaney")


@cache
def _cosines() -> Tensor:
    """Return the orthonormal DCT-II (128, 10)."""
    return AF.create_dct(COEFFICIENTS, BANDS, norm="ortho")


def frame_indices(total: int = round(SECONDS * FPS), count: int = FRAMES) -> list[int]:
    """Return ``count`` frames of ``total``: the middle one of each of ``count`` equal stretches, rounded down.

    3.6 s at 30 fps give 3, 10, 17, 24, 31, ... 103; counted from the start of the clip, whatever its length.
    """
    middle = total // (2 * count)
    return [k * total // count + middle for k in range(count)]


def nearest(times: FloatArray, seen: BoolArray, wanted: FloatArray, reach: float) -> NDArray[np.int64]:
    """Return for each ``wanted`` second (W,) the row of the nearest of ``times`` (F,) that is ``seen``, or -1.

    A row further away than ``reach`` seconds is none: the clip ended before, or nobody was to be seen.
    """
    import numpy as np

    rows = np.flatnonzero(seen)
    if not len(rows):
        return np.full(len(wanted), -1, np.int64)
    gaps = np.abs(np.asarray(times, np.float64)[rows][None] - np.asarray(wanted, np.float64)[:, None])
    best = gaps.argmin(1)
    return np.where(gaps[np.arange(len(wanted)), best] <= reach, rows[best], -1).astype(np.int64)
