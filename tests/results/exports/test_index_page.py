"""The page that leads to clips' pages: what a clip is given most of the time, links that hold, nothing that escapes."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from mercli.results.exports.index_page import entries, index
from mercli.types import Prediction
from tests.results.pages import SCRIPT, Read


def answer(start, end, up, clip="clips/a.mp4", **further):
    scores = {"up": up, "down": 1 - up}
    label = max(scores, key=scores.get)
    return Prediction(clip, clip, start, end, "two", scores, label, **{"run": "model", **further})


def failed(start, end, clip="clips/a.mp4"):
    return Prediction(clip, clip, start, end, "two", {}, None, "model", error="no face, no sound")


def test_a_clip_is_given_the_answer_of_most_of_its_time_with_the_mean_probability_over_it():
    (entry,) = entries([answer(0, 1, 0.9), answer(1, 4, 0.2), answer(4, 5, 0.4), answer(5, 6, 1.0)], "a.html")
    assert (entry.answer, entry.seconds, entry.fault) == ("down", 6, None)
    assert entry.probability == pytest.approx((3 * 0.8 + 0.6) / 4)
    assert entry.share == pytest.approx(4 / 6)


def test_windows_that_fail_never_outvote_an_answer():
    (entry,) = entries([failed(0, 4), answer(4, 5, 0.7), failed(5, 9)], "a.html")
    assert (entry.answer, entry.probability, entry.fault) == ("up", 0.7, "no face, no sound")
    assert entry.share == pytest.approx(1 / 9)


def test_what_has_no_length_or_no_answer_has_no_figure():
    (still,) = entries([answer(0, None, 0.7)], "a.html")
    assert (still.seconds, still.share, still.probability) == (None, None, 0.7)
    (none,) = entries([failed(0, None)], None)
    assert (none.answer, none.probability, none.share) == ("no answer", None, None)


def test_each_model_has_a_row_and_missing_modalities_are_told_once():
    rows = [answer(0, 1, 0.9, missing={"face": "dark", "text": "none"}), answer(0, 1, 0.1, run="other", missing={})]
    first, second = entries(rows, "a.html")
    assert (first.model, first.answer, first.missing) == ("model", "up", "face, text")
    assert (second.model, second.answer, second.missing) == ("other", "down", "")
    assert "model" in Read(index([first, second])).text("th")


def test_names_stay_text_and_links_lead_to_the_pages():
    clip = f"clips/{SCRIPT} & b.mp4"
    found = [*entries([answer(0, 1, 0.9, clip=clip)], "é&'1.html"), *entries([failed(0, 1, "clips/b/z.mp4")], None)]
    document = index(found)
    assert "<script>alert" not in document
    read = Read(document)
    leading = [each for each in read.of("a") if each.get("class") != "skip"]
    assert [unquote(each["href"]) for each in leading] == ["é&'1.html"]
    assert "1 of 2 have no page" in document
    assert re.search(r'<span class="path">clips/</span>', document)
    assert [cell.strip() for cell in read.text("a")] == ["Skip to the content", f"{SCRIPT} & b.mp4"]
    assert "b/z.mp4" in read.text("th")
