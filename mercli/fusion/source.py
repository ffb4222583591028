"""Where training takes its batches from: features resident as one padded batch, or as they lie on disk.

Both ways give the same bits: rows are standardised alike, and a batch is as long as the longest of its own features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.contracts import Batch
from mercli.fusion.batch import Examples, Statistics, collate, select

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
            {m: whole.values[m][:, :end][there] for m, end in ends.items()},
            {m: whole.valid[m][:, :end][there] for m, end in ends.items()},
            whole.present[there],
            self.targets[there],
            None if self.log_prior is None else self.log_prior[there],
        )


def source(
    examples: Examples, stats: Statistics, dims: Mapping[str, int], device: str = "cpu", *, resident: bool | None = None
) -> Source:
    """Return a source of batches; ``resident``: whether features are kept padded, by size where it is ``None``."""
    lengths = _lengths(examples)
    size = 4 * len(lengths) * sum(int(n) * dims[m] for n, m in zip(longest(lengths), examples.modalities, strict=True))
    keep = size <= RESIDENT if resident is None else resident
    whole = collate(examples, stats, dims, device) if keep else None
    present = torch.from_numpy(_present(examples)).to(device) if whole is None else whole.present
    prior = None if examples.log_prior is None else torch.from_numpy(examples.log_prior).to(device)
    targets = torch.from_numpy(examples.targets).to(device)
    return Source(examples, stats, dims, device, lengths, present, targets, prior, whole)


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
    if isinstance(data, Source):
        data, index = data.rows(index), torch.arange(len(index))
    device = data.present.device
    return select(data, index.to(device), None if drop is None else drop.to(device))


def parts(data: Batch | Source) -> Iterator[torch.Tensor]:
    """Yield consecutive indices of at most ``ROWS`` segments whose padded features are at most ``NUMBERS`` numbers.

    A segment that is longer by itself comes alone.
    """
    if isinstance(data, Batch):
        each = sum(values[0].numel() for values in data.values.values()) if len(data.present) else 1
        yield from torch.arange(len(data.present)).split(max(1, min(ROWS, NUMBERS // max(1, each))))
        return
    widths = np.asarray([data.dims[m] for m in data.modalities])
    first = 0
    if not len(data.lengths):
        yield torch.arange(0)
    while first < len(data.lengths):
        ahead = np.maximum.accumulate(np.maximum(data.lengths[first : first + ROWS], 1), 0)
        sizes = (ahead @ widths) * np.arange(1, len(ahead) + 1)
        count = max(1, int(np.searchsorted(sizes, NUMBERS, side="right")))
        yield torch.arange(first, first + count)
        first += count
