"""Encoders that learn along with a head, as one network with the head's own loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mercli.contracts import Batch, Learner
from mercli.tuning.network import Tuned
from mercli.tuning.together import with_memory
from mercli.types import Feature, Modality, Streams

if TYPE_CHECKING:
    from mercli.types import FloatArray


@dataclass(frozen=True, eq=False)
class Given(Streams):
    """A segment: streams for encoders that learn, ``features`` of the others, the ``log_prior`` (K,) of its corpus."""

    features: Mapping[str, Feature] = field(default_factory=dict)
    log_prior: FloatArray | None = None


class JointBody:
    """Encoders that learn, by modality, and a head over their rows and over the features of the other modalities.

    ``dims`` {modality: D} are all that the head takes, in the order in which a batch has them.
    """

    heads = ("head.",)

    def __init__(
        self, learners: Mapping[Modality, Learner], head: Any, dims: Mapping[Any, int], classes: Sequence[str]
    ) -> None:
        self.learners = dict(learners)
        self.dims, self.classes = dict(dims), tuple(classes)
        encoders = nn.ModuleDict({modality: learner.learn() for modality, learner in learners.items()})
        self.network: Any = nn.ModuleDict({"encoders": encoders, "head": head})

    def pieces(self, given: Given, _: Generator | None) -> Sequence[Given]:
        """Return the segment as its one piece, none where it has no modality."""
        return (given,) if given.features or given.audio is not None or given.faces is not None else ()

    def inputs(self, pieces: Sequence[Given]) -> dict[str, Tensor]:
        """Return what goes through the encoders and past them, as ``modality.name``."""
        found: dict[str, Tensor] = {}
        for modality, dim in self.dims.items():
            if modality in self.learners:
                own = self.learners[modality].inputs(pieces)
            else:
                own = _padded([one.features.get(modality) for one in pieces], dim)
            found |= {f"{modality}.{name}": tensor for name, tensor in own.items()}
        priors = [one.log_prior for one in pieces if one.log_prior is not None]
        return found | ({"log_prior": torch.from_numpy(np.stack(priors))} if priors else {})

    def batch(self, inputs: Mapping[str, Tensor], targets: Tensor | None = None) -> Batch:
        """Return what the head sees, with gradient to the encoders."""
        values, valid = {}, {}
        for modality in self.dims:
            prefix = f"{modality}."
            own = {name.removeprefix(prefix): t for name, t in inputs.items() if name.startswith(prefix)}
            rows = self.learners[modality].rows(own) if modality in self.learners else (own["values"], own["valid"])
            values[modality], valid[modality] = rows
        present = torch.stack([mask.any(1) for mask in valid.values()], 1)
        return Batch(tuple(self.dims), values, valid, present, targets, inputs.get("log_prior"))

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.network["head"](self.batch(inputs)).logits
        return logits


def _padded(features: Sequence[Feature | None], dim: int) -> dict[str, Tensor]:
    """Return ``values`` (B, T, dim) and which are ``valid`` (B, T); zeros where they are not."""
    rows = [(np.zeros((1, dim), np.float32), np.zeros(1, bool)) if f is None else (f.values, f.valid) for f in features]
    valid = pad_sequence([torch.from_numpy(np.array(shown)) for _, shown in rows], batch_first=True)
    values = pad_sequence([torch.from_numpy(np.array(values)) for values, _ in rows], batch_first=True)
    return {"values": values * valid.unsqueeze(-1), "valid": valid}


class Joint(Tuned):
    """A body's logits; with labels the loss of a batch, all of it inside one call, as spreading over processes needs.

    ``penalty(head, batch)`` is what the run's configuration makes of the head's own loss.
    """

    body: Any

    def __init__(self, body: JointBody, penalty: Callable[[Any, Batch], Tensor]) -> None:
        super().__init__(body)  # type: ignore[arg-type]  # it is saved encoder by encoder
        self.penalty = penalty

    def forward(self, owner: Tensor, labels: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Return logits (B, K), or the scalar loss."""
        if labels is None:
            return super().forward(owner, **inputs)
        with with_memory(labels.device):
            batch = self.body.batch(inputs, labels)
        return self.penalty(self.network["head"], batch)
