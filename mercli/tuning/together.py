"""What processes that train together agree on: whether all of them have the memory for a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

OUT_OF_MEMORY = (torch.cuda.OutOfMemoryError, MemoryError)


class NoMemoryError(MemoryError):
    """One of the processes had no memory, and all have left the step."""


def alone() -> bool:
    """Return whether no other process trains with this one."""
    return not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1


@contextmanager
def with_memory(device: torch.device) -> Iterator[None]:
    """Run a part of a step in which none waits for another; raises ``NoMemoryError`` in all where one has too little.

    Without it the others would wait for the gradients of the one that failed.
    """
    fault: BaseException | None = None
    try:
        yield
    except OUT_OF_MEMORY as found:
        fault = found
    short = fault is not None
    if not alone():
        told = torch.tensor(float(short), device=device)
        dist.all_reduce(told)
        short = bool(told)
    if short:
        raise NoMemoryError from fault
