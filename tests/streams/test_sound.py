from __future__ import annotations

import tracemalloc

import av
import numpy as np
import pytest
from scipy.signal import chirp

from mercli.errors import DataError
from mercli.streams.media import AudioChunk, Frame, listen, probe, read_audio, stream
from mercli.streams.sound import downmix, weights
from tests.streams.clips import make_clip, sine


@pytest.mark.parametrize(("ending", "rate"), [("mp4", 44_100), ("m4a", 48_000), ("wav", 16_000), ("mkv", 48_000)])
def test_ten_seconds_are_160000_samples(tmp_path, ending, rate):
    path = make_clip(tmp_path / f"ten.{ending}", seconds=10, fps=5, size=(32, 32), audio_rate=rate)
    assert len(read_audio(path)) == 160_000


@pytest.mark.parametrize("ending", ["wav", "mp4", "mkv", "webm", "mp3"])
def test_sound_lies_where_it_was_recorded(tmp_path, ending):
    rate = 48_000 if ending == "webm" else 44_100
    path = make_clip(tmp_path / f"a.{ending}", audio_rate=rate, sound=lambda t: 0.5 * chirp(t, 200, 2, 3000))
    heard = read_audio(path)
    wanted = 0.5 * chirp(np.arange(32_000) / 16_000, 200, 2, 3000)
    middle = slice(800, 31_200)
    assert np.corrcoef(heard[middle], wanted[middle])[0, 1] > 0.99
    assert np.abs(heard[middle]).max() == pytest.approx(0.5, abs=0.06)


def test_stereo_is_the_mean_at_full_level(tmp_path):
    def left_only(t):
        return np.stack([0.8 * np.sin(2 * np.pi * 440 * t), np.zeros_like(t)])

    both = read_audio(make_clip(tmp_path / "both.wav", sound=sine(440, 0.8)))
    left = read_audio(make_clip(tmp_path / "left.wav", sound=left_only))
    assert np.abs(both[1000:-1000]).max() == pytest.approx(0.8, abs=0.02)
    assert np.abs(left[1000:-1000]).max() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("kind", ["u8", "s16", "s32", "flt", "dbl", "s16p", "s32p", "fltp"])
def test_every_sample_format_comes_out_at_full_scale(kind):
    scale = {"u": 128, "s": 2 ** (int(kind.strip("usp") or 0) - 1) if kind[0] == "s" else 1}.get(kind[0], 1)
    wave = np.array([[0.5, -0.25, 0.125, 0.0], [0.5, 0.25, -0.125, 0.75]])
    dtype = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[kind.rstrip("p")]
    stored = (wave * scale + (128 if kind[0] == "u" else 0)).astype(dtype)
    stored = stored if kind.endswith("p") else stored.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(stored), format=kind, layout="stereo")
    assert downmix(frame) == pytest.approx([0.5, 0.0, 0.0, 0.375])


def test_the_centre_of_surround_sound_keeps_its_level(tmp_path):
    def voice_in_the_centre(t):
        quiet = np.zeros_like(t)
        voice, rumble = 0.5 * np.sin(2 * np.pi * 300 * t), 0.5 * np.sin(2 * np.pi * 2500 * t)
        return np.stack([quiet, quiet, voice, rumble, rumble, rumble])  # FL FR FC LFE BL BR

    heard = read_audio(make_clip(tmp_path / "a.wav", layout="5.1", audio_rate=48_000, sound=voice_in_the_centre))
    wanted = 0.5 * np.sin(2 * np.pi * 300 * np.arange(len(heard)) / 16_000)
    assert np.abs(heard - wanted)[500:-500].max() < 0.01


def test_layouts_without_a_centre_are_averaged_without_lfe():
    assert weights(["FL", "FR", "LFE"]).tolist() == [0.5, 0.5, 0.0]
    assert weights(["FL", "FR", "BL", "BR"]).tolist() == [0.25] * 4
    assert weights(["NONE"] * 6).tolist() == [0.5, 0.5, 1.0, 0.0, 0.0, 0.0]


def test_sound_outlives_the_picture(tmp_path):
    path = make_clip(tmp_path / "a.mp4", seconds=1, audio_seconds=3)
    assert len(read_audio(path)) == 48_000
    assert max(item.time for item in stream(path) if isinstance(item, Frame)) == pytest.approx(0.8)
    assert probe(path).duration == pytest.approx(3.0, abs=0.01)


def test_sound_that_begins_later_says_so(tmp_path):
    path = make_clip(tmp_path / "late.mkv", audio_offset=0.5, seconds=2)
    first = next(item for item in stream(path, fps=None))
    assert first.time == pytest.approx(0.5, abs=0.03)
    heard = read_audio(path)
    assert np.abs(heard[: round(0.45 * 16_000)]).max() == 0
    assert np.abs(heard[round(0.55 * 16_000) : 16_000]).max() > 0.4


@pytest.mark.parametrize("ending", ["mp4", "mkv", "wav", "mp3", "flac"])
def test_a_cut_sounds_as_the_whole_sounds_there(tmp_path, ending):
    path = make_clip(tmp_path / f"a.{ending}", seconds=6, sound=lambda t: 0.5 * chirp(t, 200, 6, 3000), size=(32, 32))
    whole, cut = read_audio(path), read_audio(path, start=3.3, end=4.8)
    assert len(cut) == 24_000
    slack = 20 if ending == "mkv" else 0  # matroska rounds timestamps to milliseconds
    fits = [np.corrcoef(cut, whole[52_800 + k : 76_800 + k])[0, 1] for k in range(-slack, slack + 1)]
    assert max(fits) > (0.97 if slack else 0.9999)


def test_chunks_follow_each_other_without_gaps(timed):
    chunks = [item for item in stream(timed, fps=None, audio_rate=8000) if isinstance(item, AudioChunk)]
    ends = [chunk.time + len(chunk.samples) / 8000 for chunk in chunks]
    assert [chunk.time for chunk in chunks[1:]] == pytest.approx(ends[:-1])
    assert chunks[0].samples.dtype == np.float32
    assert ends[-1] == pytest.approx(6.0, abs=1e-4)


def test_listening_pieces_together_what_reading_gives(timed):
    pieces = list(listen(timed, start=0.7, end=4.0))
    assert np.array_equal(np.concatenate(pieces), read_audio(timed, start=0.7, end=4.0))
    assert max(map(len, pieces)) <= 16_000


def test_a_long_recording_is_never_held(tmp_path):
    path = make_clip(tmp_path / "long.wav", seconds=300, layout="mono", audio_rate=16_000)
    tracemalloc.start()
    total = sum(len(chunk.samples) for chunk in stream(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 300 * 16_000
    assert peak < 2_000_000


def test_a_silent_clip_has_no_audio_to_read(silent):
    assert {type(item) for item in stream(silent)} == {Frame}
    with pytest.raises(DataError, match="has no audio"):
        read_audio(silent)
