"""Where training takes its batches from: features resident as one padded batch, or as they lie on disk.

Both ways give the same bits: rows are standardised alike, and a batch is as long as the longest of its own features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.contracts import Batch
from mercli.fusion import dialogues
from mercli.fusion.batch import Examples, Statistics, collate, hidden, select

RESIDENT = 512 << 20
"""Bytes that padded features may take to be kept resident; larger ones would lie in memory twice, mapped and padded."""
ROWS = 1024
NUMBERS = 16_000_000
"""Segments, and numbers of padded features, that are predicted at once."""


@dataclass(eq=False)
class Source:
    """N segments to cut batches from.

    ``present`` bool (N, M), ``targets`` (N,), ``log_prior`` (N, K) as in ``Batch``, on the device; ``lengths`` int64
    (N, M): how many rows each feature has, 0 for none. ``resident``: all of them padded; ``None``: read when asked for.
    """

    examples: Examples
    stats: Statistics
    dims: Mapping[str, int]
    device: str
    lengths: NDArray[np.int64]
    present: torch.Tensor
    targets: torch.Tensor
    log_prior: torch.Tensor | None
    resident: Batch | None

    @property
    def talk(self) -> torch.Tensor | None:
        """The segments' dialogues, turns and speakers, int64 (N, 3) on the CPU, where a head asks for them."""
        return None if self.examples.talk is None else torch.from_numpy(self.examples.talk)

    @cached_property
    def corpora(self) -> torch.Tensor:
        """The number of each segment's corpus, int64 (N,) on the CPU."""
        return numbered(self.examples)

    @property
    def widths(self) -> dict[str, int]:
        """How many numbers a row of each modality has in a batch."""
        return self.stats.widths(self.dims)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities in the order of ``present``."""
        return self.examples.modalities

    def rows(self, index: torch.Tensor) -> Batch:
        """Return the segments ``index``, padded to the longest among them."""
        if self.resident is None:
            return collate(self.examples.subset(index.numpy()), self.stats, self.dims, self.device)
        ends = dict(zip(self.modalities, longest(self.lengths[index.numpy()]).tolist(), strict=True))
        there, whole = index.to(self.device), self.resident
        return Batch(
            whole.modalities,
            {m: whole.values[m][:, :end].index_select(0, there) for m, end in ends.items()},
            {m: whole.valid[m][:, :end].index_select(0, there) for m, end in ends.items()},
            whole.present[there],
            self.targets[there],
            None if self.log_prior is None else self.log_prior[there],
            None if whole.talk is None else whole.talk[there],
            None if whole.soft is None else whole.soft[there],
        )


def source(
    examples: Examples, stats: Statistics, dims: Mapping[str, int], device: str = "cpu", *, resident: bool | None = None
) -> Source:
    """Return a source of batches; ``resident``: whether features are kept padded, by size where it is ``None``."""
    lengths = _lengths(examples)
    widths = stats.widths(dims)
    size = (
        4 * len(lengths) * sum(int(n) * widths[m] for n, m in zip(longest(lengths), examples.modalities, strict=True))
    )
    keep = size <= RESIDENT if resident is None else resident
    whole = collate(examples, stats, dims, device) if keep else None
    present = torch.from_numpy(_present(examples)).to(device) if whole is None else whole.present
    prior = None if examples.log_prior is None else torch.from_numpy(examples.log_prior).to(device)
    targets = torch.from_numpy(examples.targets).to(device)
    return Source(examples, stats, dims, device, lengths, present, targets, prior, whole)


def numbered(examples: Examples) -> torch.Tensor:
    """Return the number of each segment's corpus, int64 (N,); one corpus where the examples name none."""
    return torch.from_numpy(np.unique(examples.corpora or [""] * len(examples), return_inverse=True)[1])


def longest(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how long a batch of features with these numbers of rows (N, M) is, per modality: 1 at least."""
    return lengths.max(0, initial=1)


def _lengths(examples: Examples) -> NDArray[np.int64]:
    rows = [[len(f.values) if (f := b.features.get(m)) else 0 for m in examples.modalities] for b in examples.bundles]
    return np.asarray(rows, np.int64).reshape(len(rows), len(examples.modalities))


def _present(examples: Examples) -> NDArray[np.bool_]:
    rows = [
        [(f := b.features.get(m)) is not None and bool(f.valid.any()) for m in examples.modalities]
        for b in examples.bundles
    ]
    return np.asarray(rows, np.bool_).reshape(len(rows), len(examples.modalities))


def take(data: Batch | Source, index: torch.Tensor, drop: torch.Tensor | None = None) -> Batch:
    """Return the segments ``index`` (on the CPU) of a source, or of a batch, as ``select`` does."""
    device = data.present.device
    there = None if drop is None else drop.to(device)
    if isinstance(data, Batch):
        return select(data, index.to(device), there)
    rows = data.rows(index)  # what is absent in them is zeros already
    return rows if there is None else hidden(rows, there)


def named(data: Batch | Source, index: torch.Tensor, most: int = 8) -> str:
    """Return the ids of the segments ``index`` to be read by a person (a batch has only their rows)."""
    rows = index.tolist()
    names = [data.examples.bundles[row].segment_id if isinstance(data, Source) else f"row {row}" for row in rows]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def parts(data: Batch | Source) -> Iterator[torch.Tensor]:
    """Yield consecutive indices of at most ``ROWS`` segments whose padded features are at most ``NUMBERS`` numbers.

    A segment that is longer by itself comes alone. Where dialogues are told they stay whole, and are not consecutive.
    """
    if isinstance(data, Batch) or data.talk is not None:
        order = dialogues.together(torch.arange(len(data.present)), data.talk)
        yield from dialogues.split(order, data.talk, max(1, min(ROWS, NUMBERS // max(1, _widest(data)))))
        return
    widths = np.asarray([data.widths[m] for m in data.modalities])
    first = 0
    if not len(data.lengths):
        yield torch.arange(0)
    while first < len(data.lengths):
        ahead = np.maximum.accumulate(np.maximum(data.lengths[first : first + ROWS], 1), 0)
        sizes = (ahead @ widths) * np.arange(1, len(ahead) + 1)
        count = max(1, int(np.searchsorted(sizes, NUMBERS, side="right")))
        yield torch.arange(first, first + count)
        first += count


def _widest(data: Batch | Source) -> int:
    """Return how many numbers a segment takes where it is padded to the longest of all."""
    if isinstance(data, Source):
        return sum(int(n) * data.widths[m] for n, m in zip(longest(data.lengths), data.modalities, strict=True))
    return sum(values[:1].numel() for values in data.values.values())
