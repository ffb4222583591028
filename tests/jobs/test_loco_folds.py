"""Folds that lack something go on with what there is, or are told; one list of fits, whoever computes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mercli import config
from mercli.errors import DataError
from mercli.fusion import precision
from mercli.jobs import loco
from mercli.jobs.fits import fitting
from mercli.jobs.reports.reopening import answering
from mercli.rundir import read_lines
from tests.jobs.test_covering import lines, prepared, voices
from tests.jobs.test_protocol import rows, settings, texts
from tests.jobs.test_resuming import left

JOY = ("joy", "anger")


def left_out(mer, tmp_path, *words):
    places = ("--data", tmp_path / "data", "--runs", tmp_path / "runs")
    return mer("loco", *places, "--preset", "weightless", "--set", "epochs=2", "--json", *words)


def test_a_fold_goes_on_without_a_modality_that_its_training_side_lacks(mer, tmp_path):
    heard = [("heard", "joy", "test"), ("heard", "anger", "test")]
    prepared(mer, tmp_path, "one", [*lines("one", JOY), *heard])
    segments = tmp_path / "data/one/segments.jsonl"
    # what was made of the text that was is no longer theirs
    segments.write_text(segments.read_text().replace('"heard"', '"changed"'))
    voices(tmp_path, "one", {row: float(row % 5) for row in (*range(0, 24, 2), 24, 25)})
    prepared(mer, tmp_path, "two", lines("two", JOY))
    words = ("--corpora", "one", "two", "--modalities", "audio", "text", "--matrix")
    answer = left_out(mer, tmp_path, *words)
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    one, two = made["rows"]
    assert (one["corpus"], one["modalities"]) == ("one", ["text"])
    assert one["held_out"]["n"] == 8  # what has a voice alone has nothing that two teaches
    assert (two["modalities"], two["held_out"]["n"]) == (["audio", "text"], 8)
    assert [(c["trained_on"], c["tested_on"], c["n"], c["modalities"]) for c in made["matrix"]] == [
        ("one", "one", 10, ["audio", "text"]), ("one", "two", 8, ["audio", "text"]),
        ("two", "one", 8, ["text"]), ("two", "two", 8, ["text"]),
    ]  # fmt: skip
    run = Path(made["run"])
    assert list(json.loads((run / "bundle/without-one/bundle.json").read_text())["dims"]) == ["text"]
    asked = [(each.group, list(each.data.dims), len(each.data.segments(each.parts))) for each in answering(run)]
    assert asked == [("one", ["text"], 8), ("two", ["audio", "text"], 8)]


def test_precision_is_tried_on_what_the_first_fold_learns(mer, tmp_path, monkeypatch):
    tried = []

    def settled(asked, head, data, plan):
        tried.append(tuple(data.present.shape))
        return "fp32"

    for name in ("one", "two"):
        prepared(mer, tmp_path, name, lines(name, JOY))
    voices(tmp_path, "one", {row: float(row % 5) for row in range(24)})
    monkeypatch.setattr(precision, "settled", settled)
    answer = left_out(mer, tmp_path, "--corpora", "one", "two", "--modalities", "audio", "text", "--precision", "auto")
    assert answer.code == 0, answer.err
    assert tried == [(8, 1)]  # the train split of two, which has no voice


def test_folds_that_cannot_be_fitted_are_told_and_the_others_are_scored(mer, tmp_path):
    prepared(mer, tmp_path, "one", lines("one", JOY))
    prepared(mer, tmp_path, "two", lines("two", JOY))
    prepared(mer, tmp_path, "three", lines("three", ("fear", "disgust")))
    words = ("--corpora", "one", "two", "three", "--modalities", "text", "--final")
    answer = left_out(mer, tmp_path, *words)
    assert answer.code == 6, answer.err
    made = json.loads(answer.out)
    assert [row["corpus"] for row in made["rows"]] == ["one", "two"]
    (failure,) = made["failures"]
    assert failure["fit"] == "late/without-three"
    assert "'three' (test) has the classes fear, disgust" in failure["error"]
    assert list(read_lines(Path(made["run"]) / "failures.jsonl")) == [failure]
    assert "late/without-three is left out" in answer.err
    assert "try: cat" in answer.err
    shown = mer("report", "loco", made["run"])
    assert (shown.code, "late/without-three could not be fitted" in " ".join(shown.err.split())) == (0, True)
    assert (Path(made["run"]) / "bundle/late-final/bundle.json").is_file()


def test_a_head_that_cannot_be_fitted_in_a_fold_spares_the_other_heads(mer, tmp_path):
    for name in ("one", "two"):
        prepared(mer, tmp_path, name, lines(name, JOY))
    words = ("--corpora", "one", "two", "--modalities", "text", "--heads", "late", "avtca")
    answer = left_out(mer, tmp_path, *words)
    assert answer.code == 6, answer.err
    made = json.loads(answer.out)
    assert {row["head"] for row in made["rows"]} == {"late"}
    assert [failure["fit"] for failure in made["failures"]] == ["avtca/without-one", "avtca/without-two"]
    assert made["means"]["avtca"] is None


def test_matrix_and_final_are_fits_like_the_folds_over_workers_and_after_a_stop(tmp_path, monkeypatch):
    for name in ("one", "two"):
        texts(tmp_path, name, rows(name))
    sets = ("epochs=2", "matrix=true", "final=true")

    def asked(runs, *more):
        told = settings(config.LocoConfig, tmp_path, *sets, *more, corpora=["one", "two"])
        return told.model_copy(update={"runs": str(tmp_path / runs)})

    whole = loco.loco(asked("whole"))
    fit, begun = fitting.fit, []

    def stopping(*given):
        begun.append(str(given[-1].name))
        if len(begun) == 5:
            raise KeyboardInterrupt
        return fit(*given)

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            loco.loco(asked("stopped"))
    names = [f"late/{name}/seed-0" for name in ("without-one", "without-two", "on-one", "on-two", "final")]
    assert begun == names
    stopped = next((tmp_path / "stopped").iterdir())
    kept = sorted(str(path.relative_to(stopped / "checkpoints")) for path in stopped.glob("checkpoints/**/*.pt"))
    assert kept == sorted(f"{name}.pt" for name in names[:4])
    loco.loco(asked("stopped"), stopped)
    assert left(stopped) == left(whole.run)


def test_runs_whose_labels_are_read_by_other_policies_are_not_compared(mer, tmp_path):
    runs = []
    for choice in ("happy", "drop"):
        folder = tmp_path / choice
        folder.mkdir()
        for name in ("one", "two"):
            texts(folder, name, rows(name), excited=choice)
        told = settings(config.LocoConfig, folder, "epochs=1", corpora=["one", "two"])
        runs.append((folder, loco.loco(told).run))
    (_, first), (folder, second) = runs
    words = ("--corpora", "one", "two", "--modalities", "text", "--data", folder / "data", "--runs", folder / "new")
    answer = mer("loco", *words, "--preset", "weightless", "--set", "epochs=1", "--compare", first)
    said = " ".join(answer.err.split())
    assert answer.code == 4
    assert "this run reads the labels of 'one' by 'canonical-7/1 excited=drop'" in said
    assert f"run '{first.name}' by 'canonical-7/1" in said
    assert not (folder / "new").exists()
    answer = mer("report", "compare", first, second)
    assert (answer.code, "not comparable" in answer.err) == (4, True)
    same = mer("loco", *words, "--preset", "weightless", "--set", "epochs=1", "--compare", second)
    assert same.code == 0, same.err


def test_no_fold_at_all_is_an_error_of_the_first(tmp_path):
    for name in ("one", "two"):
        texts(tmp_path, name, [row for row in rows(name) if row[2] != "dev"])
    with pytest.raises(DataError, match="corpus 'two' has no dev split"):
        loco.loco(settings(config.LocoConfig, tmp_path, corpora=["one", "two"]))
    assert not list(tmp_path.glob("runs/*"))
