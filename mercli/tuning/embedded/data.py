"""What a modality gives the trainer: its examples in memory, its network, its augmented batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mercli.errors import DataError
from mercli.features.embedded.face_net import SIDE, FaceMember, standardise
from mercli.labels import CANONICAL
from mercli.tuning.embedded.augment import cut, degraded, mixed, moved, pairing
from mercli.tuning.embedded.evaluate import recalls
from mercli.tuning.embedded.recipes import FaceRecipe, Recipe

CLASSES = CANONICAL.names
FER_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@dataclass
class Batch:
    """One training batch: network inputs by name, soft targets (B, K), log-prior (K,) or (B, K) added to the logits.

    ``side`` turns the embedding (B, D) into a further loss.
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    log_prior: Tensor
    side: Callable[[Tensor], Tensor] | None = None


class Task(Protocol):
    """A modality's training: its examples are addressed by index, and all randomness comes from the generator given."""

    labels: Tensor

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        ...

    @property
    def trained_on(self) -> Sequence[dict[str, Any]]:
        """Corpus, split and, where known, speakers of the examples."""
        ...

    def network(self) -> nn.Module:
        """Return the untrained network: keyword inputs to ``(logits (B, K), embedding (B, D))``."""
        ...

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return the augmented training batch of these examples; ``progress`` runs from 0 to 1 over the training."""
        ...

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return figures on the dev part for a network in eval mode."""
        ...

    def settled(self) -> Task | None:
        """Return the training in which the network settles afterwards, ``None`` where there is none."""
        ...


class Repeated(Protocol):
    """The training of several networks, one after another, that are asked together."""

    def member(self, number: int) -> Task:
        """Return the training of the network with this number."""
        ...


def log_prior(labels: Tensor, classes: int = len(CLASSES), power: float = 0.0) -> Tensor:
    """Return the log-prior (K,) of class indices drawn with weights count ** -``power`` (0: as they are)."""
    counts = torch.bincount(labels, minlength=classes).double()
    drawn = torch.where(counts > 0, counts.clamp_min(1) ** (1 - power), torch.zeros_like(counts))
    return (drawn / drawn.sum()).clamp_min(1e-6).log().float()


@dataclass
class FaceSet:
    """Grey faces uint8 (N, 1, 48, 48) and canonical class indices (N,)."""

    faces: Tensor
    labels: Tensor


def read_fer(path: Path) -> FaceSet:
    """Read a FER2013 parquet (columns ``label`` and ``jpeg``); raises ``DataError`` where it is not one."""
    import cv2
    import numpy as np
    import pandas as pd

    if not path.is_file():
        raise DataError(f"'{path}' does not exist; a FER2013 parquet with columns label and jpeg was expected")
    table = pd.read_parquet(path)
    if not {"label", "jpeg"} <= set(table.columns):
        raise DataError(f"'{path}' has columns {', '.join(table.columns)}; label and jpeg were expected")
    pictures = [np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)) for jpeg in table["jpeg"]]
    order = torch.tensor([CLASSES.index(name) for name in FER_LABELS])
    labels = order[torch.tensor(table["label"].to_numpy(np.int64))]
    return FaceSet(torch.from_numpy(np.stack(pictures)).unsqueeze(1), labels)


@torch.inference_mode()
def face_logits(network: nn.Module, faces: Tensor, batch: int = 256) -> Tensor:
    """Return uniform-prior logits (N, 7) of uint8 faces (N, 1, 48, 48), averaged over the mirrored picture."""
    out = []
    for part in standardise(faces.float()).split(batch):
        out.append((network(faces=part)[0] + network(faces=part.flip(3))[0]) / 2)
    return torch.cat(out).float()


@dataclass
class FaceTask:
    """FER2013 train, augmented; figures on its dev part."""

    recipe: FaceRecipe
    root: Path
    trained_on: Sequence[dict[str, Any]] = ({"corpus": "fer2013", "split": "train"},)
    train: FaceSet = field(init=False)
    dev: FaceSet = field(init=False)

    def __post_init__(self) -> None:
        self.train = read_fer(self.root / "fer2013" / "train.parquet")
        self.dev = read_fer(self.root / "fer2013" / "dev.parquet")
        self.labels = self.train.labels
        self.prior = log_prior(self.labels, power=self.recipe.balance)

    def network(self) -> nn.Module:
        """Return an untrained ``FaceMember``."""
        return FaceMember(self.recipe.dropout)

    def member(self, number: int) -> FaceTask:
        """Return the training with another seed, over the same pictures in memory."""
        return self._with(replace(self.recipe, seed=self.recipe.seed + number))

    def settled(self) -> FaceTask | None:
        """Return the training on pictures of full size that are moved, not cut, mixed or degraded."""
        return self._with(self.recipe.settled()) if self.recipe.settling else None

    def _with(self, recipe: FaceRecipe) -> FaceTask:
        own = copy(self)
        own.recipe = recipe
        return own

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return faces moved, degraded, standardised, cut and (some batches) mixed."""
        recipe = self.recipe
        side = recipe.small if progress < recipe.small_until else SIDE
        faces = moved(self.train.faces[indices].float(), side, recipe, generator)
        faces = cut(standardise(degraded(faces, recipe.degrade, generator)), recipe.cutout, generator)
        targets = F.one_hot(self.labels[indices], len(CLASSES)).float()
        if recipe.mixup > 0 and torch.rand(1, generator=generator).item() < recipe.mixup_share:
            weight, order = pairing(len(faces), recipe.mixup, generator)
            faces, targets = mixed(faces, weight, order), mixed(targets, weight, order)
        return Batch({"faces": faces}, targets, self.prior)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return dev accuracy with the training prior and dev UAR with a uniform prior."""
        logits = face_logits(network, self.dev.faces)
        accuracy, _ = recalls(logits + log_prior(self.labels), self.dev.labels)
        return {"accuracy": accuracy, "uar": recalls(logits, self.dev.labels)[1]}
