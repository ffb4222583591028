"""A plugin for benchmarks: encoders of any width for features that were written to the store, never encoded."""

from __future__ import annotations

from collections.abc import Sequence

from mercli.contracts import Encoder
from mercli.registry import plugin
from mercli.types import Feature, Modality, Streams, StreamSettings


class Given:
    """Stands for whatever made the features."""

    settings = StreamSettings()
    weights = "none"
    trained_on = ()

    def __init__(self, modality: Modality, dim: int) -> None:
        self.modality = modality
        self.dim = dim

    def to(self, device: str) -> None:
        """Stay where it is: there is no network."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Refuse: the features are there, or the benchmark is wrong."""
        raise RuntimeError(f"the {self.modality} features of {len(batch)} segments were not written")


@plugin("encoders", "given-audio", modality="audio")
def audio(*, dim: int) -> Encoder:
    """Audio features of this width."""
    return Given("audio", dim)


@plugin("encoders", "given-face", modality="face")
def face(*, dim: int) -> Encoder:
    """Face features of this width."""
    return Given("face", dim)


@plugin("encoders", "given-text", modality="text")
def text(*, dim: int) -> Encoder:
    """Text features of this width."""
    return Given("text", dim)
