from __future__ import annotations

import itertools
import logging
import math
import os
import random
import tracemalloc

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import chirp

from mercli.errors import DataError
from mercli.streams.media import AudioChunk, Frame, listen, probe, read_audio, read_image, stream, subtitles
from mercli.streams.sound import downmix, weights
from tests.streams.clips import QUADRANTS, make_clip, quadrants, ramp, sine


def frames(path, **options):
    return [item for item in stream(path, audio_rate=None, **options) if isinstance(item, Frame)]


def times(path, **options):
    return [frame.time for frame in frames(path, **options)]


def shown(frame):
    """The time that a grey level of ``ramp`` tells."""
    return (float(frame.rgb.mean()) - 20) / 20


# what a clip holds


def test_probe_tells_what_a_clip_holds(plain, silent):
    info = probe(plain)
    assert (info.has_video, info.has_audio, info.has_subtitles, info.is_image) == (True, True, False, False)
    assert (info.width, info.height, info.fps, info.rotation) == (160, 120, 25.0, 0)
    assert info.duration == pytest.approx(2.0, abs=1e-3)
    assert not probe(silent).has_audio


@pytest.mark.parametrize("ending", ["wav", "mp3", "flac", "m4a"])
def test_sound_files_have_sound_only(tmp_path, ending):
    path = make_clip(tmp_path / f"a.{ending}")
    info = probe(path)
    assert info.has_audio
    assert not info.has_video
    assert info.duration == pytest.approx(2.0, abs=0.03)
    assert frames(path) == []
    assert len(read_audio(path)) == 32_000


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "avi", "webm", "mpg", "ts"])
def test_every_container_gives_pictures_and_sound(tmp_path, ending):
    path = make_clip(tmp_path / f"a.{ending}", picture=ramp, audio_rate=48_000)
    items = list(stream(path))
    pictures = [item for item in items if isinstance(item, Frame)]
    assert [round(frame.time - pictures[0].time, 2) for frame in pictures][:10] == [k / 5 for k in range(10)]
    assert all(abs(shown(f) - (f.time - pictures[0].time)) < 0.2 for f in pictures)
    assert sum(len(c.samples) for c in items if isinstance(c, AudioChunk)) == pytest.approx(32_000, abs=800)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp"])
def test_a_still_picture_is_one_frame(tmp_path, ending):
    path = tmp_path / f"50%03d.{ending}"
    path.write_bytes(cv2.imencode(f".{ending}", quadrants(0, (320, 200))[:, :, ::-1])[1].tobytes())
    info = probe(path)
    assert (info.is_image, info.has_video, info.has_audio, info.width, info.height) == (True, False, False, 320, 200)
    assert np.abs(read_image(path).astype(int) - quadrants(0, (320, 200))).mean() < 5
    (frame,) = stream(path, max_side=160)
    assert (frame.time, frame.rgb.shape) == (0.0, (100, 160, 3))


def test_a_picture_stands_upright_by_its_exif_orientation(tmp_path):
    from PIL import Image

    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter turn clockwise
    Image.fromarray(quadrants(0, (320, 200))).save(path, exif=exif, quality=95)
    expected = np.rot90(quadrants(0, (320, 200)), -1)
    assert np.abs(read_image(path).astype(int) - expected).mean() < 5


# pictures


def test_frames_are_the_first_in_each_cell_of_the_grid(plain):
    assert times(plain, fps=5) == pytest.approx([k / 5 for k in range(10)])
    assert times(plain, fps=3) == pytest.approx([0, 0.36, 0.68, 1.0, 1.36, 1.68])
    assert times(plain, fps=math.inf) == pytest.approx([k / 25 for k in range(50)])


def test_a_slow_video_is_not_doubled(tmp_path):
    path = make_clip(tmp_path / "slow.mp4", fps=2, seconds=3)
    assert times(path, fps=5) == pytest.approx([0, 0.5, 1.0, 1.5, 2.0, 2.5])


def test_variable_frame_rate_keeps_true_times(tmp_path):
    path = make_clip(tmp_path / "vfr.mkv", times=[0, 0.1, 0.15, 0.9, 1.7, 1.75, 1.81], picture=ramp)
    found = frames(path, fps=5)
    assert [frame.time for frame in found] == pytest.approx([0, 0.9, 1.7, 1.81], abs=1e-3)
    assert all(abs(shown(frame) - frame.time) < 0.12 for frame in found)


def test_one_frame_is_enough(tmp_path):
    path = make_clip(tmp_path / "one.mp4", times=[0.0], audio_rate=None)
    assert times(path) == [0.0]
    assert probe(path).has_video


def test_the_clip_starts_at_zero_where_its_timestamps_do_not(tmp_path):
    path = make_clip(tmp_path / "late.ts", audio_rate=None)
    with av.open(str(path)) as container:
        assert container.start_time > 0
    assert times(path)[:3] == pytest.approx([0.0, 0.2, 0.4], abs=1e-4)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_clips_stand_upright_as_opencv_shows_them(tmp_path, rotation):
    path = make_clip(tmp_path / "turned.mp4", rotation=rotation, audio_rate=None)
    (frame, *_) = frames(path)
    reference = cv2.VideoCapture(str(path)).read()[1][:, :, ::-1]
    assert frame.rgb.shape == reference.shape
    assert np.abs(frame.rgb.astype(int) - reference).mean() < 3
    info = probe(path)
    assert (info.rotation, info.height, info.width) == (rotation, *reference.shape[:2])


def test_colours_are_true_and_shrinking_keeps_the_aspect(tmp_path):
    path = make_clip(tmp_path / "wide.mp4", size=(960, 400), seconds=0.4, audio_rate=None)
    rgb = frames(path, max_side=320)[0].rgb
    assert rgb.shape == (133, 320, 3)
    spots = {"top left": (30, 80), "top right": (30, 240), "bottom left": (100, 80), "bottom right": (100, 240)}
    for name, spot in spots.items():
        assert np.abs(rgb[spot].astype(int) - QUADRANTS[name]).max() < 12, name
    assert frames(path, max_side=0)[0].rgb.shape == (400, 960, 3)


def test_a_4k_clip_is_shrunk(tmp_path):
    path = make_clip(tmp_path / "big.mp4", size=(3840, 2160), times=[0, 0.04], audio_rate=None)
    assert [frame.rgb.shape for frame in frames(path)] == [(360, 640, 3)]


def test_a_cut_shows_what_the_whole_shows_there(timed):
    found = frames(timed, fps=5, start=3.1, end=4.5)
    assert [frame.time for frame in found] == pytest.approx([3.12, 3.32, 3.52, 3.72, 3.92, 4.12, 4.32])
    assert all(abs(shown(frame) - frame.time) < 0.1 for frame in found)


@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.integers(1, 700), min_size=1, max_size=25),
    fps=st.sampled_from([1.0, 3.0, 5.0, 12.5]),
    start=st.sampled_from([0.0, 0.35]),
)
def test_sampled_times_rise_and_no_two_share_a_cell(tmp_path_factory, steps, fps, start):
    shown_at = np.cumsum([0, *steps]) / 1000
    path = make_clip(tmp_path_factory.mktemp("vfr") / "a.mkv", times=shown_at, size=(32, 32), audio_rate=None)
    found = times(path, fps=fps, start=start)
    cells = [math.floor((time - start + 1e-6) * fps) for time in found]
    possible = {math.floor((time - start + 1e-6) * fps) for time in shown_at if time >= start - 1e-6}
    assert all(a < b for a, b in itertools.pairwise(cells))
    assert set(cells) == possible
    assert all(np.abs(shown_at - time).min() < 1e-6 for time in found)


# sound


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
    assert times(path)[-1] == pytest.approx(0.8)
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


# subtitles


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_subtitles_are_plain_text_with_times(tmp_path, ending):
    cues = [(0.2, 0.9, "so it goes, he said"), (1.0, 1.5, "<i>and</i> goes")]
    path = make_clip(tmp_path / f"a.{ending}", subtitles=cues)
    assert probe(path).has_subtitles
    found = subtitles(path)
    assert [text for _, _, text in found] == ["so it goes, he said", "and goes"]
    assert [pytest.approx((start, end), abs=1e-3) for start, end, _ in found] == [(0.2, 0.9), (1.0, 1.5)]


def test_a_clip_without_subtitles_has_none(plain):
    assert subtitles(plain) == []


# names


NAMES = [
    "-dash.mp4",
    "a b.mp4",
    'it\'s "so".mp4',
    "new\nline.mp4",
    "grüße 漢字.mp4",
    "http:x.mp4",
    "%03d.mp4",
    "no ending",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_only_names(plain, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = type(plain)(name)
    path.write_bytes(plain.read_bytes())
    assert probe(path).has_video
    assert len(frames(path)) == 10
    assert len(read_audio(path)) == 32_000


# bad input


def refusal(path):
    with pytest.raises(DataError) as caught:
        probe(path)
    with pytest.raises(DataError) as again:
        list(stream(path))
    assert again.value.message == caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


def test_what_is_no_regular_file_is_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a\nb.mp4")
    assert "is a fifo, expected a media file" in refusal(tmp_path / "a\nb.mp4").message
    assert "is a folder" in refusal(tmp_path).message
    assert "is a device" in refusal(type(tmp_path)("/dev/zero")).message
    assert "does not exist" in refusal(tmp_path / "absent.mp4").message
    with pytest.raises(DataError, match="is a fifo"):
        read_image(tmp_path / "a\nb.mp4")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"to be or not to be\n" * 50, "is no media file"),
        (b"1\n00:00:00,000 --> 00:00:02,000\nhello\n\n", "neither video nor audio"),
        (b"#EXTM3U\n#EXTINF:2,\n/etc/hostname\n#EXT-X-ENDLIST\n", "is no media file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a git-lfs pointer"),
    ],
)
def test_what_is_no_medium_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    assert reason in refusal(path).message


def test_an_mp4_without_its_index_says_so(plain, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(plain.read_bytes()[:-3000])
    assert "has no index" in refusal(path).message


def test_an_mp4_of_zero_length_is_refused(timed, tmp_path):
    data = timed.read_bytes()
    path = tmp_path / "headers.mp4"
    path.write_bytes(data[: data.find(b"mdat") + 4])
    assert "no frame can be decoded" in refusal(path).message


def test_a_picture_that_is_none_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="no picture that can be decoded"):
        read_image(path)


def test_a_cut_off_clip_gives_what_decodes_and_says_what_is_missing(timed, tmp_path, caplog):
    data = timed.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: round(len(data) * 0.6)])
    with caplog.at_level(logging.WARNING, "mer"):
        items = list(stream(path))
    last = max(item.time for item in items if isinstance(item, Frame))
    assert 2 < last < 5
    assert sum(len(item.samples) for item in items if isinstance(item, AudioChunk)) > 2 * 16_000
    assert "is damaged" in caplog.text
    assert "s are missing" in caplog.text


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_damage_in_the_middle_is_passed_over_and_told(tmp_path, caplog, ending):
    path = make_clip(tmp_path / f"a.{ending}", seconds=6, picture=ramp)
    data, noise = bytearray(path.read_bytes()), random.Random(3)
    middle = len(data) // 2
    data[middle : middle + 6000] = noise.randbytes(6000)
    path.write_bytes(bytes(data))
    with caplog.at_level(logging.WARNING, "mer"):
        items = list(stream(path))
    assert items[-1].time > 4
    assert max(item.time for item in items if isinstance(item, Frame)) > 5.5
    assert "is damaged" in caplog.text


def test_an_intact_clip_warns_of_nothing(timed, plain, caplog):
    with caplog.at_level(logging.WARNING, "mer"):
        for path in (timed, plain):
            list(stream(path))
            list(stream(path, start=1.5))
            list(stream(path, end=0.5))
    assert caplog.text == ""


def test_a_cut_beyond_the_end_is_empty(plain):
    assert list(stream(plain, start=60.0)) == []
    assert len(read_audio(plain, start=60.0)) == 0
