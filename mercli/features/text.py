"""``hashed-ngrams``: words and characters as signed hashed counts; no trained weights."""

from __future__ import annotations

from collections.abc import Sequence

from mercli.contracts import Encoder, TrainedOn
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

BUCKETS = 512


@plugin("encoders", "hashed-ngrams", modality="text", dim=BUCKETS, trained_on=())
def hashed_ngrams(*, buckets: int = BUCKETS) -> Encoder:
    """Words 1-2 and characters 3-5 of the transcript, hashed into signed buckets, in any language."""
    return HashedNgrams(buckets)


class HashedNgrams:
    """Signed hashed n-gram counts (Weinberger et al. 2009), log-scaled, unit length."""

    modality = "text"
    weights = "none"
    settings = StreamSettings()
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, buckets: int) -> None:
        self.dim = buckets

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return features (1, D), one row for the whole text; not valid for a text without any token."""
        return [self._one(streams.transcript.text if streams.transcript else "") for streams in batch]

    def _one(self, text: str) -> Feature:
        import numpy as np

        from mercli.features.hashing import Orders, keys, signs

        found = keys(text, Orders())
        counts = np.zeros(self.dim, np.float32)
        np.add.at(counts, (found % np.uint64(self.dim)).astype(np.int64), signs(found))
        values = np.sign(counts) * np.log1p(np.abs(counts))
        norm = float(np.linalg.norm(values))
        if norm > 0:
            values = values / norm
        return Feature(
            values[None].astype(np.float32), np.zeros((1, 2), np.float32), np.asarray([len(found) > 0], np.bool_)
        )
