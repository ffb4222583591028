"""A training that is stopped between any two steps and taken up again leaves the same bits."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.config_fit import Curriculum, Optimizer, RateSchedule
from mercli.errors import DataError
from mercli.fusion import loop
from mercli.fusion.batch import Examples, statistics
from mercli.fusion.checkpoint import Checkpoint, fingerprint
from mercli.fusion.losses import Objective
from mercli.fusion.source import source
from mercli.fusion.training import Schedule, Training
from mercli.labels import CANONICAL
from mercli.types import Feature, FeatureBundle

DIMS = {"audio": 5, "face": 4, "text": 3}
PLAN = Schedule(3, 10, 8, 1e-2, 1e-2, 0.3, 3)
PLANS = {
    "plain": PLAN,
    "everything": replace(
        PLAN,
        epochs=4,
        accumulate=2,
        mixup=0.4,
        curriculum=Curriculum(pilot=2, start=0.4, epochs=3),
        sampler="by-corpus",
        rate=RateSchedule(name="plateau", patience=0, gamma=0.5, warmup=3),
        objective=Objective(focal=2.0, smoothing=0.1),
    ),
    "lion": replace(PLAN, optimizer=Optimizer(name="lion"), sampler="oversample", rate=RateSchedule(name="restarts")),
    "fused": replace(PLAN, optimizer=Optimizer(name="adam", fused=True), sampler="balanced", precision="bf16"),
    "momentum": replace(PLAN, optimizer=Optimizer(name="sgd", momentum=0.9), clip=0.1, dropout="softhard"),
    "impatient": replace(PLAN, epochs=30, patience=2, lr=1e-9),
}


def made(count=30, seed=0):
    draw = np.random.default_rng(seed)
    bundles = []
    for index in range(count):
        rows = int(draw.integers(1, 4))
        features = {
            m: Feature(draw.normal(0, 1, (rows, dim)).astype(np.float32), np.zeros((rows, 2)), np.ones(rows, np.bool_))
            for m, dim in DIMS.items()
        }
        bundles.append(FeatureBundle(f"clip/{index}", features))
    corpora = [("one", "two", "two")[index % 3] for index in range(count)]
    return Examples(bundles, tuple(DIMS), draw.integers(0, 7, count), corpora)


class StoppedError(Exception):
    """Stands for whatever ends the process."""


class Stopping(Checkpoint):
    """Ends the training after so many steps, with what was written after the last of them."""

    left = -1

    def offer(self, training):
        self.left -= 1
        self.every = 0.0 if self.left == 0 else np.inf
        super().offer(training)
        if self.left == 0:
            raise StoppedError


def trained(plan, path=None, stop=-1):
    """Train a head with dropout of its own; in a new process the generators would stand anywhere, so here too."""
    train, dev = made(), made(12, seed=1)
    stats = statistics(train)
    torch.manual_seed(7)
    head = registry.build("heads", "gated", DIMS, CANONICAL, options={"width": 4, "dropout": 0.5})
    checkpoint = Stopping(path, 0.0, fingerprint(train, dev, stats)) if path else None
    if checkpoint is not None:
        checkpoint.left = stop
    told = list(loop.fit(head, source(train, stats, DIMS), source(dev, stats, DIMS), plan, checkpoint))
    return told, head.state_dict()


def same(one, other):
    assert list(map(asdict, one[0])) == list(map(asdict, other[0]))
    assert one[1].keys() == other[1].keys()
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name


@pytest.mark.parametrize("name", PLANS)
def test_a_training_stopped_after_any_step_goes_on_with_the_same_bits(name, tmp_path):
    expected = trained(PLANS[name])
    for stop in (1, 2, 5, 8, 9):
        path = tmp_path / f"{stop}.pt"
        with pytest.raises(StoppedError):
            trained(PLANS[name], path, stop)
        with pytest.raises(StoppedError):
            trained(PLANS[name], path, 2)  # and again, two steps later
        same(trained(PLANS[name], path), expected)


def test_a_finished_training_is_read_and_not_trained_again(tmp_path, monkeypatch):
    path = tmp_path / "kept.pt"
    expected = trained(PLAN, path)
    monkeypatch.setattr(loop, "step", None)
    same(trained(PLAN, path), expected)
    unfinished = tmp_path / "begun.pt"
    with pytest.raises(TypeError):
        trained(PLAN, unfinished)


def test_what_a_finished_training_keeps_is_no_more_than_its_best_weights_and_epochs(tmp_path):
    trained(PLAN, tmp_path / "kept.pt")
    held = torch.load(tmp_path / "kept.pt", weights_only=True)
    assert set(held["training"]) == {"kept", "epochs", "waited"}


def test_a_checkpoint_is_written_by_the_clock_and_when_the_training_is_over(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    head = registry.build("heads", "late", DIMS, CANONICAL)
    training = Training(head, PLAN)
    kept = Checkpoint(tmp_path / "kept.pt", 60.0, "data", written=100.0)
    for now[0], there in ((159.0, False), (160.0, True)):
        kept.offer(training)
        assert kept.path.is_file() == there
    before = kept.path.stat().st_mtime_ns
    now[0] = 219.0
    kept.offer(training)
    assert kept.path.stat().st_mtime_ns == before
    training.waited = PLAN.patience
    kept.offer(training)
    assert set(torch.load(kept.path, weights_only=True)["training"]) == {"kept", "epochs", "waited"}


def test_other_features_labels_or_segments_and_broken_files_are_refused(tmp_path):
    train, dev = made(), made(12, seed=1)
    stats = statistics(train)
    own = fingerprint(train, dev, stats)
    other = made(seed=2)
    fewer = train.subset(np.arange(29))
    turned = Examples(train.bundles, train.modalities, train.targets[::-1].copy(), train.corpora)
    assert fingerprint(made(), made(12, seed=1), statistics(made())) == own
    assert own not in {
        fingerprint(fewer, dev, stats), fingerprint(turned, dev, stats), fingerprint(train, fewer, stats),
        fingerprint(train, dev, statistics(other)),
    }  # fmt: skip
    path = tmp_path / "kept.pt"
    training = Training(registry.build("heads", "late", DIMS, CANONICAL), PLAN)
    Checkpoint(path, 0.0, own).offer(training)
    with pytest.raises(DataError, match=r"kept\.pt.*written of other features or labels"):
        Checkpoint(path, 0.0, "other").restore(training)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"kept\.pt.*cannot be read"):
        Checkpoint(path, 0.0, own).restore(training)
