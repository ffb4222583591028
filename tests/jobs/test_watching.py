"""What a run tells while it goes on: TensorBoard's curves, the precision of its training, its epochs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mercli import rundir
from mercli.engines import devices
from mercli.fusion.training import Epoch
from mercli.jobs.fits.watching import TAGS, watched
from mercli.labels import FIGURES
from mercli.rundir import read_lines


def run(mer, command, world, runs, *more):
    places = ("--data", world.data, "--runs", runs, "--preset", "weightless", "--set", "epochs=4", "--set", "lr=0.01")
    answer = mer(command, "--corpora", *world.corpora, *places, *more, "--json")
    assert answer.code == 0, answer.err
    return Path(json.loads(answer.out)["run"])


def curves(folder):
    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def shown(rows):
    """Return what TensorBoard must show of the rows of metrics.jsonl."""
    tags = {tag: name for tag, name in TAGS.items() if name in rows[0]}
    return {tag: [(row["number"], pytest.approx(row[name], rel=1e-6)) for row in rows] for tag, name in tags.items()}


@pytest.mark.parametrize("command", ["train", "loco"])
def test_tensorboard_reads_the_figures_of_every_fit(mer, world, tmp_path, command):
    made = run(mer, command, world, tmp_path, "--seeds", "2", "--tensorboard")
    rows = list(read_lines(made / "metrics.jsonl"))
    held = ("one", "two") if command == "loco" else (None,)
    for name in held:
        for seed in (0, 1):
            folder = f"late/without-{name}/seed-{seed}" if name else f"fold-1/seed-{seed}"
            own = [row for row in rows if row["seed"] == seed and row.get("held_out") == name]
            assert curves(made / "tensorboard" / folder) == shown(own)
    assert set(shown(rows)) == {"train/loss", "train/lr", "dev/loss", *(f"dev/{name}" for name in FIGURES["one-of"])}
    assert all("peak_bytes" not in row for row in rows)


def test_without_the_option_nothing_is_written_for_it(mer, world, tmp_path):
    assert not (run(mer, "train", world, tmp_path) / "tensorboard").exists()


def test_a_training_that_is_resumed_shows_each_epoch_once(tmp_path):
    dev = {"dev_uar": 0.5, "dev_accuracy": 0.5, "dev_weighted_f1": 0.4, "dev_macro_f1": 0.3}
    epochs = [Epoch(n, 1 / n, True, 1.0, 1e-3, 0.5, peak_bytes=n, **dev) for n in range(1, 6)]
    list(watched(epochs[:3], tmp_path / "fit"))
    assert list(watched(epochs, tmp_path / "fit")) == epochs
    found = curves(tmp_path / "fit")
    assert set(found) == {tag for tag, name in TAGS.items() if getattr(epochs[0], name) is not None}
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4, 5]
    assert [value for _, value in found["train/peak_bytes"]] == [1, 2, 3, 4, 5]


def test_the_precision_of_each_head_is_told_and_fp16_is_refused_on_a_cpu(mer, world, tmp_path, monkeypatch):
    assert rundir.noted(run(mer, "train", world, tmp_path))["precision"] == {"late": "fp32"}
    halves = run(mer, "loco", world, tmp_path, "--heads", "late", "concat", "--precision", "bf16")
    assert rundir.noted(halves)["precision"] == {"late": "bf16", "concat": "bf16"}
    monkeypatch.setattr(devices, "_bf16_pays", lambda: False)
    assert rundir.noted(run(mer, "train", world, tmp_path, "--precision", "auto"))["precision"] == {"late": "fp32"}
    before = len(list(tmp_path.iterdir()))
    answer = mer("train", "--corpora", "one", "--data", world.data, "--runs", tmp_path, "--preset", "weightless",
                 "--device", "cpu", "--precision", "fp16")  # fmt: skip
    assert (answer.code, "'fp16' was asked for on a CPU" in answer.err) == (3, True)
    assert len(list(tmp_path.iterdir())) == before
