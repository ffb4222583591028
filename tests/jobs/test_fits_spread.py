"""Fits over several processes: the same answers and weights as one after another, and the run says how."""

from __future__ import annotations

import json

import pytest

from mercli.rundir import read_lines


@pytest.mark.slow
def test_training_over_two_processes_gives_the_same_answers_and_the_same_weights(mer, world, tmp_path):
    words = ("train", "--corpora", *world.corpora, "--data", world.data, "--preset", "weightless", "--seeds", "3")
    runs = []
    for jobs in ("1", "2"):
        folder = tmp_path / jobs
        answer = mer(*words, "--set", "epochs=3", "--drop", "audio=absent", "--runs", folder, "--jobs", jobs, "-q")
        assert answer.code == 0, answer.err
        runs.append(next(folder.iterdir()))
    one, two = runs
    made = [[{**row, "run": ""} for row in read_lines(run / "predictions.jsonl")] for run in runs]
    assert made[0] == made[1]
    assert {row["fold"] for row in made[0]} == {f"{name}/seed{seed}" for name in world.corpora for seed in range(3)}
    for name in ("metrics.jsonl", "scores.json", "bundle/head.safetensors"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    assert "dropped" in json.loads((one / "scores.json").read_text())["one"]
    assert "jobs: 2" in (two / "config.yaml").read_text()
