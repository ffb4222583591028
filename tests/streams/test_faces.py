"""Faces are found, followed, chosen, and cut out as training pictures were; what is not seen is marked."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli.errors import ConfigError
from mercli.streams import faces as module
from mercli.streams.faces import EVERYONE, FaceFinder, cut_out
from mercli.streams.mouth import speaker, speech_score
from mercli.streams.tracks import GAP, Tracker, overlap

HERE = Path(__file__).resolve()
CLIPS = HERE.parents[2] / "../shared/data/clips"
HELLO = HERE.parents[2] / "examples/hello.mp4"
# In the portrait's pixels, read off the picture by eye: between the pupils, and the middle of the mouth.
EYES, MOUTH = (225, 105), (222, 148)


@dataclass(frozen=True)
class Picture:
    time: float
    rgb: np.ndarray


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    data = pytest.importorskip("skimage.data")
    return data.astronaut()


@pytest.fixture(scope="module")
def head(portrait) -> np.ndarray:
    return portrait[:256, 96:352]


def scene(*heads: tuple[np.ndarray, int, int]) -> np.ndarray:
    """Return a grey frame (360, 640, 3) with heads at (left, top)."""
    frame = np.full((360, 640, 3), 127, np.uint8)
    for picture, left, top in heads:
        height, width = picture.shape[:2]
        frame[top : top + height, left : left + width] = picture
    return frame


def smaller(head: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.resize(head, (180, 180), interpolation=cv2.INTER_AREA)


def black() -> np.ndarray:
    return np.zeros((360, 640, 3), np.uint8)


def found(frames: list[np.ndarray], step: float = 0.2, **options) -> FaceFinder:
    finder = FaceFinder(**options)
    for number, rgb in enumerate(frames):
        finder.add(Picture(number * step, rgb))
    return finder


def test_the_crop_has_eyes_and_mouth_where_the_training_pictures_have_them(portrait):
    track = found([portrait], size=96).segment(0.0)
    left, top, width, height = track.boxes[0] * 512
    assert width == pytest.approx(height, rel=1e-4)
    assert (EYES[0] - left) / width == pytest.approx(0.5, abs=0.04)
    assert (EYES[1] - top) / height == pytest.approx(0.39, abs=0.06)
    assert (MOUTH[1] - top) / height == pytest.approx(0.77, abs=0.05)
    assert track.faces.shape == (1, 96, 96, 3)
    assert track.faces.dtype == np.uint8
    assert track.confidence[0] > 0.5
    red, _, blue = track.faces[0, 40:60, 30:66].reshape(-1, 3).mean(axis=0)
    assert red > blue + 20  # skin, in RGB order


def test_margin_widens_the_crop_and_not_the_box(portrait):
    near, wide = (found([portrait], size=96, margin=margin).segment(0.0) for margin in (0.0, 0.5))
    np.testing.assert_array_equal(near.boxes, wide.boxes)
    middle = wide.faces[0, 24:72, 24:72].astype(float)
    shrunk = near.faces[0].reshape(48, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(middle.ravel(), shrunk.ravel())[0, 1] > 0.95


def test_frames_before_a_late_face_are_marked_and_not_filled(head):
    track = found([black()] * 4 + [scene((head, 200, 50))] * 3).segment(0.0)
    np.testing.assert_allclose(track.times, np.arange(7) * 0.2, atol=1e-6)
    np.testing.assert_array_equal(track.confidence > 0, [False] * 4 + [True] * 3)
    assert not track.faces[:4].any()
    assert np.isnan(track.boxes[:4]).all()
    assert track.faces[4:].any()


@pytest.mark.parametrize("rgb", [black(), scene(), np.zeros((1, 1, 3), np.uint8), np.full((48, 48, 3), 255, np.uint8)])
def test_no_face_is_none_with_a_reason(rgb):
    finder = found([rgb] * 3)
    assert finder.segment(0.0) is None
    assert finder.tracks(0.0) == []
    assert finder.reason(0.0) == "no face found in 3 frames"
    assert finder.reason(5.0, 6.0) == "no frame in this stretch"


def test_a_stretch_takes_its_own_frames_only(head):
    finder = found([scene((head, 200, 50))] * 10)
    np.testing.assert_allclose(finder.segment(0.4, 1.0).times, [0.4, 0.6, 0.8], atol=1e-6)
    assert finder.segment(2.0, 3.0) is None


def test_a_moving_face_is_one_track_across_a_short_gap(head):
    places = [scene((head, 40 + 20 * k, 60)) for k in range(6)]
    finder = found([*places, *[black()] * 4, *[scene((head, 170, 60))] * 3])
    assert len(finder.tracks(0.0)) == 1
    assert (finder.segment(0.0).confidence > 0).sum() == 9


def test_after_a_long_gap_it_is_someone_else(head):
    finder = found([scene((head, 200, 50)), black(), scene((head, 200, 50))], step=GAP)
    assert [track.track for track in finder.tracks(0.0)] == [0, 1]


def test_of_two_faces_the_largest_is_taken_or_all(head):
    frames = [scene((smaller(head), 30, 100), (head, 330, 50))] * 4
    largest = found(frames, mode="largest").segment(0.0)
    assert (largest.boxes[:, 0] > 0.5).all()
    everyone = found(frames, mode="all")
    both = everyone.segment(0.0)
    assert len(both.times) == 8
    assert both.track == EVERYONE
    assert sorted(both.times) == list(both.times)
    one, other = everyone.tracks(0.0)
    assert one.boxes[0, 2] > other.boxes[0, 2]


def talking(head: np.ndarray, gap: int) -> np.ndarray:
    """Return the head with what is below the middle of its lips moved down, and darkness between."""
    scale = len(head) / 256
    mouth, middle, half = round(MOUTH[1] * scale), round((MOUTH[0] - 96) * scale), round(16 * scale)
    opened = head.copy()
    opened[mouth + gap : len(head) - 30 + gap] = head[mouth:-30]
    opened[mouth : mouth + gap] = head[mouth - 1]
    opened[mouth : mouth + gap, middle - half : middle + half] = (60, 10, 10)
    return opened


def test_the_speaker_is_who_moves_the_mouth_with_the_sound(head):
    gaps = [0, 12, 2, 14, 0, 10, 0, 0, 0, 0, 0, 13, 1, 12, 0, 11, 0, 0, 0, 0]
    frames = [scene((talking(smaller(head), gap), 20, 30), (head, 330, 30)) for gap in gaps]
    finder = found(frames)

    def energy(start: float, end: float) -> float:
        middle = (start + end) / 2 / 0.2
        return 0.5 if middle < 6.5 or 10.5 < middle < 16.5 else 0.001

    assert len(finder.tracks(0.0)) == 2
    assert (finder.segment(0.0, None, energy).boxes[:, 0] < 0.5).all()


def test_without_sound_the_largest_is_the_speaker(head):
    frames = [scene((smaller(head), 30, 100), (head, 330, 50))] * 6
    for energy in (None, lambda start, end: 0.0):
        assert (found(frames).segment(0.0, None, energy).boxes[:, 0] > 0.4).all()


def test_one_face_alone_costs_no_mesh(head, monkeypatch):
    monkeypatch.setattr(module, "opening", lambda face: pytest.fail("the mesh was asked about a face without a rival"))
    assert found([scene((head, 200, 50))] * 3).segment(0.0, None, lambda start, end: 1.0) is not None


def test_a_mouth_that_fits_the_sound_scores_above_one_that_does_not_and_above_a_still_one():
    times = np.arange(20) * 0.2
    loud = (times % 2) < 1

    def energy(start: float, end: float) -> float:
        return 0.5 if ((start + end) / 2) % 2 < 1 else 0.0

    moving = np.where(np.arange(20) % 2, 0.12, 0.0)
    fits, other = (list(zip(times, np.where(when, moving, 0.0), strict=True)) for when in (loud, ~loud))
    still = [(time, 0.1) for time in times]
    assert speech_score(fits, energy) > speech_score(other, energy) > speech_score(still, energy) == 0
    assert speech_score(fits[:3], energy) is None
    assert speech_score(fits, lambda start, end: 0.0) is None


def test_who_is_hardly_there_does_not_become_the_speaker(head):
    present, passing = found([scene((head, 200, 50))] * 20)._tracker.tracks[0], Tracker()
    guest = passing.assign([(0, 0, 50, 50)], 0.0)[0]
    guest.samples = present.samples[:6]
    guest.mouth = [(k * 0.2, 0.1 * (k % 2)) for k in range(6)]
    assert speaker([present, guest], 20, lambda start, end: 1.0) is present


def test_whole_takes_the_picture_as_the_face():
    rng = np.random.default_rng(0)
    square = rng.integers(0, 255, (48, 48, 3), np.uint8)
    track = found([square], mode="whole", size=48).segment(0.0)
    np.testing.assert_array_equal(track.faces[0], square)
    assert track.confidence.tolist() == [1.0]
    wide = found([np.ascontiguousarray(square[12:36])], mode="whole", size=48).segment(0.0)
    np.testing.assert_array_equal(wide.faces[0], np.pad(square[12:36], ((12, 12), (0, 0), (0, 0)), mode="edge"))


def test_4k_and_portrait_frames_have_their_face(portrait):
    import cv2

    tall = cv2.copyMakeBorder(portrait, 0, 1200, 200, 200, cv2.BORDER_REPLICATE)
    huge = np.zeros((2160, 3840, 3), np.uint8)
    huge[:, 800:2960] = cv2.resize(portrait, (2160, 2160))
    for rgb in (tall, huge):
        assert found([rgb]).segment(0.0).confidence[0] > 0.5


def test_forgotten_frames_are_gone_and_people_keep_their_numbers(head):
    finder = found([scene((head, 200, 50))] * 6)
    finder.forget(0.8)
    assert len(finder.segment(0.0).times) == 2
    finder.forget(1.2)
    assert finder.segment(0.0) is None
    assert finder.reason(0.0) == "no frame in this stretch"
    finder.add(Picture(1.2, scene((head, 210, 50))))
    assert finder.segment(0.0).track == 0


def test_an_unknown_mode_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match="did you mean 'speaker'"):
        FaceFinder(mode="speakr")


@given(st.integers(-30, 50), st.integers(-30, 40), st.integers(4, 40))
def test_a_crop_beyond_the_picture_repeats_its_edge(left, top, side):
    picture = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    around = np.pad(picture, ((80, 80), (80, 80), (0, 0)), mode="edge")
    expected = around[80 + top : 80 + top + side, 80 + left : 80 + left + side]
    np.testing.assert_array_equal(cut_out(picture, (left, top, side, side), side), expected)


boxes = st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(1, 50), st.floats(1, 50))


@given(boxes, boxes)
def test_overlap_is_symmetric_between_0_and_1(first, second):
    assert 0 <= overlap(first, second) <= 1 + 1e-9
    assert overlap(first, second) == pytest.approx(overlap(second, first))
    assert overlap(first, first) == pytest.approx(1)


@settings(max_examples=40)
@given(st.lists(st.lists(boxes, max_size=4), max_size=8))
def test_a_track_takes_at_most_one_face_of_a_frame(frames):
    tracker = Tracker()
    for number, found_boxes in enumerate(frames):
        tracks = tracker.assign(found_boxes, number * 0.2)
        assert len({track.number for track in tracks}) == len(found_boxes)
        assert [track.box for track in tracks] == found_boxes


def test_nothing_reaches_the_terminal_and_the_process_ends():
    program = (
        "import sys, numpy as np; from mercli.streams import faces, mouth; assert 'mediapipe' not in sys.modules;"
        "from skimage import data; picture = data.astronaut(); assert faces.detect(picture);"
        "assert mouth.opening(picture[:256, 96:352]) is not None; sys.stderr.write('heard')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "heard")


def of_clip(path: Path, **options) -> FaceFinder:
    from mercli.streams import media

    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    finder = FaceFinder(**options)
    for frame in media.stream(path, audio_rate=None, fps=2.5):
        finder.add(frame)
    return finder


def test_the_example_clip_shows_one_face_throughout():
    finder = of_clip(HELLO)
    assert len(finder.tracks(0.0)) == 1
    assert (finder.segment(0.0).confidence > 0.5).all()


def test_a_real_face_that_comes_late_is_marked_so():
    seen = of_clip(CLIPS / "web_faces/pyfeat_noface_face.mp4").segment(0.0).confidence > 0
    assert not seen[: len(seen) // 3].any()
    assert seen[-len(seen) // 4 :].any()


NEAR, FAR = "mead_silent/W009_front_happy_level3_001.mp4", "web_faces/liveportrait_s20.mp4"


@pytest.mark.parametrize("name", [NEAR, FAR, "styletalk_silent/spata_clip1.mp4"])
def test_real_faces_near_and_far_are_found_in_nearly_every_frame(name):
    assert (of_clip(CLIPS / name).segment(0.0).confidence > 0).mean() > 0.9
