"""Devices by name."""

from __future__ import annotations

from functools import cache

from mercli.errors import ConfigError, DeviceError

PAYS = 1.2
"""How much faster bf16 must be for it to be taken."""


def one_thread(device: str) -> None:
    """Keep torch to one thread on the CPU: small networks lose more by handing work over than they gain.

    Cores are used by worker processes (``--jobs``), one clip each.
    """
    if device == "cpu":
        import torch

        torch.set_num_threads(1)


def resolve(name: str) -> str:
    """Return ``cpu`` or ``cuda:i`` for ``auto|cpu|cuda[:i]``.

    Raises ``DeviceError`` when CUDA is asked for and absent, ``ConfigError`` for another name.
    """
    kind, _, index = name.partition(":")
    if name == "cpu":
        return "cpu"
    if kind not in ("auto", "cuda") or (index and not index.isdigit()) or (kind == "auto" and index):
        raise ConfigError(f"device '{name}' is unknown, expected auto, cpu, cuda or cuda:i")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "auto":
        return "cuda:0" if count else "cpu"
    if int(index or 0) >= count:
        raise DeviceError(f"device '{name}' was asked for, and {count} CUDA devices are here", "--device auto")
    return f"cuda:{index or 0}"


def precision(asked: str, device: str) -> str:
    """Return ``fp32``, ``bf16`` or ``fp16`` for what is asked: ``auto`` takes half precision where it pays.

    Raises ``ConfigError`` for fp16 on a CPU, which has no arithmetic for it.
    """
    if asked == "fp16" and device == "cpu":
        raise ConfigError("precision 'fp16' was asked for on a CPU, which computes in fp32 or bf16", "--precision auto")
    if asked != "auto":
        return asked
    if device == "cpu":
        return "bf16" if _bf16_pays() else "fp32"
    import torch

    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


@cache
def _bf16_pays() -> bool:
    """Tell whether this CPU multiplies bf16 natively, and a product of a transformer's size is faster for it."""
    import statistics
    import time

    import torch

    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    taken: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    pairs = {kind: (torch.ones(256, 768, dtype=kind), torch.ones(768, 3072, dtype=kind)) for kind in taken}
    for _ in range(6):
        for kind, (left, right) in pairs.items():
            start = time.perf_counter()
            left @ right
            taken[kind].append(time.perf_counter() - start)
    fp32, bf16 = (statistics.median(times[1:]) for times in taken.values())
    return fp32 > PAYS * bf16
