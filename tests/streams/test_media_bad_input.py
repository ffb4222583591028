from __future__ import annotations

import logging
import os
import random

import pytest

from mercli.errors import DataError
from mercli.streams.media import AudioChunk, Frame, probe, read_audio, read_image, stream
from tests.streams.clips import make_clip, ramp

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
    assert sum(isinstance(item, Frame) for item in stream(path)) == 10
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
