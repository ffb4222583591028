import io
import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.errors import ConfigError
from mercli.jobs.clips import cutting, items
from mercli.jobs.predict import size_step, tile
from mercli.types import StreamSettings, Transcript, Word
from tests.streams.clips import make_clip


@given(st.floats(0.05, 500), st.floats(0.5, 20), st.floats(0.1, 1.0))
def test_windows_tile_the_clip_without_a_gap(seconds, size, share):
    windows = tile((0.0, seconds), size, size * share)
    assert windows[0][0] == 0
    assert windows[-1][1] == pytest.approx(seconds)
    assert all(0 < end - start <= size + 1e-6 for start, end in windows)
    assert all(after[0] <= before[1] + 1e-6 for before, after in pairwise(windows))
    assert all(before[1] < seconds for before in windows[:-1])


@pytest.mark.parametrize("text", ["", "4/", "0/1", "a", "4/-1", "4/2/1"])
def test_unreadable_windows_are_refused(text):
    if text == "4/":
        assert size_step(text) == (4.0, 4.0)
        return
    with pytest.raises(ConfigError, match="SIZE/STEP"):
        size_step(text)


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0.1, 120)), min_size=1, max_size=6))
def test_parts_cover_each_window_exactly(spans):
    windows = [(start, start + length) for start, length in spans]
    parts = list(cutting._parts(windows, 20.0))
    for index, (start, end) in enumerate(windows):
        own = sorted((p.start, p.end) for p in parts if p.window == index)
        assert own[0][0] == start
        assert own[-1][1] == end
        assert all(b - a <= 20.0 + 1e-6 for a, b in own)
        assert all(x[1] == pytest.approx(y[0]) for x, y in pairwise(own))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "long.mp4", seconds=50.0, fps=5, size=(64, 48))


def gather(clip, windows, **options):
    source = cutting.Source((cutting.Medium(clip, ("audio", "face")),), **options)
    return list(cutting.pieces(source, windows, StreamSettings()))


def test_the_parts_of_a_long_window_are_the_whole_sound_in_order(clip):
    from mercli.streams import media

    found = [p for p in gather(clip, [(0.0, 50.0)]) if p.streams.audio is not None]
    assert len(found) == 3
    np.testing.assert_allclose(np.concatenate([p.streams.audio for p in found]), media.read_audio(clip), atol=1e-6)
    assert [p.last for p in gather(clip, [(0.0, 50.0)])] == [False, False, False, True]


def test_overlapping_windows_come_from_one_pass(clip):
    windows = tile((0.0, 50.0), 4, 2)
    found = [p for p in gather(clip, windows) if p.streams.audio is not None]
    assert [p.window for p in found] == list(range(len(windows)))
    assert all(len(p.streams.audio) == 64_000 for p in found[:-1])
    np.testing.assert_allclose(found[0].streams.audio[32_000:], found[1].streams.audio[:32_000], atol=1e-6)


def test_no_face_is_told_with_the_number_of_frames(clip):
    (_, piece) = gather(clip, [(0.0, 4.0)])
    assert piece.streams.faces is None
    assert piece.streams.missing["face"] == "no face found in 20 frames"


def test_words_go_to_the_window_that_holds_their_middle(clip):
    words = (Word("one", 0.5, 1.0), Word("two", 3.8, 4.4), Word("three", 9.0, 9.5))
    transcript = Transcript("one two three", "sidecar", words)
    found = gather(clip, [(0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 16.0)], transcript=transcript, whole=False)
    texts = [p.streams.transcript.text if p.streams.transcript else None for p in found[:4]]
    assert texts == ["one", "two", "three", None]
    assert "text" in found[3].streams.missing


def test_a_list_keeps_ids_and_order_and_names_each_bad_line(tmp_path):
    rows = [
        {"id": "a", "text": "hello"}, {"id": "b", "vdeo": "x.mp4"}, {"id": "c"},
        {"id": "d", "audio": "x.wav", "end": 0},
        {"id": "e", "image": "x.png", "face": "left"}, {"id": "f", "video": "x.mp4", "start": 1, "end": 2},
    ]  # fmt: skip
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "{oops"]) + "\n")
    found = list(items.of_list(path))
    assert [i.id for i in found] == ["a", "b", "c", "d", "e", "f", "line 7"]
    assert [bool(i.error) for i in found] == [False, True, True, True, True, False, True]
    assert "unknown key 'vdeo'" in found[1].error
    assert found[5].video == tmp_path / "x.mp4"
    assert (found[5].start, found[5].end) == (1.0, 2.0)


def test_a_text_that_names_a_file_beside_the_list_is_read(tmp_path):
    (tmp_path / "said.txt").write_text("what they said")
    (tmp_path / "list.jsonl").write_text('{"id": "a", "text": "said.txt"}\n{"id": "b", "text": "other.txt"}\n')
    assert [i.text for i in items.of_list(tmp_path / "list.jsonl")] == ["what they said", "other.txt"]


def test_a_folder_gives_its_media_sorted_and_leaves_sidecars_and_hidden_files(tmp_path):
    for name in ("b.MP4", "a.wav", "b.txt", "._c.mp4", "deep/d.jpg", "alone.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    found = [i.id.removeprefix(f"{tmp_path}/") for i in items.of_paths([str(tmp_path)])]
    assert found == ["a.wav", "alone.txt", "b.MP4", "deep/d.jpg"]


def test_stdin_takes_lines_or_nul():
    assert [i.id for i in items.of_stdin(io.BytesIO("a b.mp4\nü.mp4\n\n".encode()), null=False)] == ["a b.mp4", "ü.mp4"]
    assert [i.id for i in items.of_stdin(io.BytesIO(b"a\nb.mp4\0c.mp4\0"), null=True)] == ["a\nb.mp4", "c.mp4"]
