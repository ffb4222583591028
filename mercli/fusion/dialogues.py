"""Whole dialogues, for heads that read a segment with what is said around it: one unit of training and prediction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.types import Segment

DRAWN = ("shuffled", "in-order")
"""The samplers that see each segment once, so that dialogues can stay whole."""


def asks(head: Any) -> bool:
    """Tell whether a head asks for dialogues."""
    return bool(getattr(head, "needs_dialogue", False))


def talk(segments: Iterable[tuple[str, Segment]]) -> NDArray[np.int64]:
    """Return int64 (N, 3) of segments with their corpora: dialogue, turn in it, speaker (-1 where not known).

    A segment without a dialogue belongs to that of its clip. Turns are ranks: by the corpus's own turns where the whole
    dialogue has them, else by start, equal for what begins at once.
    """
    every = list(segments)
    spoken: dict[tuple[str, ...], list[int]] = {}
    speakers: dict[tuple[str, str], int] = {}
    table = np.full((len(every), 3), -1, np.int64)
    for row, (corpus, segment) in enumerate(every):
        place = (corpus, segment.dialogue) if segment.dialogue else (corpus, "", segment.clip_id)
        spoken.setdefault(place, []).append(row)
        if segment.speaker:
            table[row, 2] = speakers.setdefault((corpus, segment.speaker), len(speakers))
    for number, rows in enumerate(spoken.values()):
        turns = [every[row][1].turn for row in rows]
        when = [every[row][1].start for row in rows] if None in turns else turns
        table[rows, 0] = number
        table[rows, 1] = np.unique(np.asarray(when, np.float64), return_inverse=True)[1]
    return table


def windows(count: int) -> NDArray[np.int64]:
    """Return int64 (N, 3) of the consecutive windows of one clip: one dialogue, whose speakers are not known."""
    return np.stack([np.zeros(count, np.int64), np.arange(count), np.full(count, -1)], 1)


def together(order: torch.Tensor, said: torch.Tensor | None) -> torch.Tensor:
    """Return the items of an order with those of each dialogue next to each other, in their own order.

    A dialogue comes where its first item came, so that long ones come no earlier than short ones.
    """
    if said is None:
        return order
    place = {row: number for number, row in enumerate(order.tolist())}
    held: dict[int, list[int]] = {}
    dialogue = said[:, 0].tolist()
    for row in sorted(place):
        held.setdefault(dialogue[row], []).append(row)
    units = sorted(held.values(), key=lambda rows: place[rows[0]])
    return torch.tensor([row for rows in units for row in rows], dtype=torch.long)


def split(order: torch.Tensor, said: torch.Tensor | None, size: int) -> tuple[torch.Tensor, ...]:
    """Return an order in batches of at most ``size`` items; where there are dialogues, of whole ones.

    A dialogue of more items is a batch by itself.
    """
    if said is None:
        return order.split(size)
    _, lengths = said[order, 0].unique_consecutive(return_counts=True)
    sizes = [0]
    for length in lengths.tolist():
        if sizes[-1] and sizes[-1] + length > size:
            sizes.append(0)
        sizes[-1] += length
    return order.split(sizes)
