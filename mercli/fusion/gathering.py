"""A batch that lies on several processes: what contrasts its segments sees all of them, with gradient to each.

Every process gathers the segments of all and computes the same loss of them. The gradients that come back to a
process are then the sum over the processes, of which ``DistributedDataParallel`` takes the mean over parameters: that
of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F

Stream = tuple[torch.Tensor, torch.Tensor]  # values (B, T, D), real (B, T)


def processes() -> int:
    """Return on how many processes a batch lies: 1 where nothing was spread."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if processes() > 1 else 0


def longest(sizes: Sequence[int], device: torch.device) -> list[int]:
    """Return the largest of each of some sizes over all processes."""
    found = torch.tensor(sizes, device=device)
    dist.all_reduce(found, dist.ReduceOp.MAX, _group())
    return [int(size) for size in found]


def stream(rows: Stream, count: int, length: int) -> Stream:
    """Return the streams (P * count, length, D) of all processes, in their order; what fills up is not real."""
    values, real = rows
    lacking = (0, length - values.shape[1], 0, count - len(values))
    values, real = F.pad(values, (0, 0, *lacking)), F.pad(real, lacking)
    return with_gradient(values), plain(real.byte()).bool()


def with_gradient(rows: torch.Tensor) -> torch.Tensor:
    """Return rows (N, ...) of all processes one after another, with gradient to each; equally many of each."""
    from torch.distributed.nn.functional import all_gather

    # each process takes part in the way back, even one whose own rows ask for no gradient
    asking = rows if rows.requires_grad else rows.detach().requires_grad_(torch.is_grad_enabled())
    return torch.cat(all_gather(asking.contiguous(), _group()))


def plain(rows: torch.Tensor) -> torch.Tensor:
    """Return rows (N, ...) of all processes one after another, without gradient; equally many of each."""
    every = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes())]
    dist.all_gather(every, rows.contiguous(), _group())
    return torch.cat(every)


def drawn(choice: torch.Tensor) -> torch.Tensor:
    """Return what the first process drew."""
    if processes() > 1:
        dist.broadcast(choice, 0, _group())
    return choice


@cache
def _group() -> Any:
    """Return a line of its own for all processes: gradients are averaged meanwhile, in no order that is told."""
    return dist.new_group()
