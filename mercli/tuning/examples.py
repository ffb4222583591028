"""What a network is tuned on: labelled segments, read when their batch comes, in batches of like size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mercli.types import Streams

STRETCH = 32
"""Batches whose examples are sorted by size together: enough to find like ones, few enough to stay random."""
Place = tuple[int, int]
"""Epoch and index of an example: what every random choice about it is drawn from."""


@dataclass(frozen=True, eq=False)
class Example:
    """A labelled segment: its class index, what it is not independent of, and how its streams are read.

    ``size``: seconds of the segment, which batches are formed by. ``read`` raises ``DataError`` for torn streams.
    ``soft`` (K,): the logits of a teacher, where it has an answer.
    """

    id: str
    corpus: str
    label: int
    cluster: str
    size: float
    read: Callable[[], Streams]
    soft: Sequence[float] | None = None


class Batches:
    """The batches of one process, as lists of ``Place``; examples of like size stand together.

    An epoch is a permutation, or drawn with replacement where classes are ``balanced``. What all processes take at one
    time is one stretch of that order, so ``world`` processes with ``batch`` examples see what one with ``world *
    batch`` sees. A step has ``accumulate`` batches, so an epoch has as many steps if these are halved and doubled. Too
    few for a step are taken again; what is left over at the end of an epoch waits for the next.
    """

    def __init__(
        self,
        sizes: Sequence[float],
        labels: Tensor,
        batch: int,
        seed: int,
        balanced: bool,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
    ) -> None:
        self.sizes, self.labels = torch.tensor(sizes, dtype=torch.float64), labels
        self.batch, self.seed, self.balanced, self.rank, self.world = batch, seed, balanced, rank, world
        self.accumulate = accumulate
        self.epoch = 0

    @property
    def whole(self) -> int:
        """How many examples all processes take at a time."""
        return self.batch * self.world

    def __len__(self) -> int:
        return self.accumulate * max(1, len(self.sizes) // (self.whole * self.accumulate))

    def __iter__(self) -> Iterator[list[Place]]:
        generator = Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = self._order(generator)
        steps = torch.cat([part[self.sizes[part].argsort(stable=True)] for part in order.split(STRETCH * self.whole)])
        rows = steps.view(-1, self.whole)
        for row in rows[torch.randperm(len(rows), generator=generator)].tolist():
            mine = row[self.rank * self.batch : (self.rank + 1) * self.batch]
            yield [(self.epoch, index) for index in mine]

    def _order(self, generator: Generator) -> Tensor:
        count, wanted = len(self.sizes), len(self) * self.whole
        if self.balanced:
            weights = torch.bincount(self.labels).double()[self.labels].reciprocal()
            return torch.multinomial(weights, wanted, True, generator=generator)
        shuffled = torch.randperm(count, generator=generator)
        return shuffled.repeat(-(-wanted // count))[:wanted]


def draw(seed: int, place: Place) -> Generator:
    """Return the generator of all random changes to one example in one epoch, whatever process sees it."""
    epoch, index = place
    return Generator().manual_seed((seed * 1_000_003 + epoch) * 10_000_019 + index)
