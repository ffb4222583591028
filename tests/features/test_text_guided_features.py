"""The 562 numbers of text-guided attention's sound: each group says what its documentation says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.types import Streams

RATE = 16_000
ACOUSTIC = {name: slice(64 * n, 64 * n + 64) for n, name in enumerate(
    ("mean", "std", "p20", "p50", "p80", "slope", "size of change", "std of change"))}  # fmt: skip
PITCH, LOUDNESS, SPECTRAL = 512, 520, 537
CONTRAST = 552


def wave(seconds: float = 2.0, start: float = 200.0, end: float = 200.0, harmonics: int = 8) -> np.ndarray:
    """Return a voice-like sound whose pitch moves from ``start`` to ``end`` Hz, in semitones evenly."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = start * (end / start) ** (time / seconds)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    return sum(np.sin(n * phase) / n for n in range(1, harmonics + 1)) * 0.1


def noise(seconds: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * RATE))


def numbers(samples, **options) -> np.ndarray:
    encoder = registry.build("encoders", "text-guided-audio", options=options)
    (feature,) = encoder.encode([Streams(audio=np.asarray(samples, np.float32))])
    assert feature.valid.all()
    return feature.values[0] if len(feature.values) == 1 else feature.values


def test_there_are_562_and_they_are_the_same_at_any_level():
    samples = wave() * (1 + np.sin(np.arange(2 * RATE) / 900)) + noise() / 50
    loud, soft = numbers(samples), numbers(samples / 200)
    assert loud.shape == (562,)
    np.testing.assert_allclose(loud, soft, rtol=1e-3, atol=1e-3)
    assert len(np.unique(loud)) > 540, "most of them say something of their own"


def test_acoustic_numbers_come_statistic_by_statistic_each_over_64_bands():
    low, high = numbers(wave(start=110, end=110, harmonics=3)), numbers(wave(start=1500, end=1500, harmonics=3))
    assert low[ACOUSTIC["mean"]].argmax() < 10 < high[ACOUSTIC["mean"]].argmax()
    for one in (low, high):
        assert (one[ACOUSTIC["p20"]] <= one[ACOUSTIC["p50"]]).all()
        assert (one[ACOUSTIC["p50"]] <= one[ACOUSTIC["p80"]]).all()
        np.testing.assert_allclose(one[ACOUSTIC["mean"]].mean(), 0, atol=1e-4)
    fading = noise() * np.geomspace(1, 0.1, 2 * RATE)
    expected = np.log(0.01) / 2  # of power, in 2 s
    assert abs(numbers(fading)[ACOUSTIC["slope"]].mean() - expected) < 0.1
    assert numbers(noise())[ACOUSTIC["std of change"]].mean() > 3 * numbers(wave())[ACOUSTIC["std of change"]].mean()


@pytest.mark.parametrize("frequency", [110.0, 220.0, 311.1])
def test_pitch_is_in_semitones_above_27_5_hertz(frequency):
    found = numbers(wave(start=frequency, end=frequency))[PITCH : PITCH + 8]
    expected = 12 * np.log2(frequency / 27.5)
    np.testing.assert_allclose(found[[0, 2, 3, 4]], expected, atol=0.4)
    np.testing.assert_allclose(found[[1, 5]], 0, atol=0.4)


def test_rising_and_falling_pitch_are_told_apart():
    up, down = (numbers(wave(start=a, end=b))[PITCH : PITCH + 8] for a, b in ((150, 300), (300, 150)))
    for found in (up, down):
        assert abs(found[5] - 0.6 * 12) < 1  # three fifths of an octave lie between the percentiles
    assert up[6] > 4
    assert down[7] < -4


def test_loudness_counts_beats_and_what_sounds():
    time = np.arange(2 * RATE) / RATE
    beats = numbers(wave() * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * time)))
    assert abs(beats[528] - 4) <= 0.6
    assert beats[LOUDNESS + 1] > 3
    steady = numbers(wave())
    assert steady[LOUDNESS + 1] < 1
    halves = np.concatenate([wave(1.0), np.zeros(RATE)])
    np.testing.assert_allclose(numbers(halves)[535], 0.5, atol=0.03)


def test_voiced_stretches_and_their_gaps_are_counted_in_seconds():
    parts = [wave(0.5), np.zeros(RATE // 4), wave(0.5), np.zeros(RATE // 4), wave(0.5)]
    found = numbers(np.concatenate(parts))
    np.testing.assert_allclose(found[529], 3 / 2, atol=0.1)
    np.testing.assert_allclose(found[[530, 532]], [0.5, 0.25], atol=0.04)
    assert found[536] > 10, "a voice's harmonics stand above its noise"
    hiss = numbers(noise())
    assert hiss[534] < 0.2 < 0.9 < found[534]


def test_spectral_numbers_tell_a_tone_from_noise():
    tone, hiss = numbers(wave(start=1000, end=1000, harmonics=1)), numbers(noise())
    centroid, bandwidth, rolloff, flatness, flux = (SPECTRAL + 3 * n for n in range(5))
    np.testing.assert_allclose(tone[[centroid, rolloff]], 1.0, atol=0.05)
    np.testing.assert_allclose(hiss[centroid], 4.0, atol=0.2)
    np.testing.assert_allclose(hiss[rolloff], 0.85 * 8, atol=0.3)
    assert tone[bandwidth] < 0.1 < 2 < hiss[bandwidth]
    assert tone[flatness] < -20 < -5 < hiss[flatness]
    assert tone[flux] < 0.05 < 0.3 < hiss[flux]
    assert tone[CONTRAST + 2] > hiss[CONTRAST + 2] + 10, "of the octave from 800 Hz"


def test_a_long_sound_s_blocks_leave_no_seam(monkeypatch):
    from mercli.features.seeds import text_guided_sound

    samples = wave(start=100, end=300) + noise() / 20
    whole = numbers(samples)
    monkeypatch.setattr(text_guided_sound, "BLOCK", 7)
    np.testing.assert_allclose(numbers(samples), whole, rtol=1e-5, atol=1e-5)


def test_windows_give_a_row_each():
    samples = np.concatenate([wave(1.0), noise(1.0)])
    rows = numbers(samples, window=1.0)
    np.testing.assert_allclose(rows[1], numbers(samples[RATE:]), atol=1e-4)
    encoder = registry.build("encoders", "text-guided-audio", options={"window": 1.0, "step": 0.5})
    (feature,) = encoder.encode([Streams(audio=samples.astype(np.float32))])
    np.testing.assert_allclose(feature.times, [[0, 1], [0.5, 1.5], [1, 2]])
    with pytest.raises(ConfigError, match="step <= width"):
        registry.build("encoders", "text-guided-audio", options={"window": 1.0, "step": 2.0})
    with pytest.raises(ConfigError, match="without 'window'"):
        registry.build("encoders", "text-guided-audio", options={"step": 2.0})


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(RATE), np.full(300, 0.5), np.full(RATE, 1e-6)])
def test_silence_and_too_little_sound_are_not_valid(samples):
    encoder = registry.build("encoders", "text-guided-audio")
    (feature,) = encoder.encode([Streams(audio=samples.astype(np.float32))])
    assert not feature.valid.any()


@pytest.mark.parametrize(
    "samples", [np.full(RATE, 0.5), np.eye(1, RATE, 5000)[0], np.where(np.arange(RATE) % 9000, 0.1, np.nan)]
)
def test_odd_sounds_leave_every_number_finite(samples):
    assert np.isfinite(numbers(samples)).all()


def test_audio_at_another_rate_is_refused():
    encoder = registry.build("encoders", "text-guided-audio")
    with pytest.raises(DataError, match="expects 16000 Hz"):
        encoder.encode([replace(Streams(audio=np.ones(RATE, np.float32)), audio_rate=44_100)])


def test_the_head_reads_the_parts_of_these_562():
    from mercli.fusion.heads import text_guided_net

    assert text_guided_net.ACOUSTIC == PITCH
    assert registry.get("encoders", "text-guided-audio").facts["dim"] == 512 + text_guided_net.PROSODIC_SPECTRAL
