"""Functionals of an utterance: what they tell, against scipy's transform and numpy's moments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dct

torch = pytest.importorskip("torch")

from mercli.features.embedded.functionals import CEPSTRA, COUNT, TRACKS, functionals  # noqa: E402
from mercli.features.embedded.spectrogram import RATE, log_mel, stacked  # noqa: E402

PITCH = TRACKS - 2


def voice(pitch: float, seconds: float = 1.0, glide: float = 0.0) -> torch.Tensor:
    """Return harmonics of ``pitch`` Hz, each fainter by a quarter, that rise by ``glide`` octaves."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * 2 ** (glide * time / seconds)) / RATE
    wave = sum(0.75**order * np.sin(order * phase) for order in range(1, 16))
    return torch.tensor(wave, dtype=torch.float32) * 0.1


def found(*waves: torch.Tensor) -> torch.Tensor:
    return functionals(*stacked([log_mel(wave) for wave in waves]))


@pytest.mark.parametrize("pitch", [95.0, 150.0, 220.0, 380.0])
def test_the_pitch_of_a_voice_is_found_to_a_semitone(pitch):
    assert found(voice(pitch))[0, PITCH] == pytest.approx(np.log2(pitch), abs=1 / 12)


def test_a_pitch_that_glides_deviates_more_and_moves_faster_than_one_that_stays():
    stays, glides = found(voice(150)), found(voice(150, glide=0.7))
    for deviation in (3, 4, 5):  # of all frames, of voiced ones, of slopes
        assert glides[0, deviation * TRACKS + PITCH] > stays[0, deviation * TRACKS + PITCH]
    assert 0.1 < glides[0, 3 * TRACKS + PITCH] < 0.4  # a ramp of 0.7 octaves deviates by 0.7 / sqrt(12)


def test_means_and_deviations_are_those_of_the_cosine_transform():
    mel, frames = stacked([log_mel(torch.randn(9000, generator=torch.Generator().manual_seed(1)))])
    cepstra = dct(mel[0].numpy(), norm="ortho", axis=1)[:, :CEPSTRA]
    cepstra[:, 0] *= np.sqrt(2)  # all others are orthonormal
    flat = cepstra.reshape(3 * CEPSTRA, -1)
    values = functionals(mel, frames)[0].numpy()
    np.testing.assert_allclose(values[: 3 * CEPSTRA], flat.mean(1), atol=2e-4)
    np.testing.assert_allclose(values[3 * TRACKS :][: 3 * CEPSTRA], np.sqrt(flat.var(1) + 1e-4), atol=2e-4)
    slopes = flat[:, 2:] - flat[:, :-2]
    np.testing.assert_allclose(values[5 * TRACKS :][: 3 * CEPSTRA], np.sqrt(slopes.var(1) + 1e-4), atol=2e-4)
    speed = np.abs(slopes).mean(1) / np.sqrt(flat.var(1) + 1e-4)
    np.testing.assert_allclose(values[6 * TRACKS :][: 3 * CEPSTRA], speed, atol=2e-4)
    loud = flat[:, flat[0] > flat[0].mean()].mean(1) - flat.mean(1)
    np.testing.assert_allclose(values[TRACKS:][: 3 * CEPSTRA], loud, atol=2e-3)
    assert values[-2] == pytest.approx(np.log(mel.shape[3]))


def test_padding_and_loudness_change_nothing():
    short, long = voice(130, 0.5), voice(210, 0.9)
    beside, alone = found(short, long), found(short)
    torch.testing.assert_close(beside[:1], alone, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found(short * 0.02), alone, atol=2e-3, rtol=1e-3)
    assert alone.shape == (1, COUNT)


def test_where_the_voice_is_counts_more_in_what_is_voiced():
    breath = 0.003 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    values = found(torch.cat((breath, voice(200))))[0]
    assert values[TRACKS - 1 + 2 * TRACKS] > 0.01  # clearer where voiced than in all
    assert abs(values[PITCH] + values[2 * TRACKS + PITCH] - np.log2(200)) < abs(values[PITCH] - np.log2(200))
    assert 0.2 < values[-1] < 0.8


@pytest.mark.parametrize(
    "wave", [torch.zeros(16_000), torch.full((16_000,), 0.5), torch.randn(200)], ids=["silent", "constant", "short"]
)
def test_what_is_no_voice_has_finite_functionals(wave):
    values = found(wave)[0]
    assert bool(torch.isfinite(values).all())


def test_a_sound_that_stays_has_nothing_louder():
    mel = torch.zeros(1, 3, 64, 40)
    torch.testing.assert_close(
        functionals(mel, torch.tensor([40]))[0, TRACKS : 2 * TRACKS], torch.zeros(TRACKS), atol=1e-5, rtol=0
    )


def test_functionals_are_differentiable_after_they_were_asked_for_in_inference():
    with torch.inference_mode():
        found(voice(120))
    mel = log_mel(voice(120))[None].requires_grad_(True)
    functionals(mel, torch.tensor([mel.shape[3]])).sum().backward()
    assert mel.grad is not None
