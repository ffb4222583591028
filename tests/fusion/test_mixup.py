"""Mix-up: features and targets of two segments in one proportion, where both have the modality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import registry
from mercli.contracts import Batch
from mercli.fusion import loop
from mercli.fusion.batch import collate, select, statistics
from mercli.fusion.losses import Objective, using
from mercli.fusion.mixup import mixed_loss, mixtures
from mercli.fusion.training import Schedule
from mercli.labels import CANONICAL
from tests.fusion.test_source import DIMS, made

SEEDS = st.integers(0, 2000)


def batch_of(seed=0, count=12, longest=5):
    examples = made(count, seed, longest)
    return collate(examples, statistics(examples), DIMS)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def partners(batch, other):
    """Return whose targets a mixture has beside its own, where each segment has a target of its own."""
    return [batch.targets.tolist().index(target) for target in other.targets.tolist()]


@given(SEEDS, st.floats(0.1, 8))
@settings(max_examples=60)
def test_a_mixture_lies_between_its_two_segments_in_the_modalities_that_both_have(seed, alpha):
    batch = replace(batch_of(seed), targets=torch.arange(12))
    own, other, share = mixtures(batch, alpha, seeded(seed))
    assert 0.5 <= share <= 1
    assert torch.equal(own.targets, batch.targets)
    for row, partner in enumerate(partners(batch, other)):
        both = batch.present[row] & batch.present[partner]
        if row == partner:
            assert torch.equal(own.present[row], batch.present[row])
        else:
            assert both.any()
            assert torch.equal(own.present[row], both)
        for place, m in enumerate(batch.modalities):
            expected = torch.zeros_like(batch.values[m][row])
            if own.present[row, place]:
                x, y = batch.values[m][row], batch.values[m][partner]
                mixed = (batch.valid[m][row] & batch.valid[m][partner]).unsqueeze(-1)
                expected = torch.where(mixed, share * x + (1 - share) * y, x)
                assert torch.equal(own.valid[m][row], batch.valid[m][row])
            else:
                assert not own.valid[m][row].any()
            torch.testing.assert_close(own.values[m][row], expected)


def test_segments_without_a_common_modality_are_left_as_they_are():
    whole = batch_of(longest=1)
    rows = [
        row
        for row, present in enumerate(whole.present.tolist())
        if present in ([True, False, False], [False, True, True])
    ]
    batch = select(whole, torch.tensor(rows[:2]))
    batch.targets = torch.tensor([3, 5])
    own, other, _ = mixtures(batch, 1.0, seeded(0))
    assert torch.equal(other.targets, batch.targets)
    assert torch.equal(own.present, batch.present)
    for m in DIMS:
        assert torch.equal(own.values[m], batch.values[m])


@pytest.mark.parametrize("objective", [Objective(), Objective(smoothing=0.2)])
def test_the_loss_is_that_of_soft_targets(objective):
    batch = batch_of(longest=1)
    batch.log_prior = None
    head = registry.build("heads", "concat", DIMS, CANONICAL).eval()
    own, other, share = mixtures(batch, 0.5, seeded(3))
    soft = share * F.one_hot(own.targets, 7).float() + (1 - share) * F.one_hot(other.targets, 7).float()
    with using(objective):
        found = mixed_loss(head, batch, 0.5, seeded(3))
    torch.testing.assert_close(found, F.cross_entropy(head(own).logits, soft, label_smoothing=objective.smoothing))


def test_each_part_keeps_the_prior_of_its_own_corpus():
    batch = batch_of()
    batch.targets = torch.arange(12)
    _, other, _ = mixtures(batch, 1.0, seeded(1))
    assert torch.equal(other.log_prior, batch.log_prior[torch.tensor(partners(batch, other))])


def test_alpha_sets_how_far_mixtures_go_and_zero_draws_nothing():
    def shares(alpha):
        return np.asarray([mixtures(batch_of(count=4), alpha, seeded(seed))[2] for seed in range(150)])

    for alpha in (0.2, 1.0, 20.0):
        lead = np.random.default_rng(0).beta(alpha, alpha, 20_000)
        assert shares(alpha).mean() == pytest.approx(np.maximum(lead, 1 - lead).mean(), abs=0.04)
    draw = seeded(5)
    before = draw.get_state()
    batch = batch_of()
    head = registry.build("heads", "concat", DIMS, CANONICAL).eval()
    plain = mixed_loss(head, batch, 0.0, draw)
    assert torch.equal(draw.get_state(), before)
    assert torch.equal(plain, head.loss(head(batch), batch))


@pytest.mark.parametrize("name", ["late", "gated", "transformer", "text-guided"])
def test_heads_train_on_mixtures_of_segments_that_lack_modalities(name):
    train: Batch = batch_of(count=40)
    torch.manual_seed(0)
    head = registry.build("heads", name, DIMS, CANONICAL)
    plan = Schedule(4, 9, 16, 3e-3, 0.0, 0.2, 0, mixup=0.4)
    epochs = list(loop.fit(head, train, train, plan))
    assert epochs[-1].loss < epochs[0].loss
    assert all(weight.isfinite().all() for weight in head.state_dict().values())
