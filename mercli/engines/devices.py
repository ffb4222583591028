"""Devices by name."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial

from mercli.errors import ConfigError, DeviceError

PAYS = 1.2
"""How much faster bf16 must be for it to be taken."""
_worker = 0
"""Which of its machine's worker processes this one is."""
_threads: int | None = None
"""How many threads a large network may have in this worker process."""


def be_worker(number: int, threads: int = 1) -> None:
    """Say which of its machine's workers this process is, and how many threads its large networks may have.

    CUDA devices are dealt out by the number.
    """
    global _worker, _threads
    _worker, _threads = number, threads


def cuda_devices() -> int:
    """Return how many CUDA devices this process sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def workers(device: str, count: Callable[[], int] = cuda_devices) -> int:
    """Return how many worker processes suit a device: one per GPU that ``device`` allows, else one per core."""
    gpus = 0 if device == "cpu" else 1 if ":" in device else count()
    return gpus or cores()


def cores() -> int:
    """Return how many cores this process may use, where the system tells it; else how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(jobs: int) -> int:
    """Return how many threads each of so many processes may have: those of ``OMP_NUM_THREADS``, else of its cores."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdecimal() and int(told) else max(1, cores() // jobs)


def enough(jobs: int) -> int:
    """Return a number of jobs; raises ``ConfigError`` for fewer than one."""
    if jobs < 1:
        raise ConfigError(f"jobs is {jobs}, expected 1 or more worker processes", "--jobs 1")
    return jobs


def one_thread(device: str) -> None:
    """Keep torch to one thread on the CPU: small networks lose more by handing work over than they gain.

    Cores are used by worker processes (``--jobs``), one clip each, and by large networks (``many_threads``).
    """
    if device == "cpu":
        import torch

        torch.set_num_threads(1)


@contextmanager
def many_threads(device: str) -> Iterator[None]:
    """Give a large network on the CPU all the threads that this process may have, while inside.

    Sums of many numbers depend on how many threads share them: features may differ in their last digits.
    """
    if device != "cpu":
        yield
        return
    import torch

    held = torch.get_num_threads()
    torch.set_num_threads(_threads or share(1))
    try:
        yield
    finally:
        torch.set_num_threads(held)


def resolve(name: str, count: Callable[[], int] = cuda_devices) -> str:
    """Return ``cpu`` or ``cuda:i`` for ``auto|cpu|cuda[:i]``; where no i is asked for, each worker has its own.

    Raises ``DeviceError`` when CUDA is asked for and absent, ``ConfigError`` for another name.
    """
    kind, _, index = name.partition(":")
    if name == "cpu":
        return "cpu"
    if kind not in ("auto", "cuda") or (index and not index.isdigit()) or (kind == "auto" and index):
        raise ConfigError(f"device '{name}' is unknown, expected auto, cpu, cuda or cuda:i")
    here = count()
    if kind == "auto" and not here:
        return "cpu"
    if int(index or 0) >= here:
        raise DeviceError(f"device '{name}' was asked for, and {here} CUDA devices are here", "--device auto")
    return f"cuda:{index or _worker % here}"


def precision(asked: str, device: str) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16`` for what is asked: ``auto`` takes half precision where it pays.

    Raises ``ConfigError`` for fp16 on a CPU, which has no arithmetic for it.
    """
    if asked == "fp16" and device == "cpu":
        raise ConfigError(
            "precision 'fp16' was asked for on a CPU, which computes in fp32 or bf16",
            "--precision auto, or --device cuda",
        )
    if asked != "auto":
        return asked
    if device == "cpu":
        return "bf16" if _bf16_pays() else "fp32"
    import torch

    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


@cache
def _bf16_pays() -> bool:
    """Tell whether this CPU computes in bf16 by itself, and both a transformer's and a ResNet's layers gain by it."""
    import torch
    import torch.nn.functional as F

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    pictures = torch.ones(8, 128, 28, 28).to(memory_format=torch.channels_last)
    layers = (
        partial(F.linear, torch.ones(256, 768), torch.ones(3072, 768)),
        partial(F.conv2d, pictures, torch.ones(128, 128, 3, 3), padding=1),
    )
    return all(gain(layer) > PAYS for layer in layers)


def gain(work: Callable[[], object]) -> float:
    """Return how much faster a CPU does some work under autocast to bf16; the thread's own time, so that load is out.

    The first of each five runs only warms up.
    """
    import torch

    taken: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(5):
        for half, times in taken.items():
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
                begun = time.thread_time()
                work()
                times.append(time.thread_time() - begun)
    fp32, bf16 = (statistics.median(times[1:]) for times in taken.values())
    return fp32 / bf16
