"""Mixed precision: weights stay fp32, what is computed in halves still learns, and a trial decides where it is open."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mercli import registry
from mercli.engines import devices
from mercli.errors import ConfigError, DataError
from mercli.fusion import loop, precision
from mercli.fusion.batch import statistics
from mercli.fusion.source import source
from mercli.fusion.training import Schedule
from mercli.labels import CANONICAL
from tests.fusion.test_source import DIMS, made

PLAN = Schedule(5, 10, 16, 2e-3, 0.0, 0.0, 3)


def trained(name, plan, device="cpu"):
    train, dev = made(60), made(20, seed=1)
    stats = statistics(train)
    torch.manual_seed(0)
    head = registry.build("heads", name, DIMS, CANONICAL).to(device)
    told = list(loop.fit(head, source(train, stats, DIMS, device), source(dev, stats, DIMS, device), plan))
    return head, told


@pytest.mark.parametrize("name", ["late", "gated", "transformer", "text-guided"])
def test_bf16_trains_like_fp32_and_leaves_fp32_weights(name):
    full, told = trained(name, PLAN)
    half, heard = trained(name, replace(PLAN, precision="bf16"))
    for epoch, other in zip(told, heard, strict=True):
        assert other.loss == pytest.approx(epoch.loss, rel=0.1)
        assert other.peak_bytes is None
    assert {weight.dtype for weight in half.parameters()} == {torch.float32}
    assert any(not torch.equal(one, other) for one, other in zip(full.parameters(), half.parameters(), strict=True))


def test_what_is_asked_for_is_taken_and_fp16_is_refused_on_a_cpu():
    head = registry.build("heads", "late", DIMS, CANONICAL)
    data = source(made(), statistics(made()), DIMS)
    assert precision.settled("fp32", head, data, PLAN) == "fp32"
    assert precision.settled("bf16", head, data, PLAN) == "bf16"
    with pytest.raises(ConfigError, match="'fp16' was asked for on a CPU"):
        precision.settled("fp16", head, data, PLAN)


@pytest.mark.parametrize(("seconds", "expected"), [({"fp32": 4, "bf16": 1}, "bf16"), ({"fp32": 4, "bf16": 4}, "fp32")])
def test_auto_takes_what_the_heads_own_steps_gain_by(monkeypatch, seconds, expected):
    monkeypatch.setattr(devices, "precision", lambda asked, device: "bf16")
    monkeypatch.setattr(precision, "SECONDS", 0.0)
    head = registry.build("heads", "gated", DIMS, CANONICAL, options={"dropout": 0.5})
    data = source(made(), statistics(made()), DIMS)
    before, drawn = [weight.clone() for weight in head.parameters()], torch.get_rng_state()
    step, clock = loop.step, [0.0]

    def timed(training, *given):
        clock[0] += seconds[training.schedule.precision]
        step(training, *given)

    monkeypatch.setattr(loop, "step", timed)
    monkeypatch.setattr(precision, "_now", lambda device: clock[0])
    assert precision.settled("auto", head, data, PLAN) == expected
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(one, other) for one, other in zip(before, head.parameters(), strict=True))
    assert all(weight.grad is None for weight in head.parameters())


def test_a_cpu_without_the_arithmetic_is_not_tried(monkeypatch):
    monkeypatch.setattr(devices, "precision", lambda asked, device: "fp32")
    monkeypatch.setattr(loop, "step", None)
    head = registry.build("heads", "late", DIMS, CANONICAL)
    assert precision.settled("auto", head, source(made(), statistics(made()), DIMS), PLAN) == "fp32"


def test_a_loss_that_is_not_finite_names_its_batchs_segments():
    train = made(40)
    stats = statistics(train)
    data = source(train, stats, DIMS)
    data.resident.values["audio"][7] = float("inf")
    plan = replace(PLAN, sampler="in-order", batch=4, modality_dropout=0.0)
    head = registry.build("heads", "late", DIMS, CANONICAL)
    with pytest.raises(DataError, match=r"loss is nan in epoch 1, batch 2 \(4, 5, 6, 7\), expected a finite number"):
        list(loop.fit(head, data, data, plan))
    with pytest.raises(DataError, match=r"batch 1 \(0, 1, 2, 3, 4, 5, 6, 7 and 12 more\)"):
        list(loop.fit(registry.build("heads", "late", DIMS, CANONICAL), data, data, replace(plan, batch=20)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains_in_every_precision_and_tells_its_peak(kind):
    head, told = trained("gated", replace(PLAN, precision=kind, epochs=20), "cuda:0")
    assert told[-1].loss < 0.95 * told[0].loss
    assert all(epoch.peak_bytes > 0 for epoch in told)
    assert {weight.dtype for weight in head.parameters()} == {torch.float32}
