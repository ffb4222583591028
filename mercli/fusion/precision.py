"""Which arithmetic a head's training pays for: a trial of its own steps decides, where the user leaves it open."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any, Literal, cast

import torch

from mercli.contracts import Batch
from mercli.engines import devices
from mercli.fusion import loop
from mercli.fusion.losses import using
from mercli.fusion.source import Source
from mercli.fusion.training import Schedule, Training

Precision = Literal["fp32", "bf16", "fp16"]
TURNS = 4
SECONDS = 1.0
"""How long a trial goes on, ``TURNS`` turns at least."""


def settled(asked: str, head: Any, data: Batch | Source, schedule: Schedule) -> Precision:
    """Return what ``asked`` comes to: ``auto`` is the device's half precision where this head's steps gain by it.

    The head and the generators of random numbers stay as they were. Raises ``ConfigError`` for fp16 on a CPU.
    """
    device = next(head.parameters()).device
    kind = cast(Precision, devices.precision(asked, device.type))
    if asked != "auto" or kind == "fp32":
        return kind
    with torch.random.fork_rng([device] if device.type == "cuda" else []), using(schedule.objective):
        full, half = _trial(head, data, schedule, device, ("fp32", kind))
    return kind if full > devices.PAYS * half else "fp32"


def _trial(
    head: Any, data: Batch | Source, schedule: Schedule, device: torch.device, kinds: tuple[Precision, ...]
) -> list[float]:
    """Return the seconds of the fastest step in each arithmetic.

    They take turns of two steps, of which the second is timed: the first finds the other's weights in the caches.
    """
    trainings = [Training(copy.deepcopy(head).train(), replace(schedule, precision=kind)) for kind in kinds]
    taken: list[list[float]] = [[] for _ in kinds]
    index = torch.arange(min(schedule.batch, len(data.present)))
    end = time.perf_counter() + SECONDS
    while len(taken[-1]) < TURNS or time.perf_counter() < end:
        for training, times in zip(trainings, taken, strict=True):
            loop.step(training, data, [index])
            start = _now(device)
            loop.step(training, data, [index])
            times.append(_now(device) - start)
    return [min(times) for times in taken]


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
