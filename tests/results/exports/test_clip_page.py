"""The page of a clip as a document: its curves, its words, what is missing, and where its medium lies."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from mercli.results.exports.clip_page import page
from mercli.results.exports.tiers import Recording
from mercli.types import Prediction, Word
from tests.results.pages import SCRIPT, Read


def answer(start, end, up=0.75, **further):
    scores = {"up": up, "fear": 1 - up}
    given = {"label": max(scores, key=scores.get), "modalities": ("audio",), "run": "model", **further}
    return Prediction("clip.mp4", "clip.mp4", start, end, "two", scores, **given)


def failed(start, end):
    return replace(answer(start, end), scores={}, label=None, error=f"no face, no sound {SCRIPT}", modalities=())


def made(*predictions, seconds=8.0, media="clip.mp4", folder=None):
    return page(predictions, Recording(Path(media), seconds, folder))


def paths(document):
    return [a["d"] for a in Read(document).of("path") if a.get("class") is None]


def points(path):
    return [tuple(map(float, pair.split())) for pair in re.split(r" ?[ML]", path)[1:]]


def test_a_curve_goes_through_the_middles_of_windows_that_overlap():
    up, fear = paths(made(answer(0, 4, 1.0), answer(2, 6, 0.5), answer(4, 8, 0.0)))
    assert points(up) == [(0, 0), (250, 0), (500, 50), (750, 100), (1000, 100)]
    assert points(fear) == [(x, 100 - y) for x, y in points(up)]


def test_a_window_without_an_answer_breaks_the_curve_and_says_why():
    document = made(answer(0, 2), failed(2, 4), answer(4, 8, 0.25))
    assert points(paths(document)[0]) == [(0, 25), (125, 25), (250, 25), (500, 75), (750, 75), (1000, 75)]
    assert paths(document)[0].count("M") == 2
    assert SCRIPT in "".join(Read(document).text("td"))


def test_what_is_said_and_named_stays_text():
    words = (Word(SCRIPT, 0.5, 1.0), Word("day", 1.0, 1.5))
    document = made(answer(0, 8, text=f"{SCRIPT} day", words=words, missing={"face": SCRIPT}, run=SCRIPT), media=SCRIPT)
    assert "<script>alert" not in document
    read = Read(document)
    assert len(read.of("script")) == 2
    assert [a["data-t"] for a in read.of("span") if "data-t" in a] == ["0.5", "1.0"]
    (data,) = re.findall(r'class="windows">(.*?)</script>', document)
    assert SCRIPT in json.loads(data)["windows"][0][-1]


def test_the_script_s_windows_own_time_without_gap_and_hold_every_score():
    (data,) = re.findall(r'class="windows">(.*?)</script>', made(answer(0, 4, 1.0), answer(2, 8, 0.5)))
    found = json.loads(data)
    assert found["seconds"] == 8.0
    assert [window[:4] for window in found["windows"]] == [[0.0, 3.0, 2.0, [1.0, 0.0]], [3.0, 8.0, 5.0, [0.5, 0.5]]]
    assert [window[5] for window in found["windows"]] == ["0.0 to 4.0 s", "2.0 to 8.0 s"]


def lanes(document):
    found = re.findall(r'<div class="strip">(.*?)</div>', document)
    return [re.findall(r"left: ([\d.]+)%; width: ([\d.]+)%.*?>(\w+)</span>", lane) for lane in found]


def test_a_lane_joins_equal_answers_that_touch_and_shows_that_none_was_given():
    (lane,) = lanes(made(answer(0, 2), answer(2, 3), answer(4, 6), replace(answer(6, 8), label=None)))
    assert lane == [("0.000", "37.500", "up"), ("50.000", "25.000", "up"), ("75.000", "25.000", "abstained")]


def test_what_a_modality_alone_says_has_a_lane_with_gaps_where_it_is_missing():
    alone = {"audio": {"up": 0.1, "fear": 0.9}}
    both = {**alone, "face": {"up": 1.0, "fear": 0.0}}
    document = made(answer(0, 4, alone=both), answer(4, 8, alone=alone))
    assert Read(document).text("b") == ["all", "audio", "face"]
    assert lanes(document)[1:] == [[("0.000", "100.000", "fear")], [("0.000", "50.000", "up")]]


def test_two_models_have_a_timeline_each_and_one_table():
    document = made(answer(0, 4), answer(0, 4, 0.1, run="other"), answer(4, 8), answer(4, 8, run="other"))
    read = Read(document)
    assert len([a for a in read.of("figure") if a.get("class") == "timeline"]) == 2
    assert len(read.of("table")) == 1
    assert "model" in read.text("th")


def test_every_probability_is_in_the_table_and_empty_columns_are_not():
    read = Read(made(answer(0, 4, 0.875, shares={"audio": -0.25}), answer(4, 8)))
    assert read.text("th")[:6] == ["from (s)", "to (s)", "answer", "up", "fear", "share of audio"]
    assert "words" not in read.text("th")
    assert {"0.875", "0.125", "0.750", "−0.250"} <= set(read.text("td"))


def test_a_modality_that_some_windows_lack_is_told_once():
    document = made(answer(0, 4, missing={"face": "no face"}), answer(4, 8))
    assert "<dt>face</dt><dd>no face (in 1 of 2 windows)</dd>" in document


@pytest.mark.parametrize("name", ["a b.mp4", "a:b.mp4", "a#b?c%d.mp4", "ü'&\".mp4"])
def test_the_medium_is_named_relative_to_the_page(tmp_path, name):
    document = made(answer(0, 8), media=tmp_path / "clips" / name, folder=tmp_path / "pages")
    (video,) = Read(document).of("video")
    assert unquote(video["src"]) == f"./../clips/{name}"
    assert not set("#?: ") & set(video["src"])


def test_without_a_folder_the_medium_is_named_absolutely(tmp_path):
    (video,) = Read(made(answer(0, 8), media=tmp_path / "clip.mp4")).of("video")
    assert video["src"] == (tmp_path / "clip.mp4").as_uri()


@pytest.mark.parametrize(("media", "tag"), [("a.wav", "audio"), ("a.jpg", "img"), ("a.txt", None), ("a.webm", "video")])
def test_a_medium_is_shown_as_what_it_is(media, tag):
    document = made(answer(0, None, text="a day") if tag in ("img", None) else answer(0, 8), seconds=0.0, media=media)
    found = {name for name, _ in Read(document).elements} & {"audio", "img", "video"}
    assert found == ({tag} if tag else set())
    assert "0.750" in document


def test_the_same_answers_give_the_same_page():
    assert made(answer(0, 4), answer(4, 8)) == made(answer(0, 4), answer(4, 8))
