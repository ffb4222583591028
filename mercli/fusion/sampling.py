"""The order in which an epoch sees the training items; drawn inside the training split, never across splits.

Resampling before the split puts copies of one item on both sides of it, and every figure after that is a memory test.
"""

from __future__ import annotations

import math
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


def oversample(targets: torch.Tensor, draw: torch.Generator, most: int | None = None) -> torch.Tensor:
    """Return every item once and, drawn with replacement, as many more as bring each class to ``most`` items.

    A class that has as many is left as it is; ``None``: to the largest class's size.
    """
    goal = int(torch.bincount(targets).max()) if most is None else most
    parts = []
    for label in targets.unique():
        (own,) = torch.where(targets == label)
        more = torch.randint(len(own), (max(0, goal - len(own)),), generator=draw)
        parts += [own, own[more]]
    order = torch.cat(parts)
    return order[torch.randperm(len(order), generator=draw)]


def equally(groups: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return about N items, as many of each group (corpus): some of a large one, a small one several times over.

    No item comes a time more before every other of its group has come as often.
    """
    names = groups.unique()
    quota = math.ceil(len(groups) / len(names))
    parts = []
    for name in names:
        (own,) = torch.where(groups == name)
        rounds = [own[torch.randperm(len(own), generator=draw)] for _ in range(math.ceil(quota / len(own)))]
        parts.append(torch.cat(rounds)[:quota])
    order = torch.cat(parts)
    return order[torch.randperm(len(order), generator=draw)]


ORDERS: dict[str, Order] = {
    "shuffled": shuffled,
    "balanced": balanced,
    "by-corpus": equally,
    "oversample": oversample,
    "in-order": in_order,
}


def drawn(name: str, groups: torch.Tensor, draw: torch.Generator, most: int | None = None) -> torch.Tensor:
    """Return the items of an epoch by the sampler of this name; ``groups`` (N,): their classes, or their corpora."""
    return oversample(groups, draw, most) if name == "oversample" else ORDERS[name](groups, draw)


def ease(losses: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the place of each item among those of its class by loss (N,), float64: 0 the easiest, below 1 the hardest.

    By class, because the easiest of all would be those of the frequent classes.
    """
    found = torch.empty(len(losses), dtype=torch.float64)
    for label in targets.unique():
        (own,) = torch.where(targets == label)
        found[own[losses[own].argsort(stable=True)]] = torch.arange(len(own), dtype=torch.float64) / len(own)
    return found
