"""The learning rates of SMIL and Foal-Net, and Foal-Net's UA and WA (seeds.md 1.4, 3.4, 3.5)."""

from __future__ import annotations

import math
import re

import pytest
import torch

from mercli.config_fit import RateSchedule
from mercli.fusion.optimisers import Pace
from mercli.results import seed_metrics

pytestmark = pytest.mark.parity


def follows(reference, name, pace, steps):
    """Compare within the file's tolerance, and far below the rates themselves."""
    rows = reference.tensors[name]
    found = torch.tensor([[e, s, pace.rate(int(e), int(s), steps)] for e, s, _ in rows.tolist()], dtype=torch.float64)
    reference.agrees(found, name)
    torch.testing.assert_close(found[:, 2], rows[:, 2], rtol=1e-6, atol=0)


def test_warm_restarts_move_within_the_epoch_as_smils_do(parity):
    reference = parity("smil_cosine")
    told = reference.facts["constructor"]
    plan = RateSchedule(name="restarts", first=told["T_0"], factor=told["T_mult"])
    follows(reference, "out.epoch_iter_lr", Pace(plan, told["lr"], 10**6), told["iters_per_epoch"])


@pytest.fixture
def constants(parity):
    """The constants of Foal-Net's schedulers, which its file tells in words."""
    notes = parity("foalnet_sched_metrics").facts["notes"]
    number = r"([0-9.]+(?:e-?[0-9]+)?)"
    cosine = re.search(rf"max_epoch {number}, lr {number}\.\.{number}, start {number}, warmup_steps {number}", notes)
    step = re.search(rf"decay {number} per epoch, warmup {number}", notes)
    constant = re.search(rf"constant warmup {number}", notes)
    return [[float(value) for value in found.groups()] for found in (cosine, step, constant)]


def test_foalnets_schedules_warm_up_in_the_first_epoch_only(parity, constants):
    reference = parity("foalnet_sched_metrics")
    (epochs, lr, floor, start, warmup), (decay, short), (constant,) = constants
    steps = int(reference.tensors["out.warmup_cosine"][:, 1].max()) + 1
    shared = {"start": start, "floor": floor}
    plans = {
        "warmup_cosine": RateSchedule(name="cosine", warmup=int(warmup), **shared),
        "warmup_step": RateSchedule(name="step", warmup=int(short), every=1, gamma=decay, **shared),
        "constant": RateSchedule(name="constant", warmup=int(constant), **shared),
    }
    for name, plan in plans.items():
        follows(reference, f"out.{name}", Pace(plan, lr, int(epochs), first_epoch_only=True), steps)


def test_ua_and_wa_are_foalnets_nan_included(parity):
    reference = parity("foalnet_sched_metrics")
    given = reference.part("in")
    found = seed_metrics.VARIANTS["foalnet"](given["y"].numpy(), given["p"].numpy())
    reference.agrees(torch.tensor(found["wa"]), "out.wa")
    missing = seed_metrics.VARIANTS["foalnet"](given["y_missing3"].numpy(), given["p"].numpy())
    for figure, name in ((found["ua"], "out.ua"), (missing["ua"], "out.ua_missing_class")):
        if reference.tensors[name].isnan():
            assert math.isnan(figure)
        else:
            reference.agrees(torch.tensor(figure), name)
