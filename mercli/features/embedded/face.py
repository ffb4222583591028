"""The encoder ``embedded-face``: emotion logits and an embedding for every face crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mercli.contracts import Encoder, TrainedOn
from mercli.features.embedded.weights import Weights, fill, find
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from torch import Tensor

    from mercli.types import BoolArray, ByteArray, FloatArray

DIM = 7 + 768
_CHUNK = 64


@plugin(
    "encoders",
    "embedded-face",
    version="3",
    modality="face",
    dim=DIM,
    trained_on=(TrainedOn("fer2013", "train"),),
)
def embedded_face(*, weights: str | None = None) -> Encoder:
    """Three small residual CNNs on 48-pixel grey faces: 7 uniform-prior logits and 768 numbers a crop; shipped weights.

    ``weights``: a file, or the folder of a tuned encoder, written by ``mer finetune face`` instead of the shipped one.
    """
    return _EmbeddedFace(find("face", weights))


class _EmbeddedFace:
    """One row per crop, averaged over it and its mirror image; flat crops and frames without a face are not valid."""

    modality = "face"
    dim = DIM
    settings = StreamSettings(face_size=48)

    def __init__(self, weights: Weights) -> None:
        from mercli.features.embedded.face_net import FaceNet
        from mercli.features.folding import folded

        self.weights, self.trained_on = weights.sha256, weights.trained_on
        self.network, self.device = folded(fill(FaceNet(), weights)), "cpu"

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (F, 775) per item: a row per crop, times from its frame to the next."""
        return [self._encode(streams) for streams in batch]

    def _encode(self, streams: Streams) -> Feature:
        import numpy as np

        crops = streams.faces if streams.faces is not None else np.zeros((0, 48, 48, 3), np.uint8)
        count = len(crops)
        even = np.arange(count, dtype=np.float32) / np.float32(self.settings.face_fps)
        start = streams.face_times if streams.face_times is not None else even
        seen = np.ones(count, bool) if streams.face_confidence is None else streams.face_confidence > 0
        values, valid = np.zeros((count, DIM), np.float32), np.zeros(count, bool)
        for begin in range(0, count, _CHUNK):
            rows = np.flatnonzero(seen[begin : begin + _CHUNK]) + begin
            if len(rows):
                values[rows], valid[rows] = self._rows(crops[rows])
        return Feature(values, _spans(start, self.settings.face_fps), valid)

    def _rows(self, crops: ByteArray) -> tuple[FloatArray, BoolArray]:
        import torch

        from mercli.features.embedded.face_net import grey, standardise

        with torch.inference_mode():
            faces = standardise(grey(crops)).to(self.device)
            shown: Tensor = faces.abs().amax((1, 2, 3)) > 0.05
            logits, embedding = self.network(faces)
            mirrored, other = self.network(faces.flip(3))
            rows = torch.cat((logits + mirrored, embedding + other), 1) / 2
            return (rows * shown[:, None]).cpu().numpy(), shown.cpu().numpy()


def _spans(start: FloatArray, fps: float) -> FloatArray:
    """Return times (T, 2): from each frame to the next, the last lasting one period."""
    import numpy as np

    start = np.asarray(start, np.float32)
    end = np.append(start[1:], start[-1:] + 1 / fps)
    return np.stack((start, np.maximum(end, start)), 1).astype(np.float32)
