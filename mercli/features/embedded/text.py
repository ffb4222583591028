"""The encoder ``embedded-text``: emotion logits and an embedding for the words of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mercli.contracts import Encoder, TrainedOn
from mercli.features.embedded.weights import Weights, fill, find
from mercli.languages import code
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings, Transcript

if TYPE_CHECKING:
    from mercli.types import FloatArray

DIM = 7 + 120


@plugin(
    "encoders",
    "embedded-text",
    version="3",
    modality="text",
    dim=DIM,
    trained_on=(
        TrainedOn("meld", "train"),
        TrainedOn("goemotions", "train"),
        TrainedOn("emorynlp", "train"),
        TrainedOn("dailydialog", "train"),
        TrainedOn("emocontext", "train"),
    ),
)
def embedded_text(*, weights: str | None = None) -> Encoder:
    """English as hashed n-grams and words in order: 7 uniform-prior logits and 120 numbers a segment; shipped weights.

    ``weights``: a file, or the folder of a tuned encoder, written by ``mer finetune text`` instead of the shipped one.
    """
    return _EmbeddedText(find("text", weights))


def readable(transcript: Transcript | None) -> str:
    """Return the text to encode: empty where there is none, or where it is known not to be English."""
    if transcript is None:
        return ""
    return transcript.text if code(transcript.language) in (None, "en") else ""


class _EmbeddedText:
    """One row per segment; no text, another language, or no known n-gram is not valid."""

    modality = "text"
    dim = DIM
    settings = StreamSettings()

    def __init__(self, weights: Weights) -> None:
        from mercli.features.embedded.text_net import TextNet

        self.weights, self.trained_on = weights.sha256, weights.trained_on
        self.network, self.device = fill(TextNet(), weights), "cpu"
        self.known = self.network.get_buffer("members.0.idf") > 0

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (1, 127) per item, its time being that of the words where they have times."""
        import numpy as np
        import torch

        from mercli.features.embedded.text_net import reading, stacked

        found = [reading(readable(streams.transcript)) for streams in batch]
        if not found:
            return []
        inputs = {name: tensor.to(self.device) for name, tensor in stacked(found).items()}
        with torch.inference_mode():
            rows = torch.cat(self.network(**inputs), 1).cpu().numpy()
        known = [bool(self.known[torch.from_numpy(one.ids)].any()) for one in found]
        return [
            Feature(row[None] * np.float32(valid), spoken(streams.transcript), np.array([valid]))
            for row, valid, streams in zip(rows, known, batch, strict=True)
        ]


def spoken(transcript: Transcript | None) -> FloatArray:
    """Return times (1, 2) from the first word to the last; zeros where words have no times."""
    import numpy as np

    words = transcript.words if transcript else ()
    span = (words[0].start, max(word.end for word in words)) if words else (0.0, 0.0)
    return np.asarray([span], np.float32)
