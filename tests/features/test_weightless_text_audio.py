import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import registry
from mercli.types import Streams, Transcript

RATE = 16_000


def text_features(*texts, **options):
    encoder = registry.build("encoders", "hashed-ngrams", options=options)
    return encoder.encode([Streams(transcript=Transcript(text, "sidecar")) for text in texts])


def audio_feature(samples, **options):
    encoder = registry.build("encoders", "logmel-stats", options=options)
    return encoder.encode([Streams(audio=np.asarray(samples, np.float32))])[0]


def voice(seconds=1.0, pitch=150.0, seed=0):
    """A buzz with harmonics that swells twice a second, over faint noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 12))
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 2 * time)
    return 0.1 * tone * swell + 1e-3 * np.random.default_rng(seed).standard_normal(len(time))


@given(st.text(max_size=80))
def test_a_text_is_one_row_of_unit_length_or_not_valid(text):
    feature = text_features(text)[0]
    assert feature.values.shape == (1, 512)
    assert feature.values.dtype == np.float32
    norm = np.linalg.norm(feature.values)
    assert norm == pytest.approx(1, abs=1e-5) or norm == 0
    assert feature.valid[0] or norm == 0


def test_no_text_is_not_valid():
    encoder = registry.build("encoders", "hashed-ngrams")
    for feature in encoder.encode([Streams(), Streams(transcript=Transcript("  ", "sidecar"))]):
        assert not feature.valid.any()


def test_texts_do_not_depend_on_their_batch():
    texts = ("I am so happy!", "", "Was für ein Tag", "no")
    for text, feature in zip(texts, text_features(*texts), strict=True):
        np.testing.assert_array_equal(feature.values, text_features(text)[0].values)


def test_like_texts_are_nearer_than_unlike_ones():
    one, like, unlike = (feature.values[0] for feature in text_features("I hate this", "I hated this!", "what a dog"))
    assert one @ like > one @ unlike + 0.2


def test_the_number_of_buckets_is_an_option():
    encoder = registry.build("encoders", "hashed-ngrams", options={"buckets": 64})
    assert encoder.dim == 64
    assert text_features("yes", buckets=64)[0].values.shape == (1, 64)


@settings(max_examples=15)
@given(st.floats(0.02, 20))
def test_audio_statistics_do_not_follow_the_level(gain):
    samples = voice()
    np.testing.assert_allclose(audio_feature(samples * gain).values, audio_feature(samples).values, atol=2e-2)


def test_audio_statistics_are_finite_one_row_and_repeatable():
    encoder = registry.build("encoders", "logmel-stats")
    first, second = audio_feature(voice()), audio_feature(voice())
    assert first.values.shape == (1, encoder.dim)
    assert np.isfinite(first.values).all()
    assert first.valid.all()
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.zeros(0), np.full(RATE, 1e-6), np.ones(100) * 0.3])
def test_silence_and_scraps_have_no_valid_row(samples):
    feature = audio_feature(samples)
    assert not feature.valid.any()
    assert np.isfinite(feature.values).all()


def test_a_higher_voice_has_a_higher_pitch_and_no_octave_is_lost():
    low, high = (audio_feature(voice(pitch=pitch)).values[0] for pitch in (110.0, 220.0))
    median_pitch = 5 * 42 + 3
    assert low[median_pitch] == pytest.approx(np.log(110), abs=0.03)
    assert high[median_pitch] == pytest.approx(np.log(220), abs=0.03)


def test_pauses_lower_the_share_of_sounding_frames():
    steady = np.tile(voice(0.25, seed=1), 4)
    paused = np.concatenate([voice(0.5), np.zeros(RATE)])
    assert audio_feature(paused).values[0, -2] < audio_feature(steady).values[0, -2]
