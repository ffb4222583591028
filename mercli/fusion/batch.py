"""Features of segments as padded tensors, and batches cut from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.fusion.reduction import components
from mercli.types import Feature, FeatureBundle

if TYPE_CHECKING:
    from mercli.types import BoolArray, FloatArray

PIECE = 4 << 20
"""Bytes of features that are looked at together."""
BLOCK = 1024
"""Segments that are standardised together."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and standard deviation (D,) per modality, of the training part only.

    ``axes`` {m: (D, C)}: the principal components that features of a modality are reduced to first, where it is.
    """

    mean: Mapping[str, FloatArray]
    std: Mapping[str, FloatArray]
    axes: Mapping[str, FloatArray] = field(default_factory=dict)

    def widths(self, dims: Mapping[str, int]) -> dict[str, int]:
        """Return how many numbers a head gets of features of these widths."""
        return {m: self.axes[m].shape[1] if m in self.axes else dim for m, dim in dims.items()}

    @classmethod
    def unchanging(cls, dims: Mapping[str, int]) -> Statistics:
        """Return statistics that leave features of these widths as they are."""
        zeros = {m: np.zeros(dim, np.float32) for m, dim in dims.items()}
        return cls(zeros, {m: np.ones(dim, np.float32) for m, dim in dims.items()})


@dataclass(eq=False)
class Examples:
    """N segments with their features; ``targets`` (N,) class indices, -1 unknown; ``corpora`` names their origin.

    ``talk`` int64 (N, 3): their dialogues, turns and speakers, where a head asks for them; ``soft`` (N, K): a teacher's
    logits, NaN where it has none.
    """

    bundles: Sequence[FeatureBundle]
    modalities: tuple[str, ...]
    targets: np.ndarray
    corpora: Sequence[str] = field(default_factory=list)
    log_prior: FloatArray | None = None
    talk: NDArray[np.int64] | None = None
    soft: FloatArray | None = None

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
            None if self.talk is None else self.talk[index],
            None if self.soft is None else self.soft[index],
        )


def statistics(examples: Examples, reduce: Mapping[Any, int] = MappingProxyType({})) -> Statistics:
    """Return mean and deviation over all valid rows per modality; a constant dimension gets deviation 1.

    ``reduce`` {m: C}: to how many principal components a modality is reduced. Features are read in pieces, twice: what
    is mapped from disk is never held as a whole. Raises ``DataError`` for a modality without a row, or with too few.
    """
    mean, std, axes = {}, {}, {}
    for modality in examples.modalities:
        count = sum(int(f.valid.sum()) for f in _features(examples, modality))
        if not count:
            held = [m for m in examples.modalities if any(f.valid.any() for f in _features(examples, m))]
            raise DataError(f"no training segment has the modality '{modality}'", f"--modalities {' '.join(held)}")
        middle = _total(_pieces(examples, modality)) / count
        if modality in reduce:
            _check_rank(modality, reduce[modality], count, len(middle))
            found, deviation = components(_pieces(examples, modality), middle, reduce[modality])
            axes[modality], middle = found.astype(np.float32), middle @ found
        else:
            deviation = np.sqrt(_total((piece - middle) ** 2 for piece in _pieces(examples, modality)) / count)
        mean[modality] = middle.astype(np.float32)
        std[modality] = np.where(deviation > 1e-6, deviation, 1).astype(np.float32)
    return Statistics(mean, std, axes)


def _check_rank(modality: str, wanted: int, rows: int, width: int) -> None:
    if wanted > min(rows, width):
        raise DataError(
            f"{rows} training rows of {width} {modality} numbers have no {wanted} principal components",
            f"--set reduce.{modality}={min(rows, width)}",
        )


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
    widths = stats.widths(dims)
    for modality in examples.modalities:
        features = [bundle.features.get(modality) for bundle in examples.bundles]
        padded, mask = _padded(features, widths[modality], stats, modality)
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
        None if examples.talk is None else torch.from_numpy(examples.talk).to(device),
        None if examples.soft is None else torch.from_numpy(examples.soft).to(device),
    )


def _padded(
    features: Sequence[Feature | None], dim: int, stats: Statistics, modality: str
) -> tuple[FloatArray, BoolArray]:
    """Return the reduced and standardised values (N, T, dim) of one modality, zero where the mask (N, T) is false."""
    lengths = np.asarray([0 if f is None else len(f.values) for f in features])
    padded = np.zeros((len(features), max(1, int(lengths.max(initial=1))), dim), np.float32)
    mask = np.zeros(padded.shape[:2], np.bool_)
    for first in range(0, len(features), BLOCK):
        block = slice(first, first + BLOCK)
        here = [f for f in features[block] if f is not None]
        if here:
            there = np.arange(padded.shape[1]) < lengths[block, None]
            mask[block][there] = np.concatenate([f.valid for f in here])
            rows = np.concatenate([f.values[f.valid] for f in here])
            reduced = rows @ stats.axes[modality] if modality in stats.axes else rows
            padded[block][mask[block]] = (reduced - stats.mean[modality]) / stats.std[modality]
    return padded, mask


def select(batch: Batch, index: torch.Tensor, drop: torch.Tensor | None = None) -> Batch:
    """Return the rows ``index`` of a resident batch, with modalities dropped where ``drop`` (b, M) says so."""
    present = batch.present[index]
    rows = Batch(
        batch.modalities,
        {m: values[index] for m, values in batch.values.items()},
        {m: valid[index] for m, valid in batch.valid.items()},
        present,
        None if batch.targets is None else batch.targets[index],
        None if batch.log_prior is None else batch.log_prior[index],
        None if batch.talk is None else batch.talk[index],
        None if batch.soft is None else batch.soft[index],
    )
    return hidden(rows, torch.zeros_like(present) if drop is None else drop)


def hidden(batch: Batch, drop: torch.Tensor) -> Batch:
    """Return the batch with modalities dropped where ``drop`` (B, M) says so.

    A segment keeps at least one modality: where every present one would be dropped, none is.
    """
    kept = batch.present & ~drop
    present = torch.where(kept.any(1, keepdim=True), kept, batch.present)
    valid = {m: batch.valid[m] & present[:, i, None] for i, m in enumerate(batch.modalities)}
    values = {m: batch.values[m] * valid[m].unsqueeze(-1) for m in batch.modalities}
    return replace(batch, values=values, valid=valid, present=present)


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
