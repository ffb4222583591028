"""Reports of runs that the made world leaves, beside the run's own predictions and scores."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from mercli.jobs.fits import comparing
from mercli.jobs.report import report
from mercli.jobs.reports.stored import grouped
from mercli.rundir import read_lines
from tests.jobs.made_answers import row, stored

KINDS = ("classes", "loco", "curves", "calibration")
ENDINGS = [".csv", ".json", ".png", ".svg"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_writes_the_same_bytes_again_and_prints_one_json_document(mer, left_out, tmp_path, kind):
    for folder in ("a", "b"):
        document = json.loads(mer("report", kind, left_out, "-o", tmp_path / folder, "--json").out)
        assert all(str(tmp_path / folder) in path for path in document["files"])
    first, second = (sorted((tmp_path / folder).iterdir()) for folder in ("a", "b"))
    assert set(ENDINGS) <= {path.suffix for path in first}
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_lands_in_the_run_and_shows_tab_separated_columns_in_a_pipe(mer, left_out, kind):
    answer = mer("report", kind, left_out)
    assert answer.code == 0
    assert list((left_out / "report").glob(f"{kind}*.png"))
    widths = {line.count("\t") for line in answer.out.splitlines()}
    assert min(widths) > 1


def test_in_a_pipe_each_row_tells_which_of_several_tables_it_is_of(mer, left_out):
    rows = [line.split("\t") for line in mer("report", "confusion", left_out).out.splitlines()]
    assert {row[0] for row in rows} == {"table", "confusion-one", "confusion-two"}
    assert (left_out / "report" / "confusion-one.csv").is_file()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_told_what_is_not_there_says_so(mer, tmp_path, kind):
    run = tmp_path / "20260101-000000-made"
    run.mkdir()
    (run / "run.json").write_text("{}")
    for words, said in (
        ((run,), "20260101-000000-made"),
        (("absent", "--runs", tmp_path), "no run is called 'absent'"),
    ):
        answer = mer("report", kind, *words)
        assert (answer.code, answer.out) == (4, "")
        assert said in " ".join(answer.err.split())
        assert "try:" in answer.err


def test_figures_of_classes_are_those_of_scikit_learn(left_out, tmp_path):
    made = report("classes", left_out.parent, [str(left_out)], tmp_path)
    for group in made.section.document["corpora"]:
        rows = [r for r in read_lines(left_out / "predictions.jsonl") if r["fold"].startswith(group["group"] + "/")]
        names = [r["class"] for r in group["classes"]]
        given = ([r["target"] for r in rows], [r["label"] for r in rows])
        theirs = precision_recall_fscore_support(*given, labels=names, zero_division=np.nan)
        for figure, expected in zip(("precision", "recall", "f1"), theirs[:3], strict=True):
            mine = [np.nan if r[figure] is None else r[figure] for r in group["classes"]]
            np.testing.assert_allclose(mine, expected)
        assert [r["support"] * 2 for r in group["classes"]] == theirs[3].tolist()
        table = list(csv.DictReader((tmp_path / f"classes-{group['group']}.csv").open()))
        assert [float(line["recall"] or "nan") for line in table] == pytest.approx(
            [np.nan if r["recall"] is None else r["recall"] for r in group["classes"]], nan_ok=True
        )
    text = (tmp_path / "classification_report.txt").read_text()
    assert text.count("precision") == text.count("macro avg") == 2


def test_heads_are_apart_and_folds_together(tmp_path):
    rows = [row(n, "up", "up", f"one/seed0/{last}") for n, last in enumerate(("fold1", "fold2", "late", "mult"))]
    _, groups = grouped(stored(tmp_path, rows))
    assert {name: len(group.targets) for name, group in groups.items()} == {"one": 2, "one/late": 1, "one/mult": 1}


def test_an_abstention_costs_recall_but_no_precision(tmp_path):
    run = stored(tmp_path, [row(n, "up", None if n % 2 else "up") for n in range(8)])
    (group,) = report("classes", tmp_path, [str(run)]).section.document["corpora"]
    assert (group["classes"][0]["precision"], group["classes"][0]["recall"]) == (1.0, 0.5)
    assert group["classes"][1]["recall"] is None


def test_a_target_that_no_score_names_is_told(mer, tmp_path):
    answer = mer("report", "classes", stored(tmp_path, [row(0, "sideways", "up")]))
    assert answer.code == 4
    assert "target 'sideways'" in answer.err


def test_the_held_out_table_and_the_matrix_are_the_run_s_own_scores(left_out, tmp_path):
    made = report("loco", left_out.parent, [str(left_out)], tmp_path).section.document
    stored_ = json.loads((left_out / "scores.json").read_text())
    for line, own in zip(csv.DictReader((tmp_path / "loco.csv").open()), stored_["rows"], strict=True):
        assert (line["held out"], float(line["UAR"])) == (own["corpus"], own["held_out"]["uar"])
        assert [float(line["UAR low"]), float(line["UAR high"])] == own["held_out"]["uar_interval"]
        assert int(line["classes"]) == 7
    cells = {(c["trained_on"], c["tested_on"]): c["uar"] for c in made["matrix"]}
    assert cells == {(c["trained_on"], c["tested_on"]): c["uar"] for c in stored_["matrix"]}
    assert json.loads((tmp_path / "loco.json").read_text()) == made
    table = csv.DictReader((tmp_path / "loco-matrix-late.csv").open())
    assert {(line["trained on"], line["tested on"]): float(line["UAR"]) for line in table} == cells
    assert b"train on one" in (tmp_path / "loco-matrix-late.svg").read_bytes()


def test_a_run_that_left_nothing_out_has_no_held_out_table(mer, tmp_path):
    run = stored(tmp_path, [])
    (run / "scores.json").write_text('{"one": {"uar": 1.0}}')
    answer = mer("report", "loco", run)
    assert answer.code == 4
    assert "left no corpus out" in answer.err


def two_runs(folder):
    draw = np.random.default_rng(1)
    names = ("up", "down")
    right = [names[int(n)] for n in draw.integers(0, 2, 60)]
    made = []
    for name, share in (("20260101-000000-a", 0.9), ("20260101-000001-b", 0.5)):
        rows = []
        for seed in range(2):
            for n, target in enumerate(right):
                label = target if draw.random() < share else names[int(draw.integers(0, 2))]
                rows.append(row(n, target, label, f"one/seed{seed}/fold{n % 3}", cluster=f"s{n % 12}"))
        made.append((stored(folder, rows, name), rows))
    return made


def test_comparing_two_runs_tells_differences_and_each_changed_answer(tmp_path):
    (_, mine), (second, theirs) = two_runs(tmp_path / "runs")
    found = report("compare", tmp_path / "runs", ["a", str(second)], tmp_path / "out").section.document
    (corpus,) = found["corpora"]
    for one in corpus["classes"]:
        pairs = [(m["label"], t["label"]) for m, t in zip(mine, theirs, strict=True) if m["target"] == one["class"]]
        recalls = [np.mean([pair[side] == one["class"] for pair in pairs]) for side in (0, 1)]
        assert [one["a"], one["b"]] == pytest.approx(recalls)
        assert one["difference"] == pytest.approx(recalls[0] - recalls[1])
    assert corpus["difference"] == pytest.approx(np.mean([one["difference"] for one in corpus["classes"]]))
    assert corpus["p"] == corpus["p_holm"] < 0.05
    table = list(csv.DictReader((tmp_path / "out" / "compare-changed.csv").open()))
    expected = {
        (m["id"], m["fold"].split("/")[1], m["target"], m["label"], t["label"])
        for m, t in zip(mine, theirs, strict=True)
        if m["label"] != t["label"]
    }
    assert {(r["id"], "seed" + r["seed"], r["target"], r["A"], r["B"]) for r in table} == expected
    assert corpus["changed"] == len(table) == len(expected)
    assert (tmp_path / "out" / "compare.png").is_file()


def test_comparing_takes_the_folds_of_a_cross_validation_together(tmp_path):
    (run, rows), _ = two_runs(tmp_path)
    found = comparing.tested([comparing.with_run([comparing.Prediction(**r) for r in rows], [], run, "itself")])
    assert found[0]["segments"] == 60
    assert found[0]["difference"] == 0


def test_what_could_be_seen_is_that_of_the_corpora_that_are_tested(tmp_path):
    sides = [comparing.by_corpus(comparing.Prediction(**r) for r in rows) for _, rows in two_runs(tmp_path)]
    (alone,) = comparing.between(*sides, "a", "b")
    for side in sides:
        labels, targets = side["one"].labels, side["one"].targets
        side["two"] = comparing.Answers(labels, targets, dict.fromkeys(targets, "only"))
    first, second = comparing.between(*sides, "a", "b")
    assert (second["clusters"], second["p"], second["smallest_difference"]) == (1, None, None)
    assert first["p_holm"] == alone["p_holm"]
    assert first["smallest_difference"] == alone["smallest_difference"]


def test_a_comparison_is_shown_in_a_pipe_and_as_json_and_is_the_same_twice(mer, tmp_path):
    two_runs(tmp_path)
    answer = mer("report", "compare", "a", "b", "--runs", tmp_path)
    assert (answer.code, answer.out.count("one\t")) == (0, 3)
    folder = tmp_path / "20260101-000000-a" / "report"
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert json.loads(mer("report", "compare", "a", "b", "--runs", tmp_path, "--json").out)["b"].endswith("-b")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_runs_that_cannot_be_compared_are_told_with_both_names(mer, tmp_path):
    stored(tmp_path, [row(0, "up", "up")], "20260101-000000-a")
    stored(tmp_path, [row(0, "left", "left", left=1.0, right=0.0)], "20260101-000000-b")
    stored(tmp_path, [row(9, "up", "up")], "20260101-000000-c")
    for other, said in (
        ("b", "(left, right): not comparable"),
        ("c", "no segment and seed"),
        ("d", "no run is called"),
    ):
        answer = mer("report", "compare", "a", other, "--runs", tmp_path)
        assert answer.code == 4
        assert said in " ".join(answer.err.split())
        assert "try:" in answer.err


def test_curves_are_the_stored_epochs_and_mark_the_best(left_out, tmp_path):
    made = report("curves", left_out.parent, [str(left_out)], tmp_path).section.document["groups"]
    epochs = list(read_lines(left_out / "metrics.jsonl"))
    assert [group["group"] for group in made] == ["without one", "without two"]
    for group in made:
        table = list(csv.DictReader((tmp_path / f"curves-{group['group'].replace(' ', '-')}.csv").open()))
        own = [e for e in epochs if f"without {e['held_out']}" == group["group"]]
        assert [float(line["loss"]) for line in table] == [e["loss"] for e in own]
        for fit in group["fits"]:
            scores = [e["score"] for e in own if f"seed {e['seed']}" == fit["fit"]]
            assert (fit["epochs"], fit["best_epoch"]) == (len(scores), own[int(np.argmax(scores))]["number"])
        kept = [(line["fit"], int(line["epoch"])) for line in table if line["kept"] == "True"]
        assert kept == [(fit["fit"], fit["best_epoch"]) for fit in group["fits"]]


def test_heads_have_curves_of_their_own_and_many_fits_are_drawn(tmp_path):
    run = stored(tmp_path, [])
    rows = [
        {"seed": seed, "fold": fold, "head": head, "held_out": "one", "number": n, "loss": 1.0, "dev_uar": 0.5,
         "best": n == 1}
        for head in ("late", "mult") for fold in range(4) for seed in range(4) for n in (1, 2)
    ]  # fmt: skip
    (run / "metrics.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    made = report("curves", tmp_path, output=tmp_path / "out").section.document["groups"]
    assert [group["group"] for group in made] == ["without one/late", "without one/mult"]
    assert {len(group["fits"]) for group in made} == {16}
    assert made[0]["fits"][0]["best"]["dev_loss"] is None
    assert (tmp_path / "out" / "curves-without-one-late.png").is_file()


def test_calibration_of_a_run_is_that_of_its_scores(left_out, tmp_path):
    made = report("calibration", left_out.parent, [str(left_out)], tmp_path)
    for group in made.section.document["corpora"]:
        rows = [r for r in read_lines(left_out / "predictions.jsonl") if r["fold"].startswith(group["group"] + "/")]
        brier = np.mean([sum((p - (name == r["target"])) ** 2 for name, p in r["scores"].items()) for r in rows])
        assert group["brier"] == pytest.approx(brier)
        assert group["accuracy"] == np.mean([r["label"] == r["target"] for r in rows])
        table = list(csv.DictReader((tmp_path / f"calibration-{group['group']}.csv").open()))
        assert sum(int(line["n"]) for line in table) == group["answers"] == len(rows)
        last = list(csv.DictReader((tmp_path / f"risk-coverage-{group['group']}.csv").open()))[-1]
        assert (float(last["coverage"]), float(last["risk"])) == pytest.approx((1.0, 1 - group["accuracy"]))
