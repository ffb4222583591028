"""The training loop, its optimisers, rates, samplers and what it watches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from mercli.config import TrainConfig, resolve
from mercli.config_fit import Optimizer, RateSchedule
from mercli.contracts import Batch, HeadOutput
from mercli.errors import ConfigError, DataError
from mercli.fusion import loop, optimisers, sampling
from mercli.fusion.losses import Objective, cross_entropy
from mercli.fusion.optimisers import Lion, Pace
from mercli.jobs.fits import planning
from mercli.results import metrics, seed_metrics
from mercli.types import LabelScheme

PAIR = LabelScheme("pair", "one-of", ("a", "b"))
PLAN = loop.Schedule(4, 10, 8, 1e-2, 0.0, 0.0, 3)


class Line(torch.nn.Module):
    """The smallest head: one linear layer over the first modality."""

    modalities = ("audio", "text")

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, batch):
        return HeadOutput(self.layer(batch.values["audio"].mean(1)))

    def loss(self, output, batch):
        return cross_entropy(output.logits, batch)


def data(count=24, seed=0, shares=(1.0, 1.0, 1.0)):
    draw = torch.Generator().manual_seed(seed)
    targets = torch.multinomial(torch.tensor(shares), count, replacement=True, generator=draw)
    values = {m: torch.randn((count, 2, 4), generator=draw) + targets[:, None, None] for m in Line.modalities}
    valid = {m: torch.ones((count, 2), dtype=torch.bool) for m in Line.modalities}
    return Batch(Line.modalities, values, valid, torch.ones((count, 2), dtype=torch.bool), targets)


def trained(plan, train=None, dev=None):
    head = Line()
    train = data() if train is None else train
    return head, list(loop.fit(head, train, train if dev is None else dev, plan))


def test_accumulated_batches_make_the_step_of_one_batch_as_large():
    whole, _ = trained(replace(PLAN, batch=8))
    for batch, accumulate in ((4, 2), (2, 4), (8, 1)):
        parts, _ = trained(replace(PLAN, batch=batch, accumulate=accumulate))
        torch.testing.assert_close(parts.layer.weight, whole.layer.weight)


def test_the_last_group_of_an_epoch_counts_its_items_though_it_is_smaller():
    train = data(10)
    whole, _ = trained(replace(PLAN, batch=6), train)  # steps of 6 and 4 items
    parts, _ = trained(replace(PLAN, batch=3, accumulate=2), train)  # batches of 3, 3, 3 and 1
    torch.testing.assert_close(parts.layer.weight, whole.layer.weight)


def test_clipping_bounds_the_step_and_zero_turns_it_off():
    moved = {}
    for clip in (0.0, 1e-3, 1e6):
        plan = replace(PLAN, epochs=1, batch=24, clip=clip, optimizer=Optimizer(name="sgd"), lr=1.0)
        moved[clip] = float((trained(plan)[0].layer.weight - Line().layer.weight).norm())
    assert moved[1e-3] <= 1.01e-3
    assert moved[0.0] == pytest.approx(moved[1e6], rel=1e-6)
    assert moved[0.0] > 0.1


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lion"])
@pytest.mark.parametrize("fused", [None, True])
def test_every_optimiser_learns_and_repeats_itself(name, fused):
    plan = replace(PLAN, epochs=8, optimizer=Optimizer(name=name, fused=fused), lr=3e-2)
    head, epochs = trained(plan)
    assert epochs[-1].loss < 0.9 * epochs[0].loss
    again, same = trained(plan)
    assert torch.equal(head.layer.weight, again.layer.weight)
    assert same == epochs


def test_the_names_give_pytorchs_optimisers_with_their_settings():
    weights = [torch.nn.Parameter(torch.ones(2))]
    sgd = optimisers.build(Optimizer(name="sgd", momentum=0.9, dampening=0.8), weights, 0.1, 0.01)
    assert type(sgd) is torch.optim.SGD
    assert (sgd.defaults["momentum"], sgd.defaults["dampening"], sgd.defaults["weight_decay"]) == (0.9, 0.8, 0.01)
    adam = optimisers.build(Optimizer(name="adam", betas=(0.5, 0.6), fused=True), weights, 0.1, 0.0)
    assert type(adam) is torch.optim.Adam
    assert adam.defaults["betas"] == (0.5, 0.6)
    assert adam.defaults["fused"] is True
    assert type(optimisers.build(Optimizer(), weights, 0.1, 0.0)) is torch.optim.AdamW


def test_lion_takes_the_steps_its_paper_writes_down():
    draw = torch.Generator().manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(5, generator=draw))
    idle = torch.nn.Parameter(torch.ones(1))
    optimiser = Lion([weight, idle], lr=0.1, betas=(0.9, 0.99), weight_decay=0.2)
    expected, mean = weight.detach().double().numpy().copy(), np.zeros(5)
    for _ in range(6):
        gradient = torch.randn(5, generator=draw)
        weight.grad = gradient
        optimiser.step()
        g = gradient.double().numpy()
        expected = expected - 0.1 * (np.sign(0.9 * mean + 0.1 * g) + 0.2 * expected)
        mean = 0.99 * mean + 0.01 * g
        np.testing.assert_allclose(weight.detach(), expected, rtol=1e-5)
    assert idle.item() == 1
    assert optimiser.step(lambda: 7.0) == 7.0


def test_a_warm_up_rises_step_by_step_across_epochs_and_then_the_schedule_holds():
    pace = Pace(RateSchedule(warmup=6, start=0.0), 1.0, 10)
    assert [pace.rate(e, s, 4) for e, s in ((0, 0), (0, 3), (1, 0), (1, 1), (1, 2), (5, 0))] == pytest.approx(
        [0, 3 / 6, 4 / 6, 5 / 6, 1, 1]
    )
    assert Pace(RateSchedule(warmup=6), 1.0, 10, first_epoch_only=True).rate(1, 0, 4) == 1


def test_steps_fall_every_so_many_epochs_or_at_milestones_and_not_below_the_floor():
    every = Pace(RateSchedule(name="step", every=2, gamma=0.1, floor=5e-3), 1.0, 9)
    assert [every.rate(e, 0, 1) for e in range(7)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.005])
    marks = Pace(RateSchedule(name="step", milestones=(2, 5), gamma=0.5), 1.0, 9)
    assert [marks.rate(e, 0, 1) for e in (1, 2, 4, 5, 8)] == [1, 0.5, 0.5, 0.25, 0.25]


def test_warm_restarts_are_pytorchs():
    weights = [torch.nn.Parameter(torch.zeros(1))]
    theirs = torch.optim.SGD(weights, lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, T_0=3, T_mult=2, eta_min=0.01)
    pace = Pace(RateSchedule(name="restarts", first=3, factor=2, floor=0.01), 0.3, 30)
    ours = torch.optim.SGD(weights, lr=0.3)
    for epoch in range(12):
        for step in range(5):
            assert pace.set(ours, epoch, step, 5) == pytest.approx(theirs.param_groups[0]["lr"], abs=1e-12)
            theirs.step()
            schedule.step(epoch + step / 5)
            assert pace.rate(epoch, step, 5) == pytest.approx(theirs.param_groups[0]["lr"], abs=1e-12)


def test_a_plateau_reduces_the_rate_when_pytorchs_does():
    scores = [0.1, 0.2, 0.2, 0.1, 0.15, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, "max", 0.5, patience=2, threshold=0)
    pace, best, rates = Pace(RateSchedule(name="plateau", gamma=0.5, patience=2), 1.0, 20), -1.0, []
    for score in scores:
        pace.note(score > best)
        best = max(best, score)
        schedule.step(score)
        rates.append(pace.rate(0, 0, 1))
        assert rates[-1] == theirs.param_groups[0]["lr"]
    assert rates[-1] == 0.125


def test_the_loop_gives_the_optimiser_the_rate_of_the_schedule():
    plan = replace(PLAN, epochs=4, rate=RateSchedule(name="step", every=2, gamma=0.1))
    assert [epoch.lr for epoch in trained(plan)[1]] == pytest.approx([1e-2, 1e-2, 1e-3, 1e-3])
    stuck = replace(PLAN, epochs=6, lr=1e-9, rate=RateSchedule(name="plateau", gamma=0.5, patience=0))
    assert [epoch.lr for epoch in trained(stuck)[1]] == pytest.approx([1e-9 * 0.5 ** max(e - 1, 0) for e in range(6)])


def test_every_monitor_is_the_figure_of_the_dev_part_and_the_best_weights_come_back():
    dev = data(40, seed=5, shares=(0.7, 0.2, 0.1))
    for monitor in ("uar", "accuracy", "weighted_f1", "macro_f1", "loss"):
        head, epochs = trained(replace(PLAN, monitor=monitor, epochs=6, lr=0.3), dev=dev)
        scores = [epoch.score for epoch in epochs]
        assert [epoch.best for epoch in epochs] == [s > max(scores[:i], default=-np.inf) for i, s in enumerate(scores)]
        found = loop.judge(loop.predict(head, dev), dev, PLAN.batch)
        assert max(scores) == pytest.approx(-found["loss"] if monitor == "loss" else found[monitor])


def test_the_dev_figures_are_those_of_the_results_and_of_scikit_learn():
    dev = data(60, seed=2, shares=(0.8, 0.2, 0.0))  # one class is predicted, never true
    logits = torch.randn((60, 3), generator=torch.Generator().manual_seed(0))
    found = loop.judge(logits, dev, 60)
    y, p = dev.targets.numpy(), logits.argmax(1).numpy()
    assert found["uar"] == pytest.approx(metrics.uar(y, p, 3))
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(y, p))
    assert found["weighted_f1"] == pytest.approx(sklearn_metrics.f1_score(y, p, average="weighted", zero_division=0))
    assert found["macro_f1"] == pytest.approx(metrics.macro_f1(y, p, 3))
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, dev.targets)))


def test_training_ends_after_patience_epochs_without_a_better_score():
    plan = replace(PLAN, epochs=50, lr=1e-9, patience=3)
    assert [epoch.number for epoch in trained(plan)[1]] == [1, 2, 3, 4]


def test_a_loss_that_is_not_finite_is_told_and_the_objective_does_not_outlive_the_loop():
    train = data()
    train.values["audio"][0] = float("nan")
    logits, targets = torch.randn(6, 3), torch.zeros(6, dtype=torch.long)
    plain = cross_entropy(logits, Batch((), {}, {}, torch.ones(6, 0), targets))
    plan = replace(PLAN, objective=Objective(2.0))
    with pytest.raises(DataError, match="loss is nan in epoch 1"):
        trained(plan, train)
    running = loop.fit(Line(), data(), data(), plan)
    next(running)  # between two epochs
    assert torch.equal(cross_entropy(logits, Batch((), {}, {}, torch.ones(6, 0), targets)), plain)


def test_the_objective_reaches_the_heads_loss():
    plain, focal = (trained(replace(PLAN, objective=o))[1][0].loss for o in (Objective(), Objective(2.0)))
    assert focal < plain


def test_samplers_draw_what_they_promise_and_only_from_the_items_given():
    targets = torch.tensor([0] * 90 + [1] * 9 + [3])
    assert sampling.in_order(targets, torch.Generator()).tolist() == list(range(100))
    assert sampling.shuffled(targets, torch.Generator().manual_seed(1)).sort().values.tolist() == list(range(100))
    many = targets.repeat(30)
    drawn = many[sampling.balanced(many, torch.Generator().manual_seed(1))].bincount()
    assert len(many) == drawn.sum()
    assert ((drawn[[0, 1, 3]] / len(many) - 1 / 3).abs() < 0.04).all()
    grown = sampling.oversample(targets, torch.Generator().manual_seed(1))
    assert targets[grown].bincount().tolist() == [90, 90, 0, 90]
    assert set(grown.tolist()) == set(range(100))
    for order in sampling.ORDERS.values():
        first, second = (order(targets, torch.Generator().manual_seed(4)) for _ in range(2))
        assert torch.equal(first, second)


def test_the_loop_trains_with_every_sampler():
    train = data(200, shares=(0.9, 0.08, 0.02))
    for sampler in sampling.ORDERS:
        _, epochs = trained(replace(PLAN, sampler=sampler, batch=32, epochs=2), train)
        assert np.isfinite(epochs[-1].loss)


def of(**flags):
    return resolve(TrainConfig, {"corpora": ("a",), **flags})


def test_priors_are_adjusted_where_nothing_else_balances_the_classes():
    targets = torch.tensor([0, 0, 1])
    assert planning.adjusts(of())
    for flags in ({"loss.class_weights": "balanced"}, {"sampler": "balanced"}, {"loss.adjust_prior": False}):
        assert not planning.adjusts(of(**flags))
    assert planning.adjusts(of(**{"loss.class_weights": "balanced", "loss.adjust_prior": True}))
    plan = planning.schedule(of(**{"loss.class_weights": "balanced", "accumulate": 2}), targets, PAIR, 5)
    assert (plan.seed, plan.accumulate, plan.clip) == (5, 2, 1.0)
    np.testing.assert_allclose(plan.objective.weight, [0.75, 1.5])


def test_the_preset_smil_is_the_seeds_recipe_and_the_default_is_not():
    seed = resolve(TrainConfig, {"corpora": ("a",)}, preset="smil")
    assert (seed.optimizer.name, seed.lr, seed.weight_decay, seed.batch, seed.epochs) == ("adam", 1e-4, 1e-2, 32, 300)
    assert (seed.patience, seed.monitor, seed.clip, seed.modality_dropout, seed.standardise) == (21, "uar", 0, 0, False)
    assert (seed.loss.class_weights, seed.loss.adjust_prior) == ("balanced", False)
    assert of().optimizer.name == "adamw"


def test_a_wrong_name_is_told_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"optimizer\.name.*'adamw', 'adam', 'sgd' or 'lion'"):
        of(**{"optimizer.name": "adan"})
    with pytest.raises(ConfigError, match=r"unknown key 'schedule\.warmupp'; did you mean 'warmup'"):
        of(**{"schedule.warmupp": 3})


def test_the_seeds_metrics_are_scikit_learns_and_ours_where_every_class_occurs():
    draw = np.random.default_rng(0)
    y, p = draw.integers(0, 4, 80), draw.integers(0, 4, 80)
    found = seed_metrics.smil(y, p)
    assert found["uar"] == pytest.approx(metrics.uar(y, p, 4))
    assert found["macro_f1"] == pytest.approx(sklearn_metrics.f1_score(y, p, average="macro"))
    assert found["weighted_f1"] == pytest.approx(sklearn_metrics.f1_score(y, p, average="weighted"))
    assert seed_metrics.foalnet(y, p)["ua"] == pytest.approx(found["uar"])
    rare = np.where(y == 3, 0, y)
    assert seed_metrics.smil(rare, p)["uar"] == pytest.approx(0.75 * metrics.uar(rare, p, 4))
    assert np.isnan(seed_metrics.foalnet(rare, p)["ua"])


def test_multi_label_figures_of_empty_rows_and_labels_are_finite():
    none = np.zeros((3, 2), np.int64)
    found = seed_metrics.smil_many_of(none, none)
    assert (found["accuracy"], found["macro_f1"]) == (1, 1)
    assert np.isfinite(found["weighted_accuracy"]).all()
    assert found["recall"].tolist() == [0, 0]
