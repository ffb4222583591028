"""Devices by name."""

from __future__ import annotations

from mercli.errors import ConfigError, DeviceError


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
