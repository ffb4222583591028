"""Features of segments as padded tensors, and batches cut from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.types import Feature, FeatureBundle

if TYPE_CHECKING:
    from mercli.types import BoolArray, FloatArray

PIECE = 16 << 20
"""Bytes of features that are looked at together."""
BLOCK = 1024
"""Segments that are standardised together."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and standard deviation (D,) per modality, of the training part only."""

    mean: Mapping[str, FloatArray]
    std: Mapping[str, FloatArray]


@dataclass(eq=False)
class Examples:
    """N segments with their features; ``targets`` (N,) class indices, -1 unknown; ``corpora`` names their origin."""

    bundles: Sequence[FeatureBundle]
    modalities: tuple[str, ...]
    targets: np.ndarray
    corpora: Sequence[str] = field(default_factory=list)
    log_prior: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.bundles)

    def subset(self, index: Sequence[int] | np.ndarray) -> Examples:
        """Return the examples at ``index``."""
        return Examples(
            [self.bundles[i] for i in index],
            self.modalities,
            self.targets[index],
            [self.corpora[i] for i in index] if self.corpora else [],
            None if self.log_prior is None else self.log_prior[index],
        )


def statistics(examples: Examples) -> Statistics:
    """Return mean and deviation over all valid rows per modality; a constant dimension gets deviation 1.

    Features are read in pieces, twice: what is mapped from disk is never held as a whole.
    """
    mean, std = {}, {}
    for modality in examples.modalities:
        count = sum(int(f.valid.sum()) for f in _features(examples, modality))
        if not count:
            held = [m for m in examples.modalities if any(f.valid.any() for f in _features(examples, m))]
            raise DataError(f"no training segment has the modality '{modality}'", f"--modalities {' '.join(held)}")
        middle = _total(_pieces(examples, modality)) / count
        deviation = np.sqrt(_total((piece - middle) ** 2 for piece in _pieces(examples, modality)) / count)
        mean[modality] = middle.astype(np.float32)
        std[modality] = np.where(deviation > 1e-6, deviation, 1).astype(np.float32)
    return Statistics(mean, std)


def _features(examples: Examples, modality: str) -> Iterator[Feature]:
    return (f for b in examples.bundles if (f := b.features.get(modality)) is not None)


def _pieces(examples: Examples, modality: str) -> Iterator[NDArray[np.float64]]:
    """Yield the valid rows in order, as float64, about ``PIECE`` bytes of features at a time."""
    held: list[FloatArray] = []
    size = 0
    for feature in _features(examples, modality):
        held.append(feature.values[feature.valid])
        size += held[-1].nbytes
        if size >= PIECE:
            yield np.concatenate(held).astype(np.float64)
            held, size = [], 0
    if held:
        yield np.concatenate(held).astype(np.float64)


def _total(pieces: Iterable[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the sum over rows; pieces are added row after row, so where they end changes no bit."""
    total: NDArray[np.float64] | None = None
    for piece in pieces:
        total = (piece if total is None else np.concatenate([total[None], piece])).sum(0)
    assert total is not None
    return total


def collate(examples: Examples, stats: Statistics, dims: Mapping[str, int], device: str = "cpu") -> Batch:
    """Return the padded, standardised batch of all examples; padding and absent modalities are zeros behind masks."""
    values, valid, present = {}, {}, []
    for modality in examples.modalities:
        features = [bundle.features.get(modality) for bundle in examples.bundles]
        padded, mask = _padded(features, dims[modality], stats.mean[modality], stats.std[modality])
        values[modality] = torch.from_numpy(padded).to(device)
        valid[modality] = torch.from_numpy(mask).to(device)
        present.append(mask.any(1))
    log_prior = None if examples.log_prior is None else torch.from_numpy(examples.log_prior).to(device)
    return Batch(
        examples.modalities,
        values,
        valid,
        torch.from_numpy(np.stack(present, 1)).to(device),
        torch.from_numpy(examples.targets).to(device),
        log_prior,
    )


def _padded(
    features: Sequence[Feature | None], dim: int, mean: FloatArray, std: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """Return the standardised values (N, T, dim) of one modality, zero where the mask (N, T) is false."""
    lengths = np.asarray([0 if f is None else len(f.values) for f in features])
    padded = np.zeros((len(features), max(1, int(lengths.max(initial=1))), dim), np.float32)
    mask = np.zeros(padded.shape[:2], np.bool_)
    for first in range(0, len(features), BLOCK):
        block = slice(first, first + BLOCK)
        here = [f for f in features[block] if f is not None]
        if here:
            there = np.arange(padded.shape[1]) < lengths[block, None]
            mask[block][there] = np.concatenate([f.valid for f in here])
            padded[block][mask[block]] = (np.concatenate([f.values[f.valid] for f in here]) - mean) / std
    return padded, mask


def select(batch: Batch, index: torch.Tensor, drop: torch.Tensor | None = None) -> Batch:
    """Return the rows ``index`` of a resident batch, with modalities dropped where ``drop`` (b, M) says so.

    A segment keeps at least one modality: where every present one would be dropped, none is.
    """
    present = batch.present[index]
    if drop is not None:
        kept = present & ~drop
        present = torch.where(kept.any(1, keepdim=True), kept, present)
    valid = {m: batch.valid[m][index] & present[:, i, None] for i, m in enumerate(batch.modalities)}
    values = {m: batch.values[m][index] * valid[m].unsqueeze(-1) for m in batch.modalities}
    targets = None if batch.targets is None else batch.targets[index]
    prior = None if batch.log_prior is None else batch.log_prior[index]
    return Batch(batch.modalities, values, valid, present, targets, prior)


def subset_of(batch: Batch, modalities: Sequence[str]) -> Batch:
    """Return the batch with only these modalities present."""
    keep = torch.tensor([m in modalities for m in batch.modalities], device=batch.present.device)
    every = torch.arange(len(batch.present), device=batch.present.device)
    chosen = select(batch, every)
    chosen.present = chosen.present & keep
    chosen.valid = {m: v & chosen.present[:, i, None] for i, (m, v) in enumerate(chosen.valid.items())}
    chosen.values = {m: v * chosen.valid[m].unsqueeze(-1) for m, v in chosen.values.items()}
    return chosen


def pooled(values: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the mean (B, D) over the valid rows of ``values`` (B, T, D); zeros where there is none."""
    mask = valid.unsqueeze(-1).to(values.dtype)
    return (values * mask).sum(1) / mask.sum(1).clamp(min=1)
