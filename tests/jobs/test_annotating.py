"""The annotated clip decoded again: its length, sound and turn, where the face is framed, what stays untouched."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mercli.config import PredictConfig
from mercli.errors import ConfigError, DataError
from mercli.jobs.answers import annotating
from mercli.jobs.answers.annotating import Faces
from mercli.jobs.clips.cutting import Piece
from mercli.jobs.clips.items import of_file
from mercli.results.overlay import Layout, Overlay
from mercli.streams import film, media
from mercli.streams.detector import detect
from mercli.types import Prediction, Streams, Word
from tests.streams.clips import make_clip

HELLO = Path(__file__).parents[2] / "examples" / "hello.mp4"


def portrait(time, size):
    """Return the portrait of the examples, moved by 20 pixels a second to the right."""
    if not hasattr(portrait, "face"):
        portrait.face = next(e.rgb for e in media.stream(HELLO, audio_rate=None, fps=5) if isinstance(e, media.Frame))
    width, height = size
    shown = np.zeros((height, width, 3), np.uint8) + np.uint8(200)
    left = round(20 * time)
    shown[:320, left : left + 320] = portrait.face
    return shown


def annotate(path, out, **settings):
    config = PredictConfig(**{"text": "so glad", **settings})
    return annotating.annotated(config, of_file(str(path), path), out)


def pictures(path):
    return [
        event for event in media.stream(path, audio_rate=None, fps=50, max_side=0) if isinstance(event, media.Frame)
    ]


def framed(found, source):
    """Return left, top, width and height of what was drawn on the picture."""
    height, width = source.shape[:2]
    apart = np.abs(found[:height, :width].astype(int) - source).max(2) > 90
    rows, columns = np.flatnonzero(apart.sum(1) > 60), np.flatnonzero(apart.sum(0) > 60)
    return np.array([columns[0], rows[0], columns[-1] - columns[0], rows[-1] - rows[0]])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """One clip with a moving face and a varied sound, annotated."""
    folder = tmp_path_factory.mktemp("film")
    loud = np.repeat(np.random.default_rng(0).uniform(0, 1, 60), 4000)
    clip = make_clip(
        folder / "a.mp4", seconds=2.4, size=(400, 320), picture=portrait,
sound=lambda t: 0.5 * loud[(t * 44_100).astype(int)] * np.sin(2000 * t + 3000 * t**2),
    )  # fmt: skip
    return clip, folder / "out.mp4", annotate(clip, folder / "out.mp4", windows="1")


def test_length_and_sound_are_those_of_the_clip(shown):
    clip, out, _ = shown
    with av.open(str(out)) as held:
        assert {part.type: round(float(part.duration * part.time_base), 2) for part in held.streams} == {
            "video": 2.4, "audio": 2.4,
        }  # fmt: skip
        assert held.streams.video[0].codec_context.pix_fmt == "yuv420p"
    before, after = (media.read_audio(path, rate=16_000) for path in (clip, out))
    size = min(len(before), len(after))
    assert size > 2.3 * 16_000
    assert np.corrcoef(before[:size], after[:size])[0, 1] > 0.95


def test_the_face_is_framed_where_it_is_and_the_rest_is_left_alone(shown):
    clip, out, _ = shown
    before, after = pictures(clip), pictures(out)
    assert len(before) == len(after) == 60
    for number in (5, 30, 55):
        source, found = before[number].rgb, after[number].rgb
        (face,) = detect(source)
        expected = np.array([max(0, face.box[0]), max(0, face.box[1]), face.box[2], face.box[3]])
        assert np.abs(framed(found, source) - expected).max() < 14, number
        apart = [np.abs(found[:320].astype(int) - before[number + k].rgb).mean() for k in (-1, 0, 1)]
        assert apart[1] == min(apart)
        assert apart[1] < 6


def test_the_panel_below_has_the_colour_of_the_answer(shown):
    from mercli.results.style import ON_DARK, emotion

    _, out, predictions = shown
    for prediction in predictions:
        layout = Layout(400, 320)
        picture = next(frame.rgb for frame in pictures(out) if frame.time >= prediction.start + 0.5 or frame.time > 2.2)
        assert picture.shape[1::-1] == layout.size
        best = max(prediction.scores, key=lambda name: prediction.scores[name])
        colour = np.array(list(bytes.fromhex(ON_DARK.get(emotion(best), emotion(best))[1:])))
        row = picture[320 + layout.letters // 2 + layout.row // 2].astype(int)
        assert (np.abs(row - colour).max(1) < 40).sum() > 30


@pytest.mark.parametrize("rotation", [90, 180])
def test_a_turned_clip_is_upright_and_odd_sides_are_made_even(tmp_path, rotation):
    size = (321, 241) if rotation == 180 else (240, 322)
    clip = make_clip(tmp_path / "a.mkv", seconds=0.6, rotation=rotation, audio_rate=None, size=size, codec="ffv1")
    annotate(clip, tmp_path / "out.mp4")
    source, found = pictures(clip)[0].rgb, pictures(tmp_path / "out.mp4")[0].rgb
    with av.open(str(tmp_path / "out.mp4")) as held:
        assert next(held.decode(video=0)).rotation == 0
        assert [part.type for part in held.streams] == ["video"]
    height, width = source.shape[:2]
    assert np.abs(found[10 : height - 10, 10 : width - 10].astype(int) - source[10:-10, 10:-10]).mean() < 10
    assert not any(side % 2 for side in found.shape[:2])


def test_pictures_of_a_variable_rate_are_shown_when_they_were(tmp_path):
    times = [0.0, 0.1, 0.2, 0.9, 1.0, 1.7]

    def level(time, size):
        return np.full((size[1], size[0], 3), 40 + 30 * times.index(time), np.uint8)

    clip = make_clip(tmp_path / "a.mkv", times=times, picture=level, seconds=2.0, size=(320, 240))
    annotate(clip, tmp_path / "out.mp4")
    for frame in pictures(tmp_path / "out.mp4"):
        if min(abs(frame.time - time) for time in times[1:]) > 0.03:
            due = max(number for number, time in enumerate(times) if time <= frame.time)
            assert abs(int(frame.rgb[100, 100, 0]) - (40 + 30 * due)) < 8, frame.time


def test_a_part_of_a_clip_is_annotated_by_itself(tmp_path):
    from mercli.jobs.clips.items import Item

    item = Item("part", video=HELLO, text="so glad", start=1.0, end=2.0)
    predictions = annotating.annotated(PredictConfig(), item, tmp_path / "out.mkv")
    assert predictions[0].start == 1.0
    assert media.probe(tmp_path / "out.mkv").duration == pytest.approx(1.0, abs=0.03)


def test_what_cannot_be_annotated_is_told_and_leaves_nothing(tmp_path):
    make_clip(tmp_path / "a.wav", seconds=1.0)
    with pytest.raises(DataError, match="no video"):
        annotate(tmp_path / "a.wav", tmp_path / "out.mp4")
    with pytest.raises(ConfigError, match=r"\.mp4"):
        annotate(HELLO, tmp_path / "out.gif")
    with pytest.raises(ConfigError, match="one model"):
        annotate(HELLO, tmp_path / "out.mp4", model=("embedded", "embedded"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    with pytest.raises(DataError, match="the clip itself"):
        annotate(HELLO, HELLO.parent / "../examples/hello.mp4")


def test_a_film_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "out.mp4").write_text("before")

    def broken(*_):
        yield 0.0, np.zeros((240, 320, 3), np.uint8)
        raise DataError("damaged")

    monkeypatch.setattr(annotating, "_pictures", broken)
    with pytest.raises(DataError, match="damaged"):
        annotate(HELLO, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_text() == "before"


def test_the_frame_moves_between_two_sights_and_goes_when_the_face_has_gone():
    faces = Faces()
    boxes = np.array([[0, 0, 0.2, 0.2], [0.2, 0, 0.2, 0.2], [np.nan] * 4, [0.5, 0.5, 0.1, 0.1], [0.1, 0, 0.1, 0.1]])
    streams = Streams(
        face_boxes=boxes.astype(np.float32),
        face_times=np.array([0, 0.2, 0.4, 2.0, 2.0], np.float32),
        face_confidence=np.array([1, 1, 0, 1, 1], np.float32),
    )
    faces.see(Piece(3, streams, 10.0))
    assert faces.at(3, 10.1)[0] == pytest.approx((0.1, 0, 0.2, 0.2), abs=1e-3)
    assert faces.at(3, 10.45)[0] == pytest.approx((0.2, 0, 0.2, 0.2), abs=1e-3)
    assert faces.at(3, 10.6) == faces.at(2, 10.1) == []
    assert len(faces.at(3, 11.9)) == 2


def test_words_are_said_in_their_time_and_what_is_missing_is_told():
    from mercli.results.exports.tiers import windows

    words = tuple(Word(text, number, number + 0.5) for number, text in enumerate(("one", "two", "three")))
    good = Prediction("a", "a", 0, 6, "x", {"happy": 1.0}, "happy", "r", words=words, missing={"face": "dark"})
    bad = Prediction("a", "a", 6, 8, "x", {}, None, "r", error="nothing to predict from")
    overlay = Overlay(Layout(640, 360), windows([good, bad], 8.0))
    picture = np.full((360, 640, 3), 200, np.uint8)
    told = {time: overlay.draw(picture, time, [])[360:] for time in (0.2, 0.7, 1.2, 5.0, 7.0, 9.0)}
    assert len({panel.tobytes() for panel in told.values()}) == 5
    assert np.array_equal(told[7.0], told[9.0])
    assert (overlay.draw(picture, 0.2, [])[:360] == 200).all()


def test_sound_shorter_than_the_pictures_ends_in_silence(tmp_path):
    tone = np.sin(np.arange(22_050) / 10).astype(np.float32) * 0.5
    black = (np.zeros((64, 64, 3), np.uint8) for _ in range(25))
    film.write(tmp_path / "a.mp4", "mp4", black, 25.0, 25, [tone[:9000], tone[9000:]])
    heard = media.read_audio(tmp_path / "a.mp4", rate=44_100)
    assert media.probe(tmp_path / "a.mp4").duration == pytest.approx(1.0, abs=0.03)
    assert np.abs(heard[2000:20_000]).mean() > 0.2
    assert np.abs(heard[24_000:]).max() < 0.02
