"""``mer report timeline``: the numbers, faces and words of one clip, made now or read from a file."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from mercli.results import timeline as drawn
from mercli.results.exports import tiers
from mercli.results.exports.tiers import Mark, Tier
from mercli.streams import media
from mercli.types import Prediction
from tests.streams.clips import make_clip

HELLO = Path(__file__).parents[2] / "examples" / "hello.mp4"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    shutil.copyfile(HELLO, folder / "hello.mp4")
    (folder / "hello.vtt").write_text("WEBVTT\n\n00:00.200 --> 00:01.400\nI am $so$ happy\n")
    return folder / "hello.mp4"


def texts(path):
    return [node.text for node in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def images(path):
    return len(list(ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}image")))


def test_a_clip_is_predicted_and_drawn_with_faces_and_words(mer, clip, tmp_path):
    answer = mer("report", "timeline", clip, "-o", tmp_path, "--set", "transcriber.name=sidecar")
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"timeline-hello.{ending}" for ending in ("csv", "json", "png", "svg")
    ]
    shown = texts(tmp_path / "timeline-hello.svg")
    assert {"hello.mp4: embedded", "fused", "audio", "face", "text", "I", "am", "$so$", "happy", "words"} <= set(shown)
    assert images(tmp_path / "timeline-hello.svg") == 1
    strip = cv2.imread(str(tmp_path / "timeline-hello.png"))[60:110, 120:1040]
    assert all(part.std() > 20 for part in np.array_split(strip, drawn.SLOTS, axis=1))
    document = json.loads((tmp_path / "timeline-hello.json").read_text())
    rows = list(csv.DictReader(io.StringIO((tmp_path / "timeline-hello.csv").read_text())))
    assert [row["label"] for row in rows] == [window["label"] for window in document["windows"]]
    assert float(rows[1]["happy"]) == document["windows"][1]["scores"]["happy"]
    first = document["windows"][0]["alone"]["text"]
    assert rows[0]["text alone"] == max(first, key=first.get)
    assert len(answer.out.splitlines()) == len(rows) + 1


def test_what_was_predicted_earlier_gives_the_same_and_without_the_clip_no_faces(mer, clip, tmp_path):
    words = ("--transcriber", "sidecar", "--windows", "2/1", "--alone", "--format", "jsonl", "-o", tmp_path / "a.jsonl")
    assert mer("predict", clip, HELLO, *words).code == 0
    now = mer("report", "timeline", clip, "-o", tmp_path / "now", "--set", "transcriber.name=sidecar")
    then = mer("report", "timeline", clip, "-o", tmp_path / "then", "--predictions", tmp_path / "a.jsonl")
    assert (now.code, then.code, now.out) == (0, 0, then.out)
    for ending in ("csv", "json"):
        name = f"timeline-hello.{ending}"
        assert (tmp_path / "now" / name).read_bytes() == (tmp_path / "then" / name).read_bytes(), name
    assert images(tmp_path / "then" / "timeline-hello.svg") == 1
    gone = tmp_path / "gone" / "hello.mp4"
    answer = mer("report", "timeline", gone, "-o", tmp_path, "--predictions", tmp_path / "a.jsonl", "--format", "svg")
    assert (answer.code, f"without faces: '{gone}' is not here" in answer.err) == (0, True)
    assert images(tmp_path / "timeline-hello.svg") == 0


def test_sound_alone_says_why_there_is_no_face(mer, tmp_path):
    sound = make_clip(tmp_path / "tone.wav", seconds=2.0)
    answer = mer("report", "timeline", sound, "-o", tmp_path / "out", "--json", "--windows", "1")
    document = json.loads(answer.out)
    assert (answer.code, len(document["windows"]), len(document["files"])) == (0, 2, 4)
    assert document["windows"][0]["missing"]["face"] in texts(tmp_path / "out" / "timeline-tone.svg")


def test_answers_without_what_modalities_say_alone_leave_no_empty_rows(mer, clip, tmp_path):
    mer("predict", clip, "--windows", "2", "--format", "jsonl", "-o", tmp_path / "a.jsonl", "--transcriber", "none")
    answer = mer("report", "timeline", clip, "-o", tmp_path, "--predictions", tmp_path / "a.jsonl")
    shown = texts(tmp_path / "timeline-hello.svg")
    assert (answer.code, "--alone" in answer.err, "audio" in shown, "fused" in shown) == (0, True, False, True)


@pytest.mark.parametrize(
    ("rows", "words", "code", "said"),
    [
        ([], (), 4, "holds no prediction of"),
        ([{"clip": "hello.mpg"}], (), 4, "did you mean"),
        ([{"clip": "hello.mp4", "id": "a"}], (), 4, "is no prediction"),
        ([], ("--format", "pdf"), 3, "format 'pdf' is unknown"),
        ([], ("--model", "x", "--run", "y"), 2, "--model or --run"),
        ([], ("--run", "y"), 4, "no run is called 'y'"),
    ],
)
def test_what_cannot_be_drawn_is_told(mer, tmp_path, rows, words, code, said):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = mer("report", "timeline", "hello.mp4", "--predictions", tmp_path / "a.jsonl", *words)
    assert (answer.code, said in answer.err, answer.out) == (code, True, "")


def test_a_picture_has_no_timeline(mer, tmp_path):
    portrait = next(event.rgb for event in media.stream(HELLO, audio_rate=None))
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    answer = mer("report", "timeline", tmp_path / "a.png")
    assert (answer.code, "has no length" in answer.err) == (4, True)


def test_words_that_do_not_fit_become_phrases_and_then_nothing():
    def laid_out(seconds, count, gap):
        marks = tuple(Mark(n * gap, n * gap + 50, f"word{n}") for n in range(count))
        return drawn.laid_out([Tier("transcript", marks, emotion=False)], seconds)

    assert sum(len(line) for line in laid_out(10, 12, 800)) == 12
    phrases = sorted(part for line in laid_out(60, 40, 100) for part in line)
    assert len(phrases) < 12
    assert " ".join(text for _, text in phrases).split() == [f"word{n}" for n in range(40)]
    assert laid_out(1800, 3000, 600) == []


def test_several_models_have_a_panel_each(tmp_path):
    rows = [
        Prediction("a", "a", start, start + 2, "x", {"up": p, "down": 1 - p}, None, run, modalities=("audio",))
        for start in (0, 1, 2)
        for run, p in (("one", 0.2), ("two", 0.9))
    ]
    cut = tiers.windows(rows, 4.0)
    made = drawn.picture(cut, tiers.tiers(rows, 4.0), {0: np.zeros((8, 8, 3), np.uint8)}, 4.0, "both")
    (tmp_path / "a.svg").write_bytes(made["svg"])
    shown = texts(tmp_path / "a.svg")
    assert {"one: fused", "two: fused", "abstained", "(two)"} <= set(shown)
    again = drawn.picture(cut, tiers.tiers(rows, 4.0), {0: np.zeros((8, 8, 3), np.uint8)}, 4.0, "both")
    assert made == again
