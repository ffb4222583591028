from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mercli.errors import DataError
from mercli.types import Streams

torch = pytest.importorskip("torch")

from mercli.features.embedded.audio import DIM, embedded_audio, windows  # noqa: E402
from mercli.features.embedded.audio_net import AudioNet  # noqa: E402
from mercli.features.embedded.spectrogram import log_mel, stacked, voiced  # noqa: E402
from mercli.tuning.embedded.export import write  # noqa: E402

RATE = 16_000


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    trained = {"trained_on": [{"corpus": "made", "split": "train", "speakers": ["01"]}]}
    return embedded_audio(weights=str(write(tmp_path_factory.mktemp("w"), "audio", AudioNet().state_dict(), trained)))


def speech(seconds: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 12)) * (1 + np.sin(2 * np.pi * 3 * time))
    return (0.05 * voice + 0.001 * draw.standard_normal(len(time))).astype(np.float32)


def encoded(encoder, audio):
    return encoder.encode([Streams(audio=audio)])[0]


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.3, 1.0, 5.99, 6.0, 6.5, 20.0])
def test_rows_are_windows_of_six_seconds_every_three(encoder, seconds):
    feature = encoded(encoder, speech(seconds))
    spans = list(windows(seconds))
    assert feature.values.shape == (len(spans), DIM)
    assert feature.values.dtype == np.float32
    assert feature.times.shape == (len(spans), 2)
    assert feature.valid.shape == (len(spans),)
    assert np.isfinite(feature.values).all()
    assert (feature.times[:, 0] <= feature.times[:, 1]).all()
    assert feature.times.max() <= seconds + 1e-3


def test_windows_cover_the_clip_and_end_with_it():
    assert list(windows(4.0)) == [(0.0, 4.0)]
    assert list(windows(6.0)) == [(0.0, 6.0)]
    assert list(windows(10.0)) == [(0.0, 6.0), (3.0, 9.0), (6.0, 10.0)]


@pytest.mark.parametrize(
    "audio", [np.zeros(0, np.float32), np.zeros(RATE, np.float32), np.full(RATE * 8, 1e-7, np.float32)]
)
def test_silence_has_no_valid_row(encoder, audio):
    feature = encoded(encoder, audio)
    assert not feature.valid.any()
    assert not feature.values.any()


def test_a_silent_stretch_of_a_long_clip_is_not_valid(encoder):
    audio = np.concatenate((speech(6), 1e-5 * speech(12, 1)))
    feature = encoded(encoder, audio)
    assert feature.valid.tolist() == [True, True, False, False, False]


def test_the_level_of_the_recording_changes_nothing(encoder):
    audio = speech(2.0)
    one, other = encoded(encoder, audio), encoded(encoder, 0.03 * audio)
    np.testing.assert_allclose(one.values, other.values, atol=1e-3)
    np.testing.assert_array_equal(one.times, other.times)


def test_silence_around_speech_is_trimmed(encoder):
    audio, quiet = speech(2.0), np.zeros(RATE // 2, np.float32)
    plain, padded = encoded(encoder, audio), encoded(encoder, np.concatenate((quiet, audio, quiet)))
    assert padded.times[0, 0] == pytest.approx(0.5, abs=0.04)
    assert padded.times[0, 1] == pytest.approx(2.5, abs=0.04)
    cosine = (plain.values[0] @ padded.values[0]) / np.linalg.norm(plain.values[0]) / np.linalg.norm(padded.values[0])
    assert cosine > 0.98


def test_items_do_not_depend_on_their_batch(encoder):
    items = [Streams(audio=speech(s, k)) for k, s in enumerate((1.0, 7.0, 0.4))]
    together = encoder.encode(items)
    for item, feature in zip(items, together, strict=True):
        np.testing.assert_array_equal(encoder.encode([item])[0].values, feature.values)


def test_not_a_number_in_the_audio_stays_out_of_the_features(encoder):
    audio = speech(1.0)
    audio[100:120] = np.nan
    assert np.isfinite(encoded(encoder, audio).values).all()


def test_another_rate_is_refused_by_name(encoder):
    with pytest.raises(DataError, match="22050"):
        encoder.encode([Streams(audio=speech(1.0), audio_rate=22_050)])


def test_padding_in_a_batch_changes_no_result():
    torch.manual_seed(0)
    network = AudioNet().eval()
    mels = [log_mel(torch.from_numpy(speech(s, k))) for k, s in enumerate((0.5, 2.0, 1.23))]
    with torch.inference_mode():
        together = network(*stacked(mels))
        for row, mel in enumerate(mels):
            for whole, alone in zip(together, network(*stacked([mel])), strict=True):
                torch.testing.assert_close(whole[row], alone[0], atol=1e-5, rtol=1e-4)


def test_voiced_finds_the_loud_stretch():
    wave = torch.zeros(RATE)
    wave[4000:8000] = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    span = voiced(wave)
    assert 3600 <= span.start <= 4000
    assert 8000 <= span.stop <= 8400
    assert voiced(torch.zeros(10)) == slice(0, 0)


def test_weights_are_named_by_content_and_the_card_says_what_was_seen(encoder):
    assert len(encoder.weights) == 64
    assert [dataclasses.astuple(seen) for seen in encoder.trained_on] == [("made", "train", ("01",))]


def test_a_missing_weights_file_is_told_with_its_path(tmp_path):
    with pytest.raises(DataError, match="none"):
        embedded_audio(weights=str(tmp_path / "none.safetensors"))
