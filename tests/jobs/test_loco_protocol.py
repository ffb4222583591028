"""LOCO with several heads, over workers, against another run; what stands beside its scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mercli.corpora import manifest
from mercli.results import significance
from mercli.rundir import read_lines

WAY = ("--preset", "weightless", "--set", "epochs=8", "--set", "lr=0.01")


@pytest.fixture(scope="module")
def places(world, tmp_path_factory):
    return ("--data", world.data, "--runs", tmp_path_factory.mktemp("loco-runs"))


def run(mer, world, places, *more):
    answer = mer("loco", "--corpora", *world.corpora, *places, *WAY, *more, "--json")
    assert answer.code == 0, answer.err
    return json.loads(answer.out)


def test_heads_folds_and_seeds_over_workers_give_what_one_process_gives(mer, world, places):
    asked = ("--heads", "late", "concat", "--seeds", "2", "--matrix", "--final")
    one = run(mer, world, places, *asked)
    two = run(mer, world, places, *asked, "--jobs", "2")
    assert [(row["head"], row["corpus"]) for row in one["rows"]] == [
        (head, corpus) for head in ("late", "concat") for corpus in world.corpora
    ]
    assert one["rows"] == two["rows"]
    assert one["comparisons"] == two["comparisons"]
    assert one["matrix"] == two["matrix"]
    for head in ("late-final", "concat-final", "late-without-one"):
        weights = [(Path(made["run"]) / "bundle" / head / "head.safetensors").read_bytes() for made in (one, two)]
        assert weights[0] == weights[1]
    assert {row["fold"].split("/")[2] for row in read_lines_of(one)} == {"late", "concat"}


def read_lines_of(made):
    return list(read_lines(Path(made["run"]) / "predictions.jsonl"))


def test_the_first_head_is_compared_with_the_others_on_the_same_segments(mer, world, places):
    made = run(mer, world, places, "--heads", "late", "concat")
    assert [(row["one"], row["other"], row["corpus"]) for row in made["comparisons"]] == [
        ("late", "concat", corpus) for corpus in world.corpora
    ]
    scores = {(row["head"], row["corpus"]): row["held_out"]["uar"] for row in made["rows"]}
    for row in made["comparisons"]:
        assert row["difference"] == pytest.approx(scores["late", row["corpus"]] - scores["concat", row["corpus"]])
        assert row["p_holm"] >= row["p"] > 0
    clusters = {row["cluster"] for row in read_lines_of(made)}
    speakers = {s.speaker for name in world.corpora for s in manifest.load(world.data, name).segments()}
    assert clusters <= speakers


def test_a_run_against_itself_shows_no_difference(mer, world, places):
    first = run(mer, world, places)
    again = run(mer, world, places, "--compare", first["run"])
    assert [(row["difference"], row["p"]) for row in again["comparisons"]] == [(0.0, 1.0)] * 2
    answer = mer("loco", "--corpora", *world.corpora, *places, *WAY, "--compare", "absent")
    assert answer.code == 4


def test_heads_and_another_run_are_one_family_of_tests(mer, world, places):
    other = run(mer, world, places, "--set", "epochs=1")
    made = run(mer, world, places, "--heads", "late", "concat", "--compare", other["run"])
    rows = made["comparisons"]
    assert [(row["one"], row["other"], row["corpus"]) for row in rows] == [
        (*pair, corpus) for pair in (("late", "concat"), ("this run", other["run"])) for corpus in world.corpora
    ]
    assert [row["p_holm"] for row in rows] == pytest.approx(significance.holm([row["p"] for row in rows]))


def test_the_matrix_trains_on_one_and_tests_on_each_and_the_final_bundle_on_all(mer, world, places):
    made = run(mer, world, places, "--matrix", "--final")
    assert [(c["trained_on"], c["tested_on"]) for c in made["matrix"]] == [
        ("one", "one"), ("one", "two"), ("two", "one"), ("two", "two"),
    ]  # fmt: skip
    card = json.loads((Path(made["run"]) / "bundle/late-final/bundle.json").read_text())
    assert [use["corpus"] for use in card["trained_on"]] == [f"made:{name}" for name in world.corpora]
    clip = next((world.folder / "raw" / "one" / "output_repeated_splits_test").glob("*.mp4"))
    answer = mer("predict", clip, "--model", Path(made["run"]) / "bundle/late-final", "--format", "jsonl")
    assert answer.code == 0
    assert json.loads(answer.out)["label"]


def test_beside_each_score_stand_other_priors_and_how_well_features_tell_the_corpus(mer, world, places):
    made = run(mer, world, places)
    for row in made["rows"]:
        held = row["held_out"]
        assert held["uar"] <= held["uar_own_classes"] + 1e-9
        assert held["accuracy"] <= held["top2"] + 1e-9
        assert 0 <= held["corrected_weighted_f1"] <= 1
    assert set(made["identifiability"]) == {"audio", "face", "text"}
    assert all(np.isfinite(probe["uar"]) and probe["chance"] == 0.5 for probe in made["identifiability"].values())


def test_each_row_tells_its_table_and_the_run_is_named(mer, world, places):
    answer = mer("loco", "--corpora", *world.corpora, *places, *WAY, "--heads", "late", "concat", "--matrix")
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert lines[0].split("\t")[:4] == ["table", "head", "held out", "split"]
    assert any(line.startswith("loco-comparisons\tlate\tconcat\tone") for line in lines)
    assert any(line.startswith("loco-matrix\tconcat\ttwo\ttwo") for line in lines)
    assert "mean UAR over corpora that no encoder has seen, concat" in answer.err
