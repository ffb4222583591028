"""``mer train --drop``: scores with a modality spoiled stand beside the plain ones, and change nothing of them."""

from __future__ import annotations

import json

import pytest

from mercli.rundir import read_lines

from .test_folds import data as five_sessions  # noqa: F401

WAY = ("--preset", "weightless", "--modalities", "audio", "--set", "epochs=6", "--set", "lr=0.01", "--quiet")
DROPS = ("--drop", "audio=zeros", "--drop", "audio=noise")


def words(name, data, runs, *more):
    return ("train", "--corpora", name, "--data", data, "--runs", runs, *WAY, *more)


def rows(runs):
    (run,) = runs.iterdir()
    return [{**row, "run": ""} for row in read_lines(run / "predictions.jsonl")]


def beside(mer, tmp_path, name, data, *more):
    """Return the plain scores and the conditions', after comparing all else with a run without conditions."""
    plain = mer(*words(name, data, tmp_path / "plain", *more, "--json"))
    found = mer(*words(name, data, tmp_path / "dropped", *more, *DROPS, "--json"))
    assert plain.code == found.code == 0, plain.err + found.err
    score, other = (json.loads(answer.out)["scores"][name] for answer in (plain, found))
    dropped = other.pop("dropped")
    assert score == other
    assert rows(tmp_path / "plain") == rows(tmp_path / "dropped")
    assert list(dropped) == ["audio=zeros", "audio=noise"]
    assert {each["n"] for each in dropped.values()} == {score["n"]}
    return score, dropped


def test_each_condition_is_scored_beside_and_the_plain_scores_stay(mer, world, tmp_path):
    score, dropped = beside(mer, tmp_path, "one", world.data)
    classes = len({row["target"] for row in rows(tmp_path / "plain")})
    assert dropped["audio=zeros"]["uar"] == pytest.approx(1 / classes)  # one answer for all
    assert dropped["audio=noise"]["uar"] < score["uar"] - 0.2


def test_folds_are_scored_together_under_each_condition(mer, five_sessions, tmp_path):  # noqa: F811
    score, dropped = beside(mer, tmp_path, "iemocap", five_sessions, "--folds", "session")
    assert max(each["uar"] for each in dropped.values()) < score["uar"] - 0.2


def test_the_table_has_a_row_for_each_condition(mer, world, tmp_path):
    answer = mer(*words("one", world.data, tmp_path, *DROPS))
    splits = [line.split("\t")[1] for line in answer.out.splitlines()[1:]]
    assert splits == ["test", "test, audio=zeros", "test, audio=noise"]


def test_a_condition_that_is_unknown_leaves_no_run(mer, world, tmp_path):
    for wrong, told in (("audio=silence", "expected zeros, noise"), ("lips=zeros", "names no modality")):
        answer = mer(*words("one", world.data, tmp_path / "runs", "--drop", wrong))
        assert (answer.code, told in answer.err) == (3, True)
    assert not (tmp_path / "runs").exists()
