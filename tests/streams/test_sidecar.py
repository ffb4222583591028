from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.errors import DataError
from mercli.streams.cues import Cue, parse_srt, words_of
from mercli.streams.sidecar import Sidecar, find_sidecar, read_sidecar
from mercli.streams.trust import HeardTranscript, trust_of

SRT = """1
00:00:01,000 --> 00:00:03,000
<i>I am</i> {\\an8}so glad

2
00:01:00,500 --> 00:01:01,000
to see &amp; hear you
"""
VTT = """WEBVTT - made by hand

NOTE a remark
over two lines

STYLE
::cue { color: red }

intro
00:01.000 --> 00:03.000 align:start position:0%
<v Roger>I <00:00:02.000><c.loud>am</c> here

01:00:00.000 --> 01:00:01.000
I <3 you
"""
SEGMENT = {"start": 1.0, "end": 2.0, "text": " well done"}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_srt_gives_words_that_share_their_cue_evenly(tmp_path):
    transcript = read_sidecar(write(tmp_path / "clip.srt", SRT))
    assert transcript.text == "I am so glad to see & hear you"
    assert [(w.text, w.start, w.end) for w in transcript.words[:4]] == [
        ("I", 1.0, 1.5), ("am", 1.5, 2.0), ("so", 2.0, 2.5), ("glad", 2.5, 3.0),
    ]  # fmt: skip
    assert transcript.words[-1].end == 61.0
    assert (transcript.source, transcript.trust, transcript.language) == ("sidecar", None, "en")


def test_vtt_passes_over_notes_styles_identifiers_and_tags(tmp_path):
    transcript = read_sidecar(write(tmp_path / "clip.vtt", VTT))
    assert transcript.text == "I am here I <3 you"
    assert transcript.words[0].start == 1.0
    assert transcript.words[-1].end == 3601.0


def test_txt_has_no_times(tmp_path):
    transcript = read_sidecar(write(tmp_path / "clip.txt", "  I am\n so   glad to see you\n"))
    assert (transcript.text, transcript.words) == ("I am so glad to see you", ())


def test_json_of_whisper_keeps_words_language_and_doubts(tmp_path):
    measures = {"avg_logprob": -0.4, "no_speech_prob": 0.1, "compression_ratio": 1.3}
    words = [
        {"word": " well", "start": 1.0, "end": 1.25, "probability": 0.9},
        {"word": " done", "start": 1.25, "end": 2},
    ]
    data = {"text": "well done", "language": "English", "segments": [SEGMENT | measures | {"words": words}]}
    transcript = read_sidecar(write(tmp_path / "clip.json", json.dumps(data)))
    assert isinstance(transcript, HeardTranscript)
    assert transcript.language == "en"
    assert [(w.text, w.end, w.confidence) for w in transcript.words] == [("well", 1.25, 0.9), ("done", 2.0, None)]
    assert transcript.trust == pytest.approx(trust_of(-0.4, 0.1, 1.3))


def test_json_without_words_shares_the_segment_evenly(tmp_path):
    transcript = read_sidecar(write(tmp_path / "clip.json", json.dumps({"segments": [SEGMENT]})))
    assert [(w.text, w.start) for w in transcript.words] == [("well", 1.0), ("done", 1.5)]
    assert transcript.trust is None


def test_json_of_text_only_has_no_times(tmp_path):
    transcript = read_sidecar(write(tmp_path / "clip.json", json.dumps({"text": "well done"})))
    assert (transcript.text, transcript.words) == ("well done", ())


def test_json_of_another_purpose_is_passed_over(tmp_path):
    assert read_sidecar(write(tmp_path / "clip.json", json.dumps({"camera": "left"}))) is None


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_encodings_and_line_ends_do_not_matter(tmp_path, encoding, ending):
    content = "1\n00:00:00,000 --> 00:00:01,000\ncafé déjà vu\n".replace("\n", ending)
    transcript = read_sidecar(write(tmp_path / "clip.srt", content.encode(encoding)))
    assert transcript.text == "café déjà vu"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("clip.srt", "1\n00:00:01,000 -> 00:00:02,000\nno arrow\n", "line 2"),
        ("clip.srt", "1\n00:00:01,000 --> 00:00:02,000\nok\n\nstray words\nwithout a time\n", "line 6"),
        ("clip.srt", "1\n00:00:03,000 --> 00:00:02,000\nbackwards\n", "ends before it starts"),
        ("clip.srt", "1\n00:99:00,000 --> 00:99:02,000\nno such minute\n", "line 2"),
        ("clip.srt", "7\n", "line 1"),
        ("clip.vtt", "00:01.000 --> 00:02.000\nno header\n", "line 1"),
        ("clip.vtt", "WEBVTT\n00:01.000 --> 00:02.000\nno blank line\n", "line 2"),
        ("clip.vtt", "", "line 1"),
        ("clip.json", '{"segments": [\n{"start": 1,}]}', "line 2"),
        ("clip.json", '{"segments": [{"start": 2, "end": 1, "text": "x"}]}', "segments[0]"),
        ("clip.json", '{"segments": [{"start": NaN, "end": 1, "text": "x"}]}', "segments[0].start"),
        ("clip.json", '{"segments": [{"start": 0, "end": 1}]}', "segments[0].text"),
        ("clip.json", '{"segments": [3]}', "segments[0]"),
        ("clip.json", '{"segments": 3}', "segments"),
        ("clip.json", '{"text": ["a"]}', "text"),
        ("clip.json", '{"text": "a", "language": 3}', "language"),
        ("clip.json", "[" * 100_000, "line 1"),
        ("clip.txt", b"\x00\x01\x02", "not text"),
        ("clip.txt", b"\x81\xff\xfe", "not text"),
    ],
)
def test_malformed_transcripts_are_named_with_the_place(tmp_path, name, content, told):
    with pytest.raises(DataError) as fault:
        read_sidecar(write(tmp_path / name, content))
    assert name in fault.value.message
    assert told in fault.value.message


@pytest.mark.parametrize(
    ("name", "content"), [("a.srt", ""), ("a.vtt", "WEBVTT\n"), ("a.txt", " \n"), ("a.json", '{"text": ""}')]
)
def test_an_empty_transcript_has_no_words(tmp_path, name, content):
    assert read_sidecar(write(tmp_path / name, content)) is None


def test_the_first_kind_wins_and_a_plain_name_goes_before_a_tagged_one(tmp_path):
    clip = tmp_path / "my.clip.mp4"
    assert find_sidecar(clip) is None
    for name in (
        "my.clip.fr.srt",
        "my.clip.en.vtt",
        "my.clip.forced.srt",
        "other.en.srt",
        "my.clip.json",
        "my.clip.txt",
    ):
        write(tmp_path / name, "x")
    assert find_sidecar(clip).name == "my.clip.txt"
    write(tmp_path / "my.clip.srt", SRT)
    assert find_sidecar(clip).name == "my.clip.srt"


def test_of_tagged_names_english_is_preferred_and_the_tag_is_the_language(tmp_path):
    clip = tmp_path / "clip.mp4"
    write(tmp_path / "clip.de.srt", "1\n00:00:00,000 --> 00:00:01,000\nhallo\n")
    assert Sidecar().transcribe(clip).language == "de"
    nested = tmp_path / "both"
    nested.mkdir()
    write(nested / "clip.de.srt", SRT)
    write(nested / "clip.en-US.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nja\n")
    assert Sidecar().transcribe(nested / "clip.mp4").language == "en"


def test_a_text_file_is_not_its_own_sidecar(tmp_path):
    assert Sidecar().transcribe(write(tmp_path / "note.txt", "hello")) is None


def test_a_clip_in_a_folder_that_is_not_there_has_no_sidecar(tmp_path):
    assert find_sidecar(tmp_path / "gone" / "clip.mp4") is None


@given(st.lists(st.tuples(st.integers(0, 359_999), st.integers(0, 5_000), st.integers(1, 6)), max_size=8))
def test_any_srt_reads_back_with_its_times(cues):
    def clock(ms: int) -> str:
        return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"

    text = "\n".join(
        f"{n}\n{clock(start)} --> {clock(start + length)}\n{' '.join(['word'] * count)}\n"
        for n, (start, length, count) in enumerate(cues)
    )
    read = parse_srt(text, "x.srt")
    assert read == [Cue(s / 1000, (s + n) / 1000, " ".join(["word"] * c)) for s, n, c in cues]
    words = words_of(read)
    assert len(words) == sum(count for _, _, count in cues)
    assert all(a.start <= b.start for a, b in pairwise(words))
