"""Statistics of log-mel bands (HTK mel scale), level, pitch by autocorrelation, and voicing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mercli.contracts import TrainedOn
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import FloatArray

RATE = 16_000
WINDOW, STEP, FFT = 400, 160, 512  # 25 ms every 10 ms
LOW, HIGH = 50.0, 7600.0
PITCH = (60.0, 400.0)  # Hz
SILENT = 1e-4  # a peak below -80 dB of full scale is no sound
QUIET = 1e-3  # -30 dB of power below the loudest frame: between the words
VOICED = 0.3  # normalised autocorrelation
OCTAVE = 0.02  # what a peak must gain to be taken an octave lower: twice the period fits as well
BLOCK = 2048  # frames at once, so that memory does not follow the clip


class LogmelStats:
    """Five statistics (mean, deviation, 10th, 50th, 90th percentile) of each track, and two rates.

    The dimension is ``5 * (bands + 3) + 2``: bands, their change, level, pitch; then the shares of frames that sound
    and that are voiced.
    """

    modality = "audio"
    weights = "none"
    settings = StreamSettings(audio_rate=RATE)
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, bands: int) -> None:
        self.bands = bands
        self.dim = 5 * (bands + 3) + 2

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return features (1, D), one row for the stretch; not valid for silence or less than 25 ms."""
        return [self._one(streams.audio) for streams in batch]

    def _one(self, audio: FloatArray | None) -> Feature:
        values = None if audio is None else statistics(audio, self.bands)
        seconds = 0.0 if audio is None else len(audio) / RATE
        row = np.zeros(self.dim, np.float32) if values is None else values
        return Feature(row[None], np.asarray([[0.0, seconds]], np.float32), np.asarray([values is not None], np.bool_))


def statistics(audio: FloatArray, bands: int) -> FloatArray | None:
    """Return the statistics (D,) of samples (N,) at 16 kHz, the same at any level; ``None`` for silence."""
    if len(audio) < WINDOW or float(np.abs(audio).max()) < SILENT:
        return None
    samples = audio / np.abs(audio).max()
    power, pitch, voicing = _tracks(samples.astype(np.float32), bands)
    level = power.sum(1)
    sounding = level > QUIET * level.max()
    mel = np.log(power[sounding] + 1e-8)
    mel = mel - mel.mean()
    change = np.abs(np.diff(mel, axis=0)).mean(1) if len(mel) > 1 else np.zeros(1)
    voiced = sounding & (voicing > VOICED)
    tones = np.log(pitch[voiced]) if voiced.any() else np.full(1, np.log(PITCH[0]))
    loudness = np.log(level[sounding] / level.max())
    tracks = [*mel.T, change, loudness, tones]
    rates = [sounding.mean(), voiced.mean() / max(float(sounding.mean()), 1e-6)]
    return np.asarray([*(s for track in tracks for s in _five(np.asarray(track))), *rates], np.float32)


def _five(track: NDArray[np.float64]) -> list[float]:
    return [float(track.mean()), float(track.std()), *(float(p) for p in np.percentile(track, (10, 50, 90)))]


def _tracks(samples: FloatArray, bands: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return mel power (F, bands), pitch in Hz (F,) and voicing (F,) of each frame."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::STEP]
    window = np.hanning(WINDOW)
    parts = []
    for first in range(0, len(frames), BLOCK):
        block = frames[first : first + BLOCK].astype(np.float64)
        power = np.abs(np.fft.rfft(block * window, FFT)) ** 2
        parts.append((power @ mel_filters(bands), *pitches(block)))
    mel, pitch, voicing = (np.concatenate(track) for track in zip(*parts, strict=True))
    return mel, pitch, voicing


def pitches(frames: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pitch and the height of the autocorrelation's peak, divided by the window's own (Boersma 1993)."""
    window = np.hanning(WINDOW)
    centred = (frames - frames.mean(1, keepdims=True)) * window
    spectrum = np.abs(np.fft.rfft(centred, 2 * FFT)) ** 2
    own = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * FFT)) ** 2)
    correlation = np.fft.irfft(spectrum, axis=1)
    first, last = int(RATE / PITCH[1]), int(RATE / PITCH[0])
    normal = correlation[:, first:last] / np.maximum(correlation[:, :1], 1e-12) / (own[first:last] / own[0])
    peak = (normal - OCTAVE * np.log2(np.arange(first, last) / first)).argmax(1)
    return RATE / (peak + first), normal[np.arange(len(frames)), peak]


@cache
def mel_filters(bands: int) -> NDArray[np.float64]:
    """Return triangular filters (FFT / 2 + 1, bands) on the HTK mel scale, 50-7600 Hz."""
    mel = np.linspace(_mel(LOW), _mel(HIGH), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(FFT // 2 + 1)[:, None] * RATE / FFT
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    return np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))


def _mel(frequency: float) -> float:
    return float(2595 * np.log10(1 + frequency / 700))
