"""Features resident in memory as tensors, and batches cut from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from mercli.contracts import Batch
from mercli.errors import DataError
from mercli.types import FeatureBundle

if TYPE_CHECKING:
    from mercli.types import FloatArray


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
            [self.corpora[i] for i in index],
            None if self.log_prior is None else self.log_prior[index],
        )


def statistics(examples: Examples) -> Statistics:
    """Return mean and deviation over all valid rows per modality; a constant dimension gets deviation 1."""
    mean, std = {}, {}
    for modality in examples.modalities:
        rows = [f.values[f.valid] for b in examples.bundles if (f := b.features.get(modality)) is not None]
        if not rows:
            raise DataError(f"no training segment has the modality '{modality}'", "mer extract --modalities ...")
        values = np.concatenate(rows).astype(np.float64)
        mean[modality] = values.mean(0).astype(np.float32)
        deviation = values.std(0)
        std[modality] = np.where(deviation > 1e-6, deviation, 1).astype(np.float32)
    return Statistics(mean, std)


def collate(examples: Examples, stats: Statistics, dims: Mapping[str, int], device: str = "cpu") -> Batch:
    """Return the padded, standardised batch of all examples; padding and absent modalities are zeros behind masks."""
    values, valid, present = {}, {}, []
    for modality in examples.modalities:
        features = [bundle.features.get(modality) for bundle in examples.bundles]
        longest = max((len(f.values) for f in features if f is not None), default=1)
        padded = np.zeros((len(features), max(longest, 1), dims[modality]), np.float32)
        mask = np.zeros(padded.shape[:2], np.bool_)
        for row, feature in enumerate(features):
            if feature is not None:
                count = len(feature.values)
                padded[row, :count] = (feature.values - stats.mean[modality]) / stats.std[modality]
                mask[row, :count] = feature.valid
        padded[~mask] = 0
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
