"""Runs that are killed go on to the same bytes; what they were begun with cannot be changed underway."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from mercli import config, registry, rundir
from mercli.jobs import train
from mercli.jobs.fits import fitting, resuming
from mercli.rundir import read_lines

SETTINGS = ("epochs=40", "patience=40", "lr=0.003", "modality_dropout=0.3")


def arguments(command, world, runs, *sets):
    spelled = [part for setting in (*SETTINGS, *sets) for part in ("--set", setting)]
    places = ("--data", str(world.data), "--runs", str(runs))
    return [command, "--corpora", *world.corpora, *places, "--preset", "weightless", "--seeds", "2", *spelled]


def killed(command, world, runs, unfinished):
    """Start a command, kill it (and its workers) in the middle of the fit ``unfinished``, and return its run."""
    given = arguments(command, world, runs, "checkpoint=0")
    with subprocess.Popen(
        [sys.executable, "-m", "mercli", *given], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        end = time.monotonic() + 120
        while not (found := list(runs.glob(f"*/checkpoints/{unfinished}.pt"))):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end, "the fit was never begun"
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        told = process.stderr.read()
    run = found[0].parents[len(Path(unfinished).parts)]
    assert f"continue with: mer {command} --resume {run}" in told
    assert "optimiser" in torch.load(found[0], weights_only=True)["training"], "it was over before it was killed"
    assert not (run / "scores.json").exists()
    return run


def left(run):
    """Return what a run leaves, by name: every byte that is not its own name or the time."""
    files = {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}
    for name in ("run.json", "log.txt", "config.yaml"):
        files.pop(name)
    return {name: content.replace(run.name.encode(), b"") for name, content in files.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("command", "unfinished"), [("train", "fold-1/seed-0"), ("loco", "late/without-one/seed-1")])
def test_a_killed_run_goes_on_to_the_bytes_of_one_that_was_not(mer, world, tmp_path, command, unfinished):
    run = killed(command, world, tmp_path / "killed", unfinished)
    answer = mer(command, "--resume", run.name, "--runs", run.parent, "--set", "checkpoint=60", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["run"] == str(run)
    whole = mer(*arguments(command, world, tmp_path / "whole"))
    assert whole.code == 0, whole.err
    assert left(run) == left(next((tmp_path / "whole").iterdir()))
    again = mer(command, "--resume", run)
    assert (again.code, "is complete" in again.err) == (4, True)
    (resumed,) = rundir.noted(run)["resumed"]
    assert resumed["command"][:3] == ["mer", command, "--resume"]


def begun(world, runs, monkeypatch, *sets):
    """Return a run that was stopped by Ctrl-C in its second fit, and what the log says of it."""
    fit, count = fitting.fit, []

    def stopping(*given):
        count.append(None)
        if len(count) == 2:
            raise KeyboardInterrupt
        return fit(*given)

    flags = {"corpora": ("one",), "data": str(world.data), "runs": str(runs), "seeds": 2}
    told = config.resolve(config.TrainConfig, flags, preset="weightless", sets=("epochs=2", *sets))
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit", stopping)
        with pytest.raises(KeyboardInterrupt):
            train.train(told)
    return next(runs.iterdir())


def test_ctrl_c_says_how_to_go_on_and_finished_fits_are_not_trained_again(mer, world, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(registry._state, "files", [])  # plugin files of other tests would be named, too
    run = begun(world, tmp_path, monkeypatch)
    assert (run / "log.txt").read_text().rstrip().endswith(f"continue with: mer train --resume {run}")
    before = (run / "checkpoints/fold-1/seed-0.pt").stat().st_mtime_ns
    written = []
    monkeypatch.setattr(resuming.shutil, "rmtree", lambda path, **_: written.append(path))
    assert mer("train", "--resume", run).code == 0
    assert written == [run / "checkpoints"]
    assert (run / "checkpoints/fold-1/seed-0.pt").stat().st_mtime_ns == before
    assert len({row["seed"] for row in read_lines(run / "metrics.jsonl")}) == 2


def test_a_config_that_is_not_the_runs_own_is_refused_by_its_key(mer, world, tmp_path, monkeypatch):
    run = begun(world, tmp_path, monkeypatch)
    for given, key in (
        (("--set", "lr=0.5"), "lr = 0.001, and 0.5"),
        (("--set", "schedule.warmup=3"), "schedule.warmup = 0, and 3"),
        (("--head", "concat"), "head.name = 'late', and 'concat'"),
        (("--corpora", "one", "two"), "corpora = ('one',), and ('one', 'two')"),
        (("--seeds", "3"), "seeds = 2, and 3"),
        (("--preset", "smil"), "clip = 1.0, and 0.0"),
    ):
        answer = mer("train", "--resume", run, *given)
        assert answer.code == 3, answer.err
        assert key in answer.err
        assert f"mer train --resume {run}" in answer.err
    assert not (run / "scores.json").exists()
    same = ("--corpora", "one", "--seeds", "2", "--preset", "weightless", "--set", "epochs=2", "--set", "checkpoint=5")
    answer = mer("train", "--resume", run, *same, "--tensorboard")
    assert answer.code == 0, answer.err
    assert yaml.safe_load((run / "config.yaml").read_text())["lr"] == 0.001


def test_what_cannot_be_resumed_is_told(mer, world, tmp_path, monkeypatch):
    run = begun(world, tmp_path, monkeypatch)
    answer = mer("loco", "--resume", run)
    assert (answer.code, "not one of mer loco: its configuration has 'distill'" in answer.err) == (4, True)
    answer = mer("train", "--resume", "nothing", "--runs", tmp_path)
    assert (answer.code, "no run is called 'nothing'" in answer.err) == (4, True)
    kept = run / "checkpoints/fold-1/seed-0.pt"
    held = torch.load(kept, weights_only=True)
    torch.save({**held, "data": "of another day"}, kept)
    answer = mer("train", "--resume", run)
    assert (answer.code, "other features or labels" in answer.err) == (4, True)
    (run / "config.yaml").write_text("lr: [")
    answer = mer("train", "--resume", run)
    assert (answer.code, "config.yaml" in answer.err) == (3, True)
