"""The report page as a document: escaped, whole, in order, and the same twice."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise

import pytest

from mercli.results import html
from mercli.results.page import FOLDED, MOST, render
from mercli.results.section import Interval, Section, Table
from tests.results.pages import SCRIPT, Read, part, picture, report, table


@pytest.fixture(scope="module")
def document():
    return report()


@pytest.fixture(scope="module")
def read(document):
    return Read(document)


def test_what_a_run_says_stays_text(document, read):
    assert len(read.of("script")) == 1
    assert "<script>alert" not in document
    assert document.count("&lt;script&gt;") > 8
    assert [text for text in read.text("pre") if SCRIPT in text]


def test_only_the_page_s_own_script_may_run_and_nothing_is_fetched(document, read):
    (policy,) = [meta["content"] for meta in read.of("meta") if "Security" in (meta.get("http-equiv") or "")]
    (script,) = re.findall(r"<script>(.*?)</script>", document, re.DOTALL)
    assert f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")
    addresses = [a.get(key) for _, a in read.elements for key in ("src", "href") if a.get(key)]
    assert {address[:1] for address in addresses if not address.startswith("data:")} == {"#"}


def test_ids_are_unique_and_every_reference_leads_somewhere(document, read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"][1:] for _, a in read.elements if (a.get("href") or "").startswith("#")]
    named = " ".join(a["aria-labelledby"] for _, a in read.elements if "aria-labelledby" in a).split()
    assert set(links) | set(named) | set(re.findall(r"url\(#([^)]+)\)", document)) <= set(ids)
    assert any(link.startswith("run-1-1-classes") for link in links)


def test_headings_are_in_order_and_tables_and_pictures_are_named(read):
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch(r"h\d", tag)]
    assert levels[:2] == [1, 2]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(read.of("caption")) == len(read.of("table")) == 3
    assert all(cell.get("scope") in ("col", "row") for cell in read.of("th"))
    assert all(svg["role"] == "img" and "it rises" in svg["aria-label"] for svg in read.of("svg"))
    assert len(read.of("svg")) == 4
    assert [tag for tag, _ in read.elements if tag in ("header", "nav", "main")] == ["header", "nav", "main"]


def test_two_runs_are_two_parts_and_share_no_name():
    read = Read(render([part("a", "First"), part("b", "Second")]))
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert read.text("h1") == ["2 runs beside one another"]
    assert [text for text in read.text("h2") if text.strip()] == ["First", "Second"]


def test_the_same_parts_give_the_same_text():
    assert report() == report()


def test_a_long_table_is_folded_and_a_very_long_one_says_where_the_rest_is():
    long = Table("long", "Long", ("n",), [(n,) for n in range(MOST + 5)])
    document = render([part(sections=[Section("errors", "Errors", {}, (long,)), Section("b", "B", {}, (table(),))])])
    assert document.count("<details>") == 1
    assert f"The first {MOST} of {MOST + 5} rows; mer report errors writes all of them" in document
    assert f'<th scope="row" class="n">{MOST - 1}</th>' in document
    assert f'<th scope="row" class="n">{MOST}</th>' not in document
    assert FOLDED < MOST


def test_a_table_that_is_for_its_file_is_named_and_not_shown(document):
    assert re.search(r"apart\.csv</span>: .*, 5 rows", document)
    assert document.count("<table") == 3


@pytest.mark.parametrize(
    ("cell", "seen"),
    [(None, "–"), (True, "yes"), (0.12345, "0.123"), (-0.5, "−0.500"), (0.0001, "<0.001"), (-0.0001, "0.000"),
     (0.0, "0.000"), (12, "12"), (-3, "−3"), (Interval(0.1, 0.25), "0.100 – 0.250"), ("a-b", "a-b"),
     ("-0.5†", "−0.5†")],
)  # fmt: skip
def test_cells_are_set_as_figures(cell, seen):
    assert html.shown(cell) == seen


def test_a_column_with_a_word_is_not_set_as_figures():
    rows = [("a", 1, 0.5, "0.5†", None, True), ("b", None, Interval(0, 1), "0.2", None, False)]
    assert html.figures(Table("t", "t", tuple("abcdef"), rows)) == [False, True, True, True, False, False]
    assert html.figures(Table("t", "t", ("a", "b"), [])) == [False, False]


def test_a_drawing_takes_the_page_s_colours_and_keeps_its_letters_on_cells():
    drawn = html.drawn(picture(), "p")
    assert "<script>" not in drawn
    assert "metadata" not in drawn
    assert "currentColor" in drawn
    assert "#000000" not in drawn
    assert "light-dark(#332288" in drawn
    letters = dict(re.findall(r'<text style="([^"]*)"[^>]*>(?:<[^>]*>)?(pale|dark)', drawn))
    assert sorted(letters.values()) == ["dark", "pale"]
    fills = {word: re.search(r"fill: (#\w+)", style)[1] for style, word in letters.items()}
    assert fills == {"pale": "#ffffff", "dark": "#111111"}


def test_a_drawing_of_very_many_marks_comes_as_a_picture():
    small, large = html.drawn(picture(points=30), "p"), html.drawn(picture(points=4000), "p")
    assert small.startswith("<svg")
    assert large.startswith('<img class="paper" alt="run: a drawing: it rises &lt;script')
    assert len(large) < 60_000
