from __future__ import annotations

import itertools
import math

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli.streams.media import AudioChunk, Frame, probe, read_audio, read_image, stream, subtitles
from tests.streams.clips import QUADRANTS, make_clip, quadrants, ramp


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


@settings(max_examples=15)
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
