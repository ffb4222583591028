"""What cannot be predicted becomes an item that says why, and stops none of its neighbours."""

from __future__ import annotations

import io
import json
import os

import pytest

from mercli.jobs.clips import items

SRT = "1\n00:00:00,000 --> 00:00:01,000\nhello there\n\n2\n00:00:01,000 --> 00:00:02,000\nmy friend\n"
VTT = "WEBVTT\n\n1\n00:00.000 --> 00:01.000\nhello there\n\n2\n00:01.000 --> 00:02.000\nmy friend\n"


def listed(tmp_path, *rows):
    path = tmp_path / "list.jsonl"
    path.write_bytes(b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows))
    return list(items.of_list(path))


def test_a_folder_without_media_stands_among_the_others_with_its_error(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.wav").write_bytes(b"x")
    found = list(items.of_paths([str(tmp_path / "empty"), str(tmp_path / "a.wav")]))
    assert "has no media" in found[0].error
    assert found[1] == items.Item(str(tmp_path / "a.wav"), audio=tmp_path / "a.wav")


def test_a_name_that_no_file_can_have_becomes_an_error(tmp_path):
    found = list(items.of_paths(["x" * 300 + ".mp4", "y" * 300 + ".txt", "b.mp4"]))
    assert [bool(item.error) for item in found] == [True, True, False]


@pytest.mark.parametrize(("name", "content"), [("a.srt", SRT), ("a.vtt", VTT), ("a.txt", "hello there\nmy friend\n")])
def test_subtitles_give_their_words_and_no_cue_number(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    (alone,) = items.of_paths([str(tmp_path / name)])
    (in_list,) = listed(tmp_path, {"id": "a", "text": name})
    assert alone.text == in_list.text == "hello there my friend"
    assert alone.error is in_list.error is None


def test_a_text_of_another_encoding_is_read_and_bytes_that_are_no_text_are_told(tmp_path):
    (tmp_path / "latin.txt").write_bytes("déjà vu".encode("cp1252"))
    (tmp_path / "noise.txt").write_bytes(b"\x00\x81\xff")
    (tmp_path / "empty.txt").write_bytes(b" \n")
    names = ("latin.txt", "noise.txt", "empty.txt")
    in_list = listed(tmp_path, *({"id": name, "text": name} for name in names))
    by_path = list(items.of_paths([str(tmp_path / name) for name in names]))
    for found in (in_list, by_path):
        assert found[0].text == "déjà vu"
        assert "is not text" in found[1].error
        assert "holds no words" in found[2].error


def test_a_text_that_is_a_pipe_or_a_folder_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.txt").mkdir()
    found = listed(tmp_path, {"text": "pipe.txt"}, {"text": "folder.txt"}, {"text": "fine"})
    assert [bool(item.error) for item in found] == [True, True, False]
    (alone,) = items.of_paths([str(tmp_path / "pipe.txt")])
    assert "no regular file" in alone.error


def test_a_long_sentence_that_ends_like_a_file_is_a_sentence(tmp_path):
    sentence = "so i opened it " * 30 + "and it was notes.txt"
    assert listed(tmp_path, {"text": sentence})[0].text == sentence


def test_a_line_that_is_not_utf_8_or_nested_too_deep_is_told_and_the_next_is_read(tmp_path):
    rows = (b'\xef\xbb\xbf{"text": "a"}', b'{"text": "\xff"}', b"[" * 100_000, b'{"start": ' + b"9" * 5000 + b"}")
    found = listed(tmp_path, *rows, {"id": None, "text": "b"})
    assert [item.text for item in found] == ["a", None, None, None, "b"]
    assert "line 2: is not utf-8" in found[1].error
    assert "is not JSON" in found[2].error
    assert [item.id for item in found] == [f"line {number}" for number in range(1, 6)]


@pytest.mark.parametrize("key", ["start", "end"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "-1", "true", '"1"', "9" * 400])
def test_times_are_finite_seconds(tmp_path, key, value):
    (found,) = listed(tmp_path, f'{{"video": "x.mp4", "{key}": {value}}}'.encode())
    assert f"'{key}' is" in found.error
    assert "expected seconds" in found.error


def test_stdin_parts_lines_at_newlines_only():
    names = ["a\x0bb.mp4", "c\x1cd.mp4", "e\u2028f.mp4", "g\x85h.mp4", "i\rj.mp4"]
    assert [i.id for i in items.of_stdin(io.BytesIO("\n".join(names).encode()), null=False)] == names
    assert [i.id for i in items.of_stdin(io.BytesIO(b"a.mp4\r\n\r\nb.mp4\r\n"), null=False)] == ["a.mp4", "b.mp4"]


def test_a_dash_among_clips_is_told():
    found = list(items.of_paths(["a.mp4", "-"]))
    assert found[0].error is None
    assert found[1].error == "'-' reads stdin and stands alone"
