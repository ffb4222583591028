"""Samplers draw what they promise, from the items given alone; a curriculum begins with each class's easiest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli.config import TrainConfig, resolve
from mercli.config_fit import Curriculum
from mercli.contracts import Batch, HeadOutput
from mercli.fusion import loop, sampling
from mercli.fusion.batch import Examples, statistics
from mercli.fusion.checkpoint import Checkpoint
from mercli.fusion.losses import cross_entropy, item_losses
from mercli.fusion.source import numbered, source
from mercli.fusion.training import Schedule
from mercli.jobs.fits import planning
from mercli.types import Feature, FeatureBundle

GROUPS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(torch.tensor)
SEEDS = st.integers(0, 1000)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@given(GROUPS, SEEDS, st.sampled_from(sorted(sampling.ORDERS)))
@settings(max_examples=100)
def test_every_sampler_draws_items_that_are_there_and_the_same_from_the_same_seed(groups, seed, name):
    order = sampling.drawn(name, groups, seeded(seed))
    assert order.dtype == torch.long
    assert 0 <= int(order.min()) <= int(order.max()) < len(groups)
    assert torch.equal(order, sampling.drawn(name, groups, seeded(seed)))


@given(GROUPS, SEEDS)
@settings(max_examples=50)
def test_shuffled_is_a_permutation(groups, seed):
    assert sampling.drawn("shuffled", groups, seeded(seed)).sort().values.tolist() == list(range(len(groups)))


@given(GROUPS, SEEDS, st.one_of(st.none(), st.integers(1, 30)))
@settings(max_examples=100)
def test_oversampling_keeps_every_item_and_brings_each_class_to_its_number(groups, seed, most):
    order = sampling.drawn("oversample", groups, seeded(seed), most)
    counts = groups.bincount()
    goal = int(counts.max()) if most is None else most
    assert set(order.tolist()) == set(range(len(groups)))
    expected = [max(int(count), goal) if count else 0 for count in counts]
    assert groups[order].bincount(minlength=len(counts)).tolist() == expected


@given(GROUPS, SEEDS)
@settings(max_examples=100)
def test_by_corpus_each_comes_equally_often_and_its_items_as_evenly_as_can_be(groups, seed):
    order = sampling.drawn("by-corpus", groups, seeded(seed))
    here = groups.unique()
    quota = -(-len(groups) // len(here))
    times = order.bincount(minlength=len(groups))
    for name in here:
        own = times[groups == name]
        assert int(own.sum()) == quota
        assert int(own.max() - own.min()) <= 1


def test_balanced_draws_each_class_alike():
    targets = torch.tensor([0] * 2700 + [1] * 270 + [3] * 30)
    share = targets[sampling.drawn("balanced", targets, seeded(1))].bincount() / len(targets)
    assert ((share[[0, 1, 3]] - 1 / 3).abs() < 0.04).all()


@given(GROUPS, SEEDS)
@settings(max_examples=100)
def test_ease_orders_each_class_by_its_loss_from_0_to_below_1(targets, seed):
    losses = torch.rand(len(targets), generator=seeded(seed))
    ease = sampling.ease(losses, targets)
    for label in targets.unique():
        own = targets == label
        assert ease[own][losses[own].argsort()].tolist() == pytest.approx(np.arange(int(own.sum())) / int(own.sum()))


DIMS = {"audio": 3, "text": 2}


def made(count=40, seed=0, corpora=("one", "two")):
    draw = np.random.default_rng(seed)
    times, valid = np.zeros((1, 2), np.float32), np.ones(1, np.bool_)
    bundles = [
        FeatureBundle(
            str(i), {m: Feature(draw.normal(size=(1, d)).astype(np.float32), times, valid) for m, d in DIMS.items()}
        )
        for i in range(count)
    ]
    names = [corpora[0] if i % 4 else corpora[1] for i in range(count)]
    return Examples(bundles, tuple(DIMS), draw.integers(0, 3, count), names)


class Line(torch.nn.Module):
    """A linear layer that remembers what it was trained on."""

    modalities = tuple(DIMS)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 3)
        self.seen: list[torch.Tensor] = []

    def forward(self, batch: Batch) -> HeadOutput:
        if self.training:
            self.seen.append(batch.values["audio"][:, 0])
        return HeadOutput(self.layer(batch.values["audio"].mean(1)))

    def loss(self, output, batch):
        return cross_entropy(output.logits, batch)


PLAN = Schedule(6, 20, 8, 1e-2, 0.0, 0.0, 3)


def epochs_seen(plan, dev_seed=1, path=None):
    """Return which items (rows) each epoch trained on, the head and the epochs."""
    train, dev = made(), made(12, seed=dev_seed)
    stats = statistics(train)
    head, data = Line(), source(train, stats, DIMS)
    table = {tuple(row.tolist()): number for number, row in enumerate(data.resident.values["audio"][:, 0])}
    checkpoint = Checkpoint(path, 0.0, "") if path else None
    rows, told = [], []
    running = loop.fit(head, data, source(dev, stats, DIMS), plan, checkpoint)
    head.seen.clear()
    for epoch in running:
        rows.append([table[tuple(row.tolist())] for row in torch.cat(head.seen)])
        told.append(epoch)
        head.seen.clear()
    return rows, head, told, train


def test_a_curriculum_begins_with_the_easiest_of_each_class_and_ends_with_all():
    plan = replace(PLAN, curriculum=Curriculum(pilot=3, start=0.25, epochs=3))
    rows, _, _, train = epochs_seen(plan)
    data = source(train, statistics(train), DIMS)
    pilot = Line()
    list(loop.fit(pilot, data, data, replace(PLAN, epochs=3, patience=3)))
    ease = sampling.ease(item_losses(loop.predict(pilot, data), data.targets, None), data.targets)
    for epoch, share in enumerate((0.25, 0.5, 0.75, 1.0, 1.0, 1.0)):
        assert sorted(rows[epoch]) == torch.where(ease < share)[0].tolist()
    assert set(train.targets[rows[0]]) == set(train.targets)


def test_the_pilot_never_meets_dev_and_leaves_the_head_as_it_was(tmp_path):
    plan = replace(PLAN, epochs=2, curriculum=Curriculum(pilot=2, start=0.5, epochs=8))
    kept = []
    for seed in (1, 2):
        path = tmp_path / f"{seed}.pt"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoint, "offer", _once(Checkpoint.offer))
            epochs_seen(plan, seed, path)
        kept.append(torch.load(path, weights_only=True)["training"]["ease"])
    assert torch.equal(*kept)
    whole = epochs_seen(replace(PLAN, curriculum=Curriculum(pilot=2, start=1.0)))
    plain = epochs_seen(PLAN)
    assert (whole[0], whole[2]) == (plain[0], plain[2])
    assert torch.equal(whole[1].layer.weight, plain[1].layer.weight)


def _once(offer):
    def first(self, training):
        if not self.path.exists():
            offer(self, training)

    return first


def test_patience_counts_from_the_epoch_that_sees_all():
    slow = replace(PLAN, epochs=30, patience=2, lr=1e-12)
    assert len(epochs_seen(slow)[2]) == 3
    assert len(epochs_seen(replace(slow, curriculum=Curriculum(pilot=1, start=0.5, epochs=5)))[2]) == 7


def test_the_loop_balances_corpora_whatever_their_size():
    rows, _, _, train = epochs_seen(replace(PLAN, sampler="by-corpus"))
    corpus = numbered(train)
    assert corpus.bincount().tolist() == [30, 10]
    for epoch in rows:
        assert corpus[epoch].bincount().tolist() == [20, 20]
    assert numbered(replace(train, corpora=[])).tolist() == [0] * 40


def of(**flags):
    return resolve(TrainConfig, {"corpora": ("a",), **flags})


def test_what_a_sampler_leaves_unbalanced_is_held_by_the_logits():
    learn = replace(made(), targets=np.asarray([0] * 24 + [1] * 8 + [2] * 8))
    assert planning.held_prior(of(), learn, 3) == ()
    plain = planning.held_prior(of(**{"loss.adjust_prior": False}), learn, 3)
    assert plain == pytest.approx(np.asarray([24.5, 8.5, 8.5]) / 41.5)
    assert planning.held_prior(of(sampler="oversample"), learn, 3) == ()
    partly = planning.held_prior(of(sampler="oversample", oversample=12), learn, 3)
    assert partly == pytest.approx(np.asarray([24.5, 12.5, 12.5]) / 49.5)
    corpora = ["big"] * 24 + ["small"] * 16
    even = planning.held_prior(
        of(**{"sampler": "by-corpus", "loss.adjust_prior": False}), replace(learn, corpora=corpora), 3
    )
    assert even == pytest.approx(np.asarray([20.5, 10.5, 10.5]) / 41.5, abs=0.06)
