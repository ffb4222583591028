"""Picture models of the Hugging Face hub: each face that was seen becomes a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.features import hf_models
from mercli.features.hub import Pin
from mercli.features.windows import Summary, sliced
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import BoolArray, ByteArray, FloatArray

PROCESSOR = "preprocessor_config.json"
MARK = r"(^|\.)(cls_token|class_embedding)$"


class HfVision:
    """A row per crop, or statistics of those with a face; crops are prepared as the model's own processor does."""

    modality = "face"
    half = True

    def __init__(
        self,
        model: str,
        revision: str | None,
        pin: Pin,
        layer: int,
        pooling: str,
        summary: Summary,
        looks: tuple[float, float],
        batch: int,
        trained_on: tuple[TrainedOn, ...],
    ) -> None:
        loaded = hf_models.load(model, revision, "vision", (PROCESSOR,), (), pin)
        self.network, self.weights, self.trained_on = loaded.network, loaded.weights, trained_on
        self.network.to(memory_format=torch.channels_last)  # a third faster on a CPU where it is convolutional
        self.processor: Any = hf_models.helper("AutoImageProcessor", loaded.folder)
        if self.network.main_input_name != "pixel_values":
            raise DataError(f"'{model}' takes '{self.network.main_input_name}', expected a model that reads pictures")
        names = (name for name, _ in self.network.named_parameters())
        self.marks, self.pools = any(re.search(MARK, name) for name in names), loaded.pools
        if pooling == "cls" and not self.marks:
            raise ConfigError(
                f"option 'pooling' is cls, and '{model}' has no class token",
                "mer extract --set recipe.encoders.face.options.pooling=mean ...",
            )
        self.layer, self.pooling, self.summary, self.batch, self.device = layer, pooling, summary, batch, "cpu"
        fps, margin = looks
        size, longest = side(self.processor), None if summary.pooled else StreamSettings().longest
        self.settings = StreamSettings(face_fps=fps, face_size=size, face_margin=margin, longest=longest)
        self.width = self._rows([np.zeros((size, size, 3), np.uint8)]).shape[1]
        self.dim = summary.dim(self.width)

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature per item: a row per crop, not valid without a face, or one row of statistics.

        All items' faces go through the network together, ``batch`` at once.
        """
        seen = [_seen(streams) for streams in batch]
        crops = [
            streams.faces[i]
            for streams, shown in zip(batch, seen, strict=True)
            if streams.faces is not None
            for i in np.flatnonzero(shown)
        ]
        rows = np.zeros((len(crops), self.width), np.float32)
        for first in range(0, len(crops), self.batch):
            rows[first : first + self.batch] = self._rows(crops[first : first + self.batch])
        parts = sliced([int(shown.sum()) for shown in seen])
        every = zip(batch, seen, parts, strict=True)
        return [self._feature(streams, shown, rows[part]) for streams, shown, part in every]

    def _rows(self, crops: Sequence[ByteArray]) -> FloatArray:
        ready = self.processor(images=list(crops), input_data_format="channels_last", return_tensors="pt")
        with torch.inference_mode():
            states, pooled = hf_models.output(
                self.network, self.layer, pixel_values=ready["pixel_values"].to(self.device)
            )
            return self._pooled(states, pooled).cpu().numpy()

    def _pooled(self, states: Tensor, pooled: Tensor | None) -> Tensor:
        """Return a row per picture (B, D) of tokens (B, L, D) or maps (B, D, H, W); ``pooled`` is the model's own."""
        if self.pooling == "auto" and pooled is not None and self.pools:
            return pooled.flatten(1)
        if states.ndim == 4:
            return states.mean((2, 3))
        if self.marks and self.pooling != "mean":
            return states[:, 0]
        return states.mean(1)

    def _feature(self, streams: Streams, shown: BoolArray, rows: FloatArray) -> Feature:
        start = np.arange(len(shown)) / self.settings.face_fps
        if streams.face_times is not None:
            start = streams.face_times.astype(np.float64)
        times = np.stack((start, start + 1 / self.settings.face_fps), 1).astype(np.float32)
        if self.summary.pooled:
            return self.summary.feature(rows, times[shown], np.ones(len(rows), np.bool_))
        values = np.zeros((len(shown), self.width), np.float32)
        values[shown] = rows
        return Feature(values, times, shown)


def _seen(streams: Streams) -> BoolArray:
    """Return which crops show a face."""
    count = 0 if streams.faces is None else len(streams.faces)
    return np.ones(count, np.bool_) if streams.face_confidence is None else streams.face_confidence > 0


def side(processor: Any) -> int:
    """Return the side in pixels that crops are made at, so that the processor need not enlarge them."""
    sizes = [getattr(processor, name, None) for name in ("size", "crop_size")]
    found = [int(size[key]) for size in sizes if size for key in ("height", "shortest_edge") if size.get(key)]
    return max(found, default=224)
