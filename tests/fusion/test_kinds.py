"""Losses, dev figures, calibration and answers of labels that many may hold, and of values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from mercli.config_fit import Loss
from mercli.contracts import Batch
from mercli.fusion import judging, loop, losses, readout
from mercli.types import LabelScheme

LABELS = LabelScheme("labels", "many-of", ("happy", "sad", "fear"))
VAD = LabelScheme("vad", "values", ("valence", "arousal", "dominance"), 1.0, 5.0)
CLASSES = LabelScheme("two", "one-of", ("a", "b"))


def drawn(count=40, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn((count, 3), generator=draw), (torch.rand((count, 3), generator=draw) < 0.3).float()


def test_labels_are_weighted_by_the_training_targets_alone():
    _, targets = drawn()
    penalty = losses.penalty(LABELS, Loss(), targets, balanced=True)
    ones = targets.sum(0)
    torch.testing.assert_close(penalty.positive, (len(targets) - ones) / ones)
    assert losses.penalty(LABELS, Loss(), targets, balanced=False).positive is None


def test_ccc_of_logits_is_that_of_the_values_they_stand_for():
    logits = (0.3 * drawn()[0]).clamp(-1, 1)
    targets = 3 + drawn(seed=1)[0].clamp(-2, 2)
    values = readout.scaled(logits, VAD)
    torch.testing.assert_close(
        losses.penalty(VAD, Loss(), targets, balanced=True)(logits, targets), losses.concordance(values, targets)
    )
    found = judging.figures(logits, targets, VAD)
    assert found["ccc"] == pytest.approx(1 - float(losses.concordance(values.double(), targets.double())), abs=1e-6)
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(targets, values), abs=1e-6)
    pearson = [stats.pearsonr(values[:, k], targets[:, k]).statistic for k in range(3)]
    assert found["pearson"] == pytest.approx(np.mean(pearson), abs=1e-6)


def test_values_that_never_vary_have_no_correlation_and_stay_finite():
    found = judging.figures(torch.zeros(5, 3), torch.full((5, 3), 3.0), VAD)
    assert found == {"ccc": 0.0, "pearson": 0.0, "mae": 0.0}


def test_dev_figures_of_labels_are_scikit_learns():
    logits, targets = drawn()
    found, said = judging.figures(logits, targets, LABELS), (logits >= 0).int()
    each = list(zip(targets.int().T.numpy(), said.T.numpy(), strict=True))
    recalls = [metrics.balanced_accuracy_score(*pair) for pair in each]
    assert found["weighted_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["f1"] == pytest.approx(np.mean([metrics.f1_score(*pair) for pair in each]))
    weighted = [metrics.f1_score(*pair, average="weighted") for pair in each]
    assert found["weighted_f1"] == pytest.approx(np.mean(weighted))


def test_the_dev_loss_is_that_of_the_objective_in_force():
    logits, targets = drawn()
    dev = Batch(("audio",), {}, {}, torch.ones((40, 1), dtype=torch.bool), targets)
    penalty = losses.penalty(LABELS, Loss(), targets, balanced=True)
    with losses.using(penalty):
        assert loop.judge(logits, dev, 40, LABELS)["loss"] == pytest.approx(float(penalty(logits, targets)))


def test_each_label_gets_the_temperature_that_its_dev_targets_ask_for():
    draw = np.random.default_rng(0)
    true = draw.normal(size=(20_000, 3))
    there = draw.random(true.shape) < 1 / (1 + np.exp(-true))
    found = readout.temperature(true * [0.5, 1.0, 4.0], there.astype(np.float32), LABELS)
    np.testing.assert_allclose(found, [0.5, 1.0, 4.0], rtol=0.06)


def test_weighting_is_taken_into_account_where_labels_are_calibrated():
    draw = np.random.default_rng(1)
    odds = draw.normal(size=(20_000, 3)) - 2  # rare labels
    there = draw.random(odds.shape) < 1 / (1 + np.exp(-odds))
    found = readout.temperature(3 * (odds + 2), there.astype(np.float32), LABELS, np.full(3, -2.0))
    np.testing.assert_allclose(found, 3, rtol=0.06)


def test_few_dev_targets_that_are_told_apart_by_chance_make_nobody_sure():
    logits = np.asarray([[2.0], [1.0], [-1.0], [-2.0]])
    (found,) = readout.temperature(logits, (logits > 0).astype(np.float32), LabelScheme("one", "many-of", ("a",)))
    assert found > 0.3
    assert readout.temperature(logits, np.ones((4, 1)), LabelScheme("one", "many-of", ("a",))) == (1.0,)


@pytest.mark.parametrize("scheme", [LABELS, VAD, CLASSES], ids=lambda scheme: scheme.kind)
def test_scores_lie_on_the_scale_of_the_scheme_and_say_a_label(scheme):
    logits = 30 * np.random.default_rng(0).normal(size=(50, len(scheme.names)))
    scores = readout.scores(readout.calibrated(logits, scheme, 1.0), scheme)
    low, high = (scheme.low, scheme.high) if scheme.kind == "values" else (0, 1)
    assert np.isfinite(scores).all()
    assert scores.min() >= low
    assert scores.max() <= high
    unknown = readout.scores(readout.unknown(scheme), scheme)
    np.testing.assert_allclose(unknown, {"values": 3.0, "many-of": 0.5, "one-of": 0.5}[scheme.kind])


def test_the_label_of_many_joins_the_names_that_hold():
    assert readout.label(np.asarray([0.5, 0.2, 0.9]), LABELS) == "happy+fear"
    assert readout.label(np.asarray([0.1, 0.2, 0.3]), LABELS) == "none"
    assert readout.label(np.asarray([1.0, 2.0, 3.0]), VAD) is None
    assert readout.label(np.asarray([0.4, 0.6]), CLASSES) == "b"
