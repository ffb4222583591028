"""Batches of tuning: what is drawn depends on seed, epoch and example alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from mercli.config_tune import FinetuneConfig, TuningLoss  # noqa: E402
from mercli.errors import DataError  # noqa: E402
from mercli.tuning.checkpoint import order_of  # noqa: E402
from mercli.tuning.examples import Batches, draw  # noqa: E402
from mercli.tuning.tuner import class_weights, loss  # noqa: E402


def batches(count: int, batch: int, world: int = 1, rank: int = 0, balanced: bool = False, epoch: int = 0):
    labels = torch.arange(count) % 3
    made = Batches([float(i % 7) for i in range(count)], labels, batch, 5, balanced, rank, world)
    made.epoch = epoch
    return list(made), len(made)


@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_several_processes_see_together_what_one_with_their_batch_sees(count, batch, world, epoch, balanced):
    whole, steps = batches(count, batch * world, balanced=balanced, epoch=epoch)
    parts = [batches(count, batch, world, rank, balanced, epoch)[0] for rank in range(world)]
    together = [[place for part in step for place in part] for step in zip(*parts, strict=True)]
    assert together == whole
    assert len(whole) == steps
    assert all(len(step) == batch * world for step in whole)


@given(st.integers(1, 200), st.sampled_from([2, 4, 8]), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_half_the_batch_accumulated_twice_makes_as_many_steps(count, batch, accumulate, world, balanced):
    labels = torch.arange(count) % 3
    steps = {
        divmod(len(list(Batches([1.0] * count, labels, own, 5, balanced, 0, world, times))), times)
        for own, times in ((batch, accumulate), (batch // 2, accumulate * 2))
    }
    ((_, left),) = steps
    assert left == 0


@given(st.integers(8, 60), st.integers(1, 8))
def test_an_epoch_takes_each_example_once_at_most_and_epochs_differ(count, batch):
    first, _ = batches(count, batch)
    taken = [index for step in first for _, index in step]
    assert len(taken) == len(set(taken)) == count // batch * batch
    assert [p for step in batches(count, batch, epoch=1)[0] for p in step] != [p for step in first for p in step]


def test_balanced_epochs_draw_rare_classes_as_often():
    labels = torch.tensor([0] * 90 + [1] * 10)
    made = Batches([1.0] * 100, labels, 10, 0, True)
    drawn = []
    for epoch in range(20):
        made.epoch = epoch
        drawn += [int(labels[index]) for step in made for _, index in step]
    assert 0.45 < sum(drawn) / len(drawn) < 0.55


def test_examples_of_like_size_stand_together():
    made = Batches([float(i) for i in range(64)], torch.zeros(64, dtype=torch.long), 8, 0, False)
    spreads = [max(i for _, i in step) - min(i for _, i in step) for step in made]
    assert max(spreads) == 7


@given(st.integers(0, 5), st.integers(0, 50), st.integers(0, 10**6))
def test_what_is_drawn_for_an_example_is_its_own(seed, epoch, index):
    one = torch.rand(4, generator=draw(seed, (epoch, index)))
    assert torch.equal(one, torch.rand(4, generator=draw(seed, (epoch, index))))
    assert not torch.equal(one, torch.rand(4, generator=draw(seed, (epoch, index + 1))))


def test_losses_are_those_of_torch_and_their_parts_average_to_the_whole():
    torch.manual_seed(0)
    logits, labels = torch.randn(12, 3), torch.randint(0, 3, (12,))
    weights = class_weights(labels, 3, TuningLoss(class_weights="balanced"))
    assert float(weights[labels].mean()) == pytest.approx(1)
    expected = torch.nn.functional.cross_entropy(logits, labels, weight=weights, reduction="sum") / 12
    plain = TuningLoss(class_weights="balanced")
    assert float(loss(logits, labels, plain, weights)) == pytest.approx(float(expected))
    halves = [loss(logits[i::2], labels[i::2], plain, weights) for i in (0, 1)]
    assert float(sum(halves)) / 2 == pytest.approx(float(expected))
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    focal = ((1 - p) ** 2 * -p.log()).mean()
    assert float(loss(logits, labels, TuningLoss(name="focal"), torch.ones(3))) == pytest.approx(float(focal))


def test_a_class_that_training_lacks_weighs_nothing_more_than_others():
    weights = class_weights(torch.tensor([0, 0, 1]), 3, TuningLoss(class_weights="balanced"))
    assert weights.tolist() == pytest.approx([0.75, 1.5, 1.5])


def test_unknown_keys_are_refused():
    with pytest.raises(ValueError, match="extra"):
        FinetuneConfig(modality="audio", corpora=("a",), encoder="x", epoch=3)


def test_focal_loss_of_what_is_certain_has_a_slope():
    logits = torch.tensor([[40.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss(logits, torch.tensor([0, 1]), TuningLoss(name="focal", gamma=0.5), torch.ones(2)).backward()
    assert logits.grad.isfinite().all()


def test_classes_of_a_checkpoint_may_be_spelled_in_other_cases():
    told = SimpleNamespace(architectures=["BertForSequenceClassification"], id2label={0: "sad", 1: "CONFUSED"})
    assert order_of("own", told, ("Confused", "Sad"), reset=False) == ("Sad", "Confused")
    with pytest.raises(DataError, match="tells sad, CONFUSED; the corpora have happy, sad"):
        order_of("own", told, ("happy", "sad"), reset=False)
