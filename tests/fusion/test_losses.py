"""Losses and class weights against PyTorch, scikit-learn and formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from mercli.config_fit import Loss
from mercli.contracts import Batch
from mercli.fusion import losses
from mercli.fusion.losses import Objective, class_weights, concordance, cross_entropy, using

SEEDS = st.integers(0, 10_000)


def some(seed, count=12, classes=5):
    draw = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((count, classes), generator=draw)
    return logits, torch.randint(0, classes, (count,), generator=draw), torch.rand(classes, generator=draw) + 0.1


def batch(targets, log_prior=None):
    return Batch((), {}, {}, torch.ones((len(targets), 0), dtype=torch.bool), targets, log_prior)


@settings(max_examples=30)
@given(SEEDS, st.sampled_from([0.0, 0.1, 0.4]), st.booleans())
def test_without_focus_the_objective_is_pytorchs_cross_entropy(seed, smoothing, weighted):
    logits, targets, weight = some(seed)
    weight = weight if weighted else None
    expected = F.cross_entropy(logits, targets, weight, label_smoothing=smoothing)
    torch.testing.assert_close(Objective(0.0, smoothing, weight)(logits, targets), expected)


@settings(max_examples=30)
@given(SEEDS, st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_focal_loss_is_its_formula_and_forgives_what_is_easy(seed, gamma):
    logits, targets, weight = some(seed)
    p = logits.softmax(1)[torch.arange(len(targets)), targets]
    each = -((1 - p) ** gamma) * p.log()
    torch.testing.assert_close(Objective(gamma)(logits, targets), each.mean(), rtol=1e-4, atol=1e-6)
    weights = weight[targets]
    expected = (weights * each).sum() / weights.sum()
    torch.testing.assert_close(Objective(gamma, weight=weight)(logits, targets), expected, rtol=1e-4, atol=1e-6)
    assert Objective(gamma)(logits, targets) < Objective()(logits, targets)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_slope_of_focal_loss_is_finite_where_a_decision_is_certain(gamma):
    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    Objective(gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad.isfinite().all()


def test_cross_entropy_adds_the_prior_and_follows_the_runs_objective_only_inside_it():
    logits, targets, weight = some(3)
    prior = torch.log_softmax(torch.randn(12, 5), 1)
    plain = F.cross_entropy(logits + prior, targets)
    assert torch.equal(cross_entropy(logits, batch(targets, prior)), plain)
    with using(Objective(weight=weight)):
        torch.testing.assert_close(
            cross_entropy(logits, batch(targets, prior)), F.cross_entropy(logits + prior, targets, weight)
        )
    with pytest.raises(RuntimeError, match="inside"), using(Objective(2.0)):
        raise RuntimeError("inside")
    assert torch.equal(cross_entropy(logits, batch(targets, prior)), plain)
    with pytest.raises(ValueError, match="targets"):
        cross_entropy(logits, Batch((), {}, {}, torch.zeros(0)))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60))
def test_balanced_weights_are_scikit_learns_and_an_absent_class_weighs_nothing(labels):
    here = np.unique(labels)
    expected = np.zeros(7)
    expected[here] = compute_class_weight("balanced", classes=here, y=labels)
    found = class_weights(torch.tensor(labels), 7)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == torch.float32


def test_effective_weights_are_cuis_and_lie_between_none_and_balanced():
    targets = torch.tensor([0] * 90 + [1] * 9 + [3])
    found = class_weights(targets, 4, "effective", beta=0.99)
    raw = np.array([(1 - 0.99) / (1 - 0.99**n) for n in (90, 9, 1)])
    np.testing.assert_allclose(found[[0, 1, 3]], raw * 3 / raw.sum(), rtol=1e-5)
    assert found[2] == 0
    np.testing.assert_allclose(class_weights(targets, 4, "effective", beta=0.0)[[0, 1, 3]], 1)
    many = class_weights(targets, 4, "effective", beta=1 - 1e-9)
    inverse = np.array([1 / 90, 1 / 9, 1])
    np.testing.assert_allclose(many[[0, 1, 3]], inverse * 3 / inverse.sum(), rtol=1e-4)
    assert class_weights(targets, 4, "none") is None


def test_the_config_chooses_the_objective():
    targets = torch.tensor([0, 0, 1])
    assert losses.objective(Loss(), targets, 2).weight is None
    assert losses.objective(Loss(gamma=3.0), targets, 2).focal == 0
    made = losses.objective(Loss(name="focal", gamma=3.0, smoothing=0.1, class_weights="balanced"), targets, 2)
    assert (made.focal, made.smoothing) == (3.0, 0.1)
    np.testing.assert_allclose(made.weight, [0.75, 1.5])


def test_binary_cross_entropy_weighs_the_ones():
    logits, targets = torch.randn(8, 3), (torch.rand(8, 3) > 0.6).long()
    positive = torch.tensor([2.0, 0.5, 1.0])
    p = logits.sigmoid()
    each = -(positive * targets * p.log() + (1 - targets) * (1 - p).log())
    torch.testing.assert_close(losses.binary_cross_entropy(logits, targets, positive), each.mean())
    plain = F.binary_cross_entropy(p, targets.float())
    torch.testing.assert_close(losses.binary_cross_entropy(logits, targets), plain)


def test_positive_weights_are_negatives_over_positives_and_one_where_a_label_is_constant():
    targets = torch.tensor([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    assert losses.positive_weights(targets).tolist() == [3.0, 1.0, 1.0]


def ccc(x, y):
    """Lin 1989, by way of the correlation."""
    r = np.corrcoef(x, y)[0, 1]
    return 2 * r * x.std() * y.std() / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


@settings(max_examples=30)
@given(SEEDS)
def test_concordance_is_lins(seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(20, 2))
    y = 0.5 * x + draw.normal(0.3, 0.4, size=(20, 2))
    expected = 1 - np.mean([ccc(x[:, k], y[:, k]) for k in range(2)])
    np.testing.assert_allclose(concordance(torch.tensor(x), torch.tensor(y)), expected, rtol=1e-9)


def test_concordance_is_zero_for_the_truth_and_finite_for_constants():
    values = torch.randn(10, 2)
    assert abs(float(concordance(values, values))) < 1e-6
    assert float(concordance(-values, values)) > 1
    flat = torch.zeros(10, 2, requires_grad=True)
    loss = concordance(flat, torch.zeros(10, 2))
    loss.backward()
    assert loss.isfinite()
    assert flat.grad.isfinite().all()
