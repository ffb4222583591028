"""Speech models of the Hugging Face hub: windows of sound become frames, padding is masked or avoided."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.features import hf_models
from mercli.features.hub import Pin
from mercli.features.seeds.foalnet_net import frame_count, together
from mercli.features.windows import Span, sliced, window_spans
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import FloatArray

SILENT = 1e-4  # a peak below -80 dB of full scale is no sound
SHORTEST = 0.05  # seconds of sound that two rows of a spectrogram need
EXTRACTOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Windows:
    """Width and step of windows in seconds; the last one ends with the segment."""

    width: float
    step: float

    def spans(self, samples: int, rate: int) -> list[Span]:
        """Return the windows over so many samples; raises ``ConfigError`` where the step is beyond the width."""
        return window_spans(samples, round(self.width * rate), round(self.step * rate), "covering")


class HfAudio:
    """A row per window, or a row per frame of each window, of a wave model or one that reads spectrograms.

    Models whose first layer is normalised over time (wav2vec2-base, hubert-base) know no padding: sounds of one length
    alone go through them together. Whisper's encoder reads 30 s, whatever they hold; rows beyond the sound are cut off.
    """

    modality = "audio"
    half = True

    def __init__(
        self,
        model: str,
        revision: str | None,
        pin: Pin,
        layer: int,
        mean: bool,
        windows: Windows | None,
        batch: int,
        trained_on: tuple[TrainedOn, ...],
    ) -> None:
        loaded = hf_models.load(model, revision, "audio", (EXTRACTOR,), (), pin)
        self.network, self.weights, self.trained_on = loaded.network, loaded.weights, trained_on
        self.extractor: Any = hf_models.helper("AutoFeatureExtractor", loaded.folder)
        self.rate = int(self.extractor.sampling_rate)
        self.layer, self.mean, self.windows, self.batch, self.device = layer, mean, windows, batch, "cpu"
        longest = StreamSettings().longest if windows is None else None
        self.settings = StreamSettings(audio_rate=self.rate, longest=longest)
        self._check(model)
        self.dim = int(self._states([np.sin(np.arange(self.rate, dtype=np.float32))])[0].shape[-1])

    def _check(self, model: str) -> None:
        """Raise ``ConfigError`` for windows that cannot be cut or seen, ``DataError`` for a model of other input."""
        if self.network.main_input_name not in ("input_values", "input_features"):
            raise DataError(f"'{model}' takes '{self.network.main_input_name}', expected a model that reads sound")
        longest = getattr(self.extractor, "chunk_length", None) if self._fixed else None
        if self.windows is None:
            return
        self.windows.spans(1, self.rate)
        if longest and self.windows.width > longest:
            raise ConfigError(
                f"option 'window' is {self.windows.width}, and '{model}' reads at most {longest} s at once",
                f"mer extract --set recipe.encoders.audio.options.window={longest} ...",
            )

    @property
    def _fixed(self) -> bool:
        """Whether every sound is padded to one length (Whisper's spectrograms of 30 s)."""
        return hasattr(self.extractor, "nb_max_frames")

    @property
    def _wave(self) -> bool:
        return str(self.network.main_input_name) == "input_values"

    @property
    def _exact(self) -> bool:
        """Whether padding would change the frames of a shorter sound, so that only equal lengths go together."""
        return self._wave and getattr(self.network.config, "feat_extract_norm", "group") != "layer"

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature per item: a row per window or per frame, not valid where there is no sound.

        All items' windows of like length go through the network together, ``batch`` at once. Raises ``DataError`` for
        audio at another rate than the model's.
        """
        waves = [self._samples(streams) for streams in batch]
        spans = [self._spans(len(wave)) for wave in waves]
        windows = [wave[start:end] for wave, own in zip(waves, spans, strict=True) for start, end in own]
        rows: list[FloatArray | None] = [None] * len(windows)
        for group in self._groups([i for i, window in enumerate(windows) if self._sounds(window)], windows):
            for i, found in zip(group, self._rows([windows[i] for i in group]), strict=True):
                rows[i] = found
        parts = sliced([len(own) for own in spans])
        return [self._feature(own, rows[part]) for own, part in zip(spans, parts, strict=True)]

    def _samples(self, streams: Streams) -> FloatArray:
        if streams.audio_rate != self.rate:
            raise DataError(f"audio is at {streams.audio_rate} Hz; the model expects {self.rate} Hz")
        samples = streams.audio if streams.audio is not None else np.zeros(0)
        return np.nan_to_num(np.ascontiguousarray(samples, np.float32))

    def _spans(self, samples: int) -> list[Span]:
        if self.windows is not None:
            return self.windows.spans(samples, self.rate)
        return [(0, samples)] if samples else []

    def _sounds(self, window: FloatArray) -> bool:
        """Tell whether there is sound in a window, and enough of it for one frame."""
        if self._wave and hasattr(self.network.config, "conv_kernel"):
            enough = frame_count(self.network, len(window)) > 0
        else:
            enough = len(window) >= SHORTEST * self.rate
        return enough and bool(np.abs(window).max() >= SILENT)

    def _groups(self, index: Sequence[int], windows: Sequence[FloatArray]) -> Iterator[list[int]]:
        """Yield which windows go through the network together."""
        lengths = [1 if self._fixed else len(windows[i]) for i in index]
        for group in together(lengths, exact=self._exact):
            for first in range(0, len(group), self.batch):
                yield [index[i] for i in group[first : first + self.batch]]

    def _rows(self, windows: Sequence[FloatArray]) -> Iterator[FloatArray]:
        states, real = self._states(windows)
        if self.mean:
            yield from hf_models.averaged(states, real).cpu().numpy()[:, None]
            return
        for rows, count in zip(states.cpu().numpy(), real.sum(1).tolist(), strict=True):
            yield rows[:count]

    def _states(self, windows: Sequence[FloatArray]) -> tuple[Tensor, Tensor]:
        """Return hidden states (B, L, D) of windows of sound, and which of them are of sound (B, L)."""
        padding = {} if self._fixed else {"padding": True}
        with torch.autocast("cpu", enabled=False):  # spectra are exact, whatever the network computes in
            given = self.extractor(
                list(windows), sampling_rate=self.rate, return_attention_mask=True, return_tensors="pt", **padding
            ).to(self.device)
        inputs = {self.network.main_input_name: given[self.network.main_input_name]}
        mask: Tensor | None = given.get("attention_mask")
        if mask is None or (self._wave and inputs["input_values"].ndim != 2):
            raise DataError(f"{type(self.network).__name__} does not tell padding from sound; it is not supported")
        if not (self._exact or self._fixed):
            inputs["attention_mask"] = mask
        with torch.inference_mode(), warnings.catch_warnings():  # of torch, on how transformers hands masks over
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            states, _ = hf_models.output(self.network, self.layer, **inputs)
            return states, self._real(states.shape[1], mask)

    def _real(self, frames: int, mask: Tensor) -> Tensor:
        """Return which frames are of sound, bool (B, frames), given which samples or spectra are (B, N)."""
        if self._exact:
            return mask.new_ones((len(mask), frames)).bool()
        if self._wave:
            return self.network._get_feature_vector_attention_mask(frames, mask).bool()
        every = -(-mask.shape[1] // frames)
        return mask[:, ::every][:, :frames].bool()

    def _feature(self, spans: Sequence[Span], found: Sequence[FloatArray | None]) -> Feature:
        """Return the rows of one item's windows; a window without sound has one, and it is not valid."""
        values, times, valid = [np.zeros((0, self.dim), np.float32)], [np.zeros((0, 2))], [np.zeros(0, np.bool_)]
        for (start, end), rows in zip(spans, found, strict=True):
            shown = np.zeros((1, self.dim), np.float32) if rows is None else rows
            edges = np.linspace(start, end, len(shown) + 1) / self.rate
            values.append(shown)
            times.append(np.stack((edges[:-1], edges[1:]), 1))
            valid.append(np.full(len(shown), rows is not None))
        return Feature(np.concatenate(values), np.concatenate(times).astype(np.float32), np.concatenate(valid))
