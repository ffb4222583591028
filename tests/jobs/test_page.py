"""``mer report page`` on runs of the made world: what it holds, what it leaves out, and that it is the same twice."""

from __future__ import annotations

import json
import shutil

import pytest

from mercli.jobs import reports
from mercli.jobs.page import page
from mercli.jobs.reports import stored
from mercli.jobs.reports.summary import summary
from tests.results.pages import Read


@pytest.fixture
def few(monkeypatch):
    """Only kinds that are drawn at once: what a page does with them is the same for all."""
    monkeypatch.setattr(reports, "KINDS", {kind: reports.KINDS[kind] for kind in ("loco", "cost", "compare")})


@pytest.fixture
def copied(left_out, tmp_path):
    """A copy of the run whose first corpus an encoder has seen, and whose second says what another trains on."""
    made = shutil.copytree(left_out, tmp_path / "runs" / "20260101-000000-seen")
    scores = json.loads((made / "scores.json").read_text())
    scores["rows"][0]["seen_by"] = ["audio"]
    scores["rows"][1]["same_texts_left_out"] = {"one": 3}
    scores["means"] = {"late": 0.25}
    (made / "scores.json").write_text(json.dumps(scores))
    return made


@pytest.mark.slow
def test_the_page_holds_every_kind_that_applies_and_says_why_the_others_do_not(mer, left_out, tmp_path):
    answer = mer("report", "page", left_out, "-o", tmp_path / "a.html", "--json")
    assert answer.code == 0
    (told,) = json.loads(answer.out)["parts"]
    assert {"loco", "classes", "confusion", "calibration", "curves"} <= set(told["sections"])
    kinds = {*told["sections"], *(name.removeprefix("report ") for name in told["left_out"])}
    assert kinds == set(reports.KINDS) - {"compare"}
    document = (tmp_path / "a.html").read_text()
    assert all(f'-{kind}-title"' in document for kind in told["sections"])
    assert all(why.split("'")[0] in document for why in told["left_out"].values())
    assert len(document) < 5_000_000


def test_the_answers_are_read_once_for_all_kinds(left_out, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(reports, "REOPENED", ())
    kinds = ("confusion", "groups", "errors")
    monkeypatch.setattr(reports, "KINDS", {kind: reports.KINDS[kind] for kind in kinds})
    read = stored.predictions
    monkeypatch.setattr(stored, "predictions", lambda run: (opened.append(run), read(run))[1])
    run = shutil.copytree(left_out, tmp_path / "runs" / "20260101-000000-copied")
    assert page(run.parent, [run.name], None).parts[0]["sections"] == list(kinds)
    assert opened == [run]
    with (run / "predictions.jsonl").open("a") as file:
        file.write((run / "predictions.jsonl").read_text().splitlines()[0] + "\n")
    page(run.parent, [run.name], None)
    assert opened == [run, run]


@pytest.mark.usefixtures("few")
def test_the_same_run_gives_the_same_bytes_where_told_or_in_the_run(mer, copied, tmp_path):
    assert mer("report", "page", copied, "-o", tmp_path / "a.html").out == f"{tmp_path / 'a.html'}\n"
    assert mer("report", "page", copied).out == f"{copied / 'report' / 'page.html'}\n"
    assert (copied / "report" / "page.html").read_bytes() == (tmp_path / "a.html").read_bytes()


@pytest.mark.usefixtures("few")
def test_several_runs_are_compared_with_the_first(left_out, copied, tmp_path):
    made = page(copied.parent, [str(left_out), "seen"], tmp_path / "a.html")
    assert ["compare" in part["sections"] for part in made.parts] == [False, True]
    read = Read((tmp_path / "a.html").read_text())
    assert read.text("h1") == ["2 runs beside one another"]
    assert len(read.of("article")) == 2


def test_the_head_tells_what_the_run_is_from_its_own_files(left_out):
    made = summary(left_out)
    facts = dict(made.facts)
    stored = json.loads((left_out / "run.json").read_text())
    assert facts["date"][:10] == stored["time"][:10]
    assert facts["corpora"] == "one, two"
    assert facts["seeds"] == "2 (0 to 1)"
    assert facts["classes"].startswith("neutral, happy")
    assert facts["label policy"].startswith("canonical-7/")
    assert facts["encoders"] == "audio: logmel-stats, face: face-geometry, text: hashed-ngrams"
    scores = json.loads((left_out / "scores.json").read_text())
    rows = [dict(zip(made.main.columns, row, strict=True)) for row in made.main.rows]
    assert [row["UAR"] for row in rows] == [row["held_out"]["uar"] for row in scores["rows"]]
    assert [list(row["95 % interval"]) for row in rows] == [row["held_out"]["uar_interval"] for row in scores["rows"]]
    assert {row["chance"] for row in rows} == {1 / 7}


def test_what_was_seen_or_left_out_is_marked_and_explained(copied):
    made = summary(copied)
    assert [row[0] for row in made.main.rows] == ["one†", "two"]
    assert any(note.startswith("†") for note in made.notes)
    assert "late: mean UAR 0.250 over 1 corpus that no encoder has seen." in made.notes
    left_out = dict(made.left_out)
    assert "seen in training by audio" in left_out["one, late"]
    assert "3 segments of one were not trained on" in left_out["two held out, late"]


def test_a_run_that_has_nothing_is_told(mer, tmp_path):
    empty = tmp_path / "20260101-000000-empty"
    empty.mkdir()
    (empty / "run.json").write_text("{}")
    answer = mer("report", "page", empty)
    assert (answer.code, answer.out) == (4, "")
    assert "nothing to report" in answer.err
    (empty / "scores.json").write_text("[")
    assert "is not JSON" in mer("report", "page", empty).err
    assert "is a folder" in mer("report", "page", empty, "-o", tmp_path).err
