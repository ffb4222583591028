"""Sounds that a voice detector takes for a voice: a buzzing source through three formants, a syllable at a time."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

RATE = 16_000
VOWELS = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240), (530, 1840, 2480))


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Return (N,) float32 at 16 kHz."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    times = np.arange(count) / RATE
    pitch = 120 * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * times))
    source = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0) + 0.02 * rng.standard_normal(count)
    syllable = int(0.18 * RATE)
    for first in range(0, count, syllable):
        sound = source[first : first + syllable]
        for formant in VOWELS[rng.integers(len(VOWELS))]:
            radius = np.exp(-np.pi * 80 / RATE)
            sound = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], sound)
        source[first : first + syllable] = sound * np.hanning(len(sound)) ** 0.5
    return (0.3 * source / np.abs(source).max()).astype(np.float32)


def silence(seconds: float) -> np.ndarray:
    """Return (N,) zeros at 16 kHz."""
    return np.zeros(int(seconds * RATE), np.float32)
