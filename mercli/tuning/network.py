"""The network under tuning: it scores the pieces of a segment (windows of sound, faces), whose mean is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Generator, Tensor, nn

from mercli.config_tune import OURS
from mercli.errors import ConfigError, DataError
from mercli.types import Streams, StreamSettings


class Body(Protocol):
    """A modality's classifier: ``network``, a ``torch.nn.Module``, and what prepares its input."""

    network: Any
    classes: tuple[str, ...]
    settings: StreamSettings

    @property
    def heads(self) -> tuple[str, ...]:
        """How the names of the head's parameters begin."""
        ...

    @property
    def plugin(self) -> str:
        """The encoder that reads what ``save`` leaves."""
        ...

    @property
    def place(self) -> str:
        """The option of that encoder that names the folder."""
        ...

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[Any]:
        """Return what of a segment goes through the network, changed at random where ``draw`` is given; may be none."""
        ...

    def inputs(self, pieces: Sequence[Any]) -> Mapping[str, Tensor]:
        """Return the pieces of a batch as the network takes them."""
        ...

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K) of P pieces."""
        ...

    def save(self, folder: Path) -> None:
        """Write weights and configuration as the encoder ``plugin`` reads them."""
        ...


class Tuned(nn.Module):
    """A body whose logits (B, K) are the means over each segment's pieces."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body
        self.network = body.network

    def train(self, mode: bool = True) -> Self:
        """Switch to training or back; batch norms that are frozen keep their running statistics, too."""
        super().train(mode)
        for module in self.modules():
            own = list(module.parameters(recurse=False))
            if hasattr(module, "running_mean") and own and not any(parameter.requires_grad for parameter in own):
                module.eval()
        return self

    def forward(self, owner: Tensor, **inputs: Tensor) -> Tensor:
        """Return logits (B, K) in float32; ``owner`` (P,) says whose piece each is, every segment having some."""
        scores = self.body.logits(inputs).float()
        count = torch.bincount(owner)
        return scores.new_zeros(len(count), scores.shape[1]).index_add_(0, owner, scores) / count.unsqueeze(1)


def collated(body: Body, pieces: Sequence[Sequence[Any]]) -> dict[str, Tensor]:
    """Return a batch of segments' pieces as ``Tuned`` takes them."""
    owner = torch.repeat_interleave(torch.tensor([len(own) for own in pieces]))
    return {"owner": owner, **body.inputs([piece for own in pieces for piece in own])}


def checkpointed(network: nn.Module) -> None:
    """Have a network forget what it can compute again (gradient checkpointing); ``ConfigError`` where it cannot."""
    able = [part for part in (network, *network.children()) if getattr(part, "supports_gradient_checkpointing", False)]
    if not able:
        raise ConfigError(f"{type(network).__name__} knows no gradient checkpointing", "--set checkpointing=false")
    able[0].gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[operator]


def named(encoder: str, modality: str) -> tuple[str, str | None]:
    """Split ``smil-audio[:MODEL]``: one of our networks and what it begins with; ``""`` for a model of the hub.

    Raises ``ConfigError`` for one of another modality.
    """
    name, _, model = encoder.partition(":")
    if name not in OURS:
        return "", encoder
    if OURS[name] != modality:
        raise ConfigError(f"encoder '{name}' is not for {modality}", f"mer finetune {OURS[name]} ...")
    return name, model or None


def usable(pieces: Sequence[Any], identity: str) -> Sequence[Any]:
    """Return pieces where there are any; raises ``DataError`` for a segment that has none."""
    if not len(pieces):
        raise DataError(f"segment '{identity}' has nothing to work on (silence, no face, no words)")
    return pieces
