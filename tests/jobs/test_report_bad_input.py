"""Reports of runs that are not as one would wish: unfinished, huge, of one class or two hundred, not comparable."""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter

import pytest

from mercli import config, rundir
from mercli.cli import sections
from mercli.engines.worker import peak
from mercli.errors import DataError
from mercli.jobs import loco
from mercli.jobs.fits import costing
from mercli.jobs.report import FORMATS, Report, report
from mercli.jobs.reports import KINDS
from mercli.jobs.reports.stored import predictions
from mercli.results.section import Interval, Section, Table
from mercli.rundir import read_lines
from tests.jobs.made_answers import row, stored

ANSWERED = ("confusion", "classes", "calibration", "groups", "errors", "distribution")


@pytest.fixture(scope="module")
def stopped(world):
    """Return a run of ``mer loco`` that Ctrl-C stopped while its second corpus was held out."""
    flags = {"corpora": list(world.corpora), "data": str(world.data), "runs": str(world.folder / "stopped"), "seeds": 2}
    given = config.resolve(config.LocoConfig, flags, preset="weightless", sets=("epochs=3", "checkpoint=0"))
    fit, begun = loco.fitting.fit, []

    def stopping(*args):
        begun.append(args)
        if len(begun) == 4:
            raise KeyboardInterrupt
        return fit(*args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loco.fitting, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            loco.loco(given)
    return rundir.find(world.folder / "stopped")


@pytest.mark.parametrize("kind", ["confusion", "classes", "calibration", "groups", "errors"])
def test_a_run_that_was_stopped_is_reported_as_far_as_it_went_and_says_so(mer, stopped, kind):
    answer = mer("report", kind, stopped)
    assert answer.code == 0
    assert "has not ended" in answer.err
    assert {fold.split("/")[0] for fold in (r["fold"] for r in predictions(stopped))} == {"one"}


def test_curves_of_a_run_that_was_stopped_are_those_stored_and_those_of_its_checkpoints(mer, stopped):
    document = json.loads(mer("report", "curves", stopped, "--json").out)
    fits = {group["group"]: [fit["fit"] for fit in group["fits"]] for group in document["groups"]}
    assert fits == {"without one": ["seed 0", "seed 1"], "without two": ["seed 0"]}
    assert all(fit["epochs"] == 3 for group in document["groups"] for fit in group["fits"])


def test_what_a_stopped_run_has_not_got_is_told(mer, stopped):
    for kind, said in (("loco", "has stored no scores"), ("cost", "has not ended")):
        answer = mer("report", kind, stopped)
        assert said in " ".join(answer.err.split())
        assert answer.code == (4 if kind == "loco" else 0)


def test_bundles_that_a_stopped_run_has_are_asked_again(stopped):
    found = report("modalities", stopped.parent, [str(stopped)]).section.document
    assert [group["group"] for group in found["groups"]] == ["one"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("compare", "timeline")])
def test_a_run_that_has_nothing_says_so_for_every_kind(mer, tmp_path, kind):
    run = tmp_path / "20260101-000000-made"
    run.mkdir()
    (run / "run.json").write_text("{}")
    answer = mer("report", kind, run)
    assert (answer.code, answer.out) == (4, "")
    assert "20260101-000000-made" in " ".join(answer.err.split())
    assert "try:" in answer.err
    assert not (run / "report").exists()


def test_schemes_that_differ_are_told_with_both_runs_and_their_classes(mer, tmp_path):
    stored(tmp_path, [row(0, "up", "up")], "20260101-000000-a")
    stored(tmp_path, [row(0, "left", "left", left=1.0, right=0.0)], "20260101-000000-b")
    answer = mer("report", "compare", "a", "b", "--runs", tmp_path)
    told = " ".join(answer.err.split())
    assert answer.code == 4
    assert "run '20260101-000000-a' answers 'two' (up, down)" in told
    assert "run '20260101-000000-b' answers 'two' (left, right): not comparable" in told


@pytest.mark.parametrize("kind", ANSWERED)
def test_one_class_is_reported_without_a_fault(mer, tmp_path, kind):
    run = stored(tmp_path, [row(n, "up", "up" if n % 9 else None, up=1.0) for n in range(60)])
    answer = mer("report", kind, run)
    if kind == "errors":
        assert "makes no mistake" in answer.err
    else:
        assert (answer.code, "Traceback" in answer.err) == (0, False)


def test_one_class_is_compared(mer, tmp_path):
    for name in ("20260101-000000-a", "20260101-000001-b"):
        stored(tmp_path, [row(n, "up", "up", up=1.0) for n in range(8)], name)
    assert mer("report", "compare", "a", "b", "--runs", tmp_path).code == 0


def many(count=200, answers_of_each=3):
    names = [f"class {n}" for n in range(count)]
    scores = dict.fromkeys(names, 1 / count)
    return [
        row(n * answers_of_each + k, name, names[(n + k) % count], **scores)
        for n, name in enumerate(names)
        for k in range(answers_of_each)
    ]


@pytest.mark.parametrize("kind", ANSWERED)
def test_two_hundred_classes_are_a_table_or_a_picture_that_can_be_read(tmp_path, kind):
    made = report(kind, tmp_path, [str(stored(tmp_path, many()))])
    for picture in made.section.pictures:
        width, height = (int.from_bytes(picture.png[at : at + 4]) for at in (16, 20))
        assert max(width, height) <= 4000
        assert len(picture.png) < 300_000
    if kind == "confusion":
        (shown,) = (table for table in made.section.tables if table.shown)
        assert shown.columns == ("target", "answer", "count", "share of target")
        assert len(shown.rows) == 20
        assert not made.section.pictures
        assert any("200 classes" in note for note in made.section.notes)
        assert len((made.files[0].parent / "confusion-one.csv").read_text().splitlines()) == 201


def test_two_hundred_classes_are_compared(tmp_path):
    for name in ("20260101-000000-a", "20260101-000001-b"):
        stored(tmp_path, many(answers_of_each=2), name)
    made = report("compare", tmp_path, ["a", "b"])
    assert len(made.section.document["corpora"][0]["classes"]) == 200
    assert len(made.section.pictures[0].png) < 300_000


@pytest.fixture(scope="module")
def huge(tmp_path_factory):
    names = [f"c{n}" for n in range(7)]
    scores = {name: round(0.4 if name == "c0" else 0.1, 6) for name in names}
    rows = (
        row(n % 20_000, names[n % 7], names[0], f"one/seed{n // 20_000}", cluster=f"s{n % 400}", **scores)
        for n in range(100_000)
    )
    return stored(tmp_path_factory.mktemp("huge"), rows)


@pytest.mark.parametrize("kind", ["calibration", "groups", "errors"])
def test_a_hundred_thousand_predictions_are_streamed(huge, tmp_path, kind):
    report(kind, huge.parent, [str(stored(tmp_path, [row(n, "up", "down") for n in range(30)]))], tmp_path / "first")
    if not costing.CLEAR.exists():
        pytest.skip("this system does not tell a process's peak of memory")
    costing.Clock()
    before = peak()
    report(kind, huge.parent, [str(huge)], tmp_path / "out")
    assert peak() - before < 100 << 20  # the rows themselves, as objects, are 250 MB


def test_only_the_formats_that_are_asked_for_are_written(mer, tmp_path):
    run = stored(tmp_path, [row(n, "up", "down" if n % 3 else "up") for n in range(9)])
    answer = mer("report", "classes", run, "--format", "svg,txt", "--json")
    assert Counter(path.rpartition(".")[2] for path in json.loads(answer.out)["files"]) == {"svg": 1, "txt": 1}
    answer = mer("report", "classes", run, "--format", "pdf")
    assert (answer.code, f"expected {', '.join(FORMATS)}" in " ".join(answer.err.split())) == (3, True)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("confusion", ("--by", "moon")), ("modalities", ("--value", "moon")), ("projection", ("--colour", "moon"))],
)
def test_an_option_that_is_unknown_names_those_that_are_not(mer, tmp_path, kind, words):
    answer = mer("report", kind, stored(tmp_path, [row(0, "up", "up")]), *words)
    assert answer.code == 3
    assert f"'{words[1]}' is unknown, expected" in " ".join(answer.err.split())


def test_matrices_per_seed_sum_to_that_of_the_corpus_and_shares_to_one(tmp_path):
    rows = [row(n, "up", "up" if n % 3 else "down", f"one/seed{n % 2}/late") for n in range(12)]
    run = stored(tmp_path, [*rows, row(99, "down", None, "one/seed0/late")])
    by = {
        how: report("confusion", tmp_path, [str(run)], by=how).section.document["matrices"]
        for how in ("seed", "corpus", "fold", "all")
    }
    assert [m["group"] for m in by["seed"]] == ["one/seed0/late", "one/seed1/late"]
    assert [
        [a + b for a, b in zip(*two, strict=True)] for two in zip(*(m["counts"] for m in by["seed"]), strict=True)
    ] == by["corpus"][0]["counts"]
    assert [m["group"] for m in by["all"]] == ["all/late"]
    assert by["corpus"][0]["shares"][0] == pytest.approx([8 / 12, 4 / 12], abs=1e-6)
    assert by["corpus"][0]["abstained"] == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_wide_table_stands_in_strips_that_fit_eighty_columns(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    columns = ("name", *(f"a long figure {n}" for n in range(9)), "95 % interval")
    rows = [(f"row {n}", *(0.5 * k for k in range(9)), Interval(0.25, 0.75)) for n in range(3)]
    section = Section(
        "kind", "Kind", {}, (Table("t", "figures", columns, rows), Table("u", "u", ("x",), [], shown=False))
    )
    sections.show(Report(section, []), json=False)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("row 2" in line for line in lines) > 1
    assert sum("0.25-0.75" in line for line in lines) == 3
    assert not any(line.strip() == "x" for line in lines)


def test_a_target_of_another_scheme_is_told_in_every_kind_that_counts_answers(tmp_path):
    run = stored(tmp_path, [row(0, "sideways", "up")])
    for kind in ("confusion", "classes", "calibration", "groups", "errors"):
        with pytest.raises(DataError, match="target 'sideways' that is none of up, down"):
            report(kind, tmp_path, [str(run)])


def test_answers_are_read_in_the_order_in_which_they_lie(left_out):
    assert [r["id"] for r in predictions(left_out)] == [r["id"] for r in read_lines(left_out / "predictions.jsonl")]
