"""The 562 numbers of ``text-guided-audio``: what each is, and where it comes from.

All are statistics over frames of 25 ms every 10 ms of a sound whose peak is 1. Frames sound where their power is within
30 dB of the loudest; of those, the ones whose autocorrelation has a peak of 0.3 or more are voiced. Rises and falls are
the means of all changes up and of all changes down, per second, between neighbours.

======= ============================================================================================================
0-511   acoustic: the natural log of 64 mel bands (HTK scale, 50-7600 Hz, torchaudio's filters) over sounding frames,
        less their overall mean; all bands' means, then all bands' deviations, 20th, 50th, 80th percentiles (the choice
        of eGeMAPS, Eyben et al. 2016), slopes per second, mean sizes and deviations of the change between neighbours
512-519 prosodic, pitch in semitones above 27.5 Hz (eGeMAPS; Boersma 1993) over voiced frames: mean, deviation, 20th,
        50th, 80th percentile, range from the 20th to the 80th, rise, fall
520-527 loudness in dB below the loudest frame, over sounding frames: the same eight
528-529 peaks of loudness (a proxy of syllables) and voiced stretches per second (both eGeMAPS)
530-533 length of voiced stretches, and of the gaps between them, in seconds: mean, deviation of each (eGeMAPS)
534-536 share of sounding frames that are voiced; share of frames that sound; harmonics-to-noise ratio in dB over voiced
        frames (Boersma 1993)
537-551 spectral, over sounding frames, mean, deviation, range from the 20th to the 80th percentile of each: centroid
        and bandwidth in kHz, roll-off (85 % of the power) in kHz, flatness in dB, flux (Peeters 2004)
552-561 contrast in dB of the octaves from 200 to 6400 Hz, strongest over weakest fifth (Jiang et al. 2002): the five
        means, then the five deviations
======= ============================================================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mercli.contracts import TrainedOn
from mercli.errors import DataError
from mercli.features.logmel_stats import pitches
from mercli.features.windows import Span, window_spans
from mercli.types import Feature, Streams, StreamSettings

Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

RATE, WINDOW, STEP, FFT = 16_000, 400, 160, 1024
BANDS, LOW, HIGH = 64, 50.0, 7600.0
SECOND = RATE / STEP  # frames
SILENT = 1e-4  # a peak below -80 dB of full scale is no sound
QUIET = 1e-3  # -30 dB of power below the loudest frame: between the words
VOICED = 0.3
SMOOTHED = 11  # frames: shorter than a syllable
BLOCK = 2048  # frames at once
OCTAVES = (200, 400, 800, 1600, 3200, 6400)
FIFTH = 0.2
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Tracks:
    """Per frame: log-mel (F, 64), power (F,), pitch in Hz (F,), voicing (F,), five descriptors and five contrasts."""

    mel: Rows
    power: Rows
    pitch: Rows
    voicing: Rows
    shape: Rows


class TextGuidedAudio:
    """A row per segment or per window; silence, and less sound than two frames, is not valid."""

    modality = "audio"
    weights = "none"
    settings = StreamSettings(audio_rate=RATE, longest=None)  # statistics run over the whole segment
    trained_on: tuple[TrainedOn, ...] = ()
    dim = 8 * BANDS + 25 + 25

    def __init__(self, windows: tuple[float, float] | None) -> None:
        self.windows = None if windows is None else (round(windows[0] * RATE), round(windows[1] * RATE))
        self._spans(1)

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, 562) per item; raises ``DataError`` for audio that is not at 16 kHz."""
        return [self._one(streams) for streams in batch]

    def _spans(self, samples: int) -> list[Span]:
        return [(0, samples)] if self.windows is None else window_spans(samples, *self.windows, "covering")

    def _one(self, streams: Streams) -> Feature:
        if streams.audio_rate != RATE:
            raise DataError(f"audio is at {streams.audio_rate} Hz; text-guided-audio expects {RATE} Hz")
        audio = np.zeros(0) if streams.audio is None else np.nan_to_num(np.asarray(streams.audio, np.float64))
        spans = self._spans(len(audio))
        found = [statistics(audio[start:end]) for start, end in spans]
        values = np.zeros((len(spans), self.dim), np.float32)
        for row, numbers in enumerate(found):
            values[row] = 0 if numbers is None else numbers
        times = (np.asarray(spans, np.float64).reshape(-1, 2) / RATE).astype(np.float32)
        return Feature(values, times, np.asarray([numbers is not None for numbers in found], np.bool_))


def statistics(samples: Rows) -> Rows | None:
    """Return the 562 numbers of samples (N,) at 16 kHz; ``None`` for silence or less than two frames."""
    peak = float(np.abs(samples).max()) if len(samples) >= WINDOW + STEP else 0.0
    if peak < SILENT:
        return None
    tracks = _tracks(samples / peak)
    sounding = tracks.power > QUIET * tracks.power.max()
    return np.concatenate([_acoustic(tracks, sounding), _prosodic(tracks, sounding), _spectral(tracks, sounding)])


def _acoustic(tracks: Tracks, sounding: Flags) -> Rows:
    mel = tracks.mel[sounding]
    mel = mel - mel.mean()
    seconds = np.flatnonzero(sounding) / SECOND
    seconds = seconds - seconds.mean()
    slope = (seconds[:, None] * mel).sum(0) / max(float((seconds**2).sum()), TINY)
    change = np.diff(mel, axis=0) if len(mel) > 1 else np.zeros((1, BANDS))
    cuts = np.percentile(mel, (20, 50, 80), axis=0)
    return np.concatenate([mel.mean(0), mel.std(0), *cuts, slope, np.abs(change).mean(0), change.std(0)])


def _prosodic(tracks: Tracks, sounding: Flags) -> Rows:
    voiced = sounding & (tracks.voicing > VOICED)
    loudness = 10 * np.log10(np.maximum(tracks.power / tracks.power.max(), TINY))
    strength = np.clip(tracks.voicing[voiced], TINY, 1 - 1e-6)
    stretches, gaps = _runs(voiced)
    seconds = len(voiced) / SECOND
    return np.concatenate(
        [
            _eight(12 * np.log2(tracks.pitch / 27.5), voiced),
            _eight(loudness, sounding),
            [_peaks(loudness, sounding) / seconds, len(stretches) / seconds],
            [*_two(stretches), *_two(gaps)],
            [voiced.sum() / sounding.sum(), sounding.mean()],
            [float(np.mean(10 * np.log10(strength / (1 - strength)))) if len(strength) else 0.0],
        ]
    )


def _spectral(tracks: Tracks, sounding: Flags) -> Rows:
    shape = tracks.shape[sounding]
    low, high = np.percentile(shape, (20, 80), axis=0)
    threes = np.stack((shape.mean(0), shape.std(0), high - low), 1)[:5].ravel()
    return np.concatenate([threes, shape[:, 5:].mean(0), shape[:, 5:].std(0)])


def _eight(track: Rows, where: Flags) -> Rows:
    """Return mean, deviation, percentiles, range, rise and fall of a track (F,) on some frames; zeros for none."""
    if not where.any():
        return np.zeros(8)
    kept = track[where]
    low, middle, high = np.percentile(kept, (20, 50, 80))
    change = (np.diff(track) * SECOND)[where[1:] & where[:-1]]
    rise, fall = change[change > 0], change[change < 0]
    slopes = (rise.mean() if len(rise) else 0.0, fall.mean() if len(fall) else 0.0)
    return np.asarray([kept.mean(), kept.std(), low, middle, high, high - low, *slopes])


def _runs(flags: Flags) -> tuple[Rows, Rows]:
    """Return how long each run of true is, and each gap between two of them, in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return (edges[1::2] - edges[::2]) / SECOND, (edges[2::2] - edges[1:-1:2]) / SECOND


def _two(lengths: Rows) -> tuple[float, float]:
    return (float(lengths.mean()), float(lengths.std())) if len(lengths) else (0.0, 0.0)


def _peaks(loudness: Rows, sounding: Flags) -> int:
    """Return how often the smoothed loudness is higher than shortly before and after."""
    window = np.hanning(SMOOTHED + 2)[1:-1]
    smooth = np.convolve(np.pad(np.maximum(loudness, -60), SMOOTHED // 2, "edge"), window / window.sum(), "valid")
    inside = smooth[1:-1]
    return int(((inside > smooth[:-2]) & (inside >= smooth[2:]) & sounding[1:-1]).sum())


def _tracks(samples: Rows) -> Tracks:
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::STEP]
    before: Rows | None = None
    parts = []
    for first in range(0, len(frames), BLOCK):
        block = frames[first : first + BLOCK]
        power = np.abs(np.fft.rfft(block * np.hanning(WINDOW), FFT)) ** 2
        own = power[:1] if before is None else before
        parts.append((np.log(power @ _filters() + 1e-8), power.sum(1), *pitches(block), _shape(power, own)))
        before = power[-1:]
    return Tracks(*(np.concatenate(track) for track in zip(*parts, strict=True)))


def _shape(power: Rows, before: Rows) -> Rows:
    """Return five descriptors and five contrasts (F, 10) of spectra (F, 513), ``before`` being the one before them."""
    kilohertz = np.arange(FFT // 2 + 1) * RATE / FFT / 1000
    share = (power + TINY) / (power + TINY).sum(1, keepdims=True)
    centroid = share @ kilohertz
    bandwidth = np.sqrt(np.maximum(share @ kilohertz**2 - centroid**2, 0))
    rolloff = kilohertz[(share.cumsum(1) < 0.85).sum(1).clip(max=len(kilohertz) - 1)]
    flatness = 10 * (np.log10(share).mean(1) - np.log10(share.mean(1)))
    root = np.sqrt(np.concatenate((before, power)) + TINY)
    unit = root / np.linalg.norm(root, axis=1, keepdims=True)
    flux = np.linalg.norm(np.diff(unit, axis=0), axis=1)
    return np.stack((centroid, bandwidth, rolloff, flatness, flux, *_contrasts(share, kilohertz)), 1)


def _contrasts(share: Rows, kilohertz: Rows) -> list[Rows]:
    found = []
    for low, high in pairwise(OCTAVES):
        band = np.sort(10 * np.log10(share[:, (kilohertz * 1000 >= low) & (kilohertz * 1000 < high)]), axis=1)
        count = max(1, round(FIFTH * band.shape[1]))
        found.append(band[:, -count:].mean(1) - band[:, :count].mean(1))
    return found


@cache
def _filters() -> Rows:
    """Return triangular filters (513, 64) on the HTK mel scale."""
    import torchaudio.functional as AF

    return AF.melscale_fbanks(FFT // 2 + 1, LOW, HIGH, BANDS, RATE, None, "htk").double().numpy()
