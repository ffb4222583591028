"""The order in which an epoch sees the training items; drawn inside the training split, never across splits.

Resampling before the split puts copies of one item on both sides of it, and every figure after that is a memory test.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

Order = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def in_order(targets: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return the items (N,) as they come."""
    return torch.arange(len(targets))


def shuffled(targets: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return every item once (N,)."""
    return torch.randperm(len(targets), generator=draw)


def balanced(targets: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return N items drawn with replacement, each class of one-of targets (N,) as likely as the other."""
    return torch.multinomial(class_weights_per_item(targets), len(targets), replacement=True, generator=draw)


def class_weights_per_item(targets: torch.Tensor) -> torch.Tensor:
    """Return 1 / how often its class occurs for each of one-of targets (N,), float64 (N,)."""
    return 1 / torch.bincount(targets)[targets].double()


def oversample(targets: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return every item once and, drawn with replacement, as many more as bring each class to the largest's size."""
    largest = int(torch.bincount(targets).max())
    parts = []
    for label in targets.unique():
        (own,) = torch.where(targets == label)
        more = torch.randint(len(own), (largest - len(own),), generator=draw)
        parts += [own, own[more]]
    order = torch.cat(parts)
    return order[torch.randperm(len(order), generator=draw)]


ORDERS: dict[str, Order] = {
    "shuffled": shuffled,
    "balanced": balanced,
    "oversample": oversample,
    "in-order": in_order,
}
