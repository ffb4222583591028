"""The speech network of SMIL MER: wav2vec 2.0 (Baevski et al. 2020), one linear projection per frame, no mask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from mercli.contracts import TrainedOn
from mercli.errors import DataError
from mercli.features.seeds import checkpoints
from mercli.features.seeds.checkpoints import Opened
from mercli.features.windows import Span, Summary, sliced, tiled, window_spans
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import FloatArray

RATE = 16_000
EPSILON = 1e-7
SILENT = 1e-4  # a peak below -80 dB of full scale is no sound


class AudioNet(nn.Module):
    """Projected frames of a wave, and logits of their mean."""

    def __init__(self, wav2vec2: nn.Module, hidden: int, width: int, classes: int) -> None:
        super().__init__()
        self.wav2vec2 = wav2vec2
        self.projector = nn.Linear(hidden, width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Return projected frames (B, L, P) without activation, and logits (B, C), of waves (B, N) at 16 kHz."""
        frames = self.projector(self.wav2vec2(waves).last_hidden_state)
        return frames, self.classifier(frames.mean(1))


def load(opened: Opened) -> AudioNet:
    """Return the network that the model's config describes, its widths and weights from the checkpoint.

    Raises ``DataError`` where it is no wav2vec 2.0 model or the weights do not fit.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config.from_dict(opened.config("wav2vec2"))
    weights = opened.checkpoint
    width, hidden = weights.width("projector.weight"), weights.width("projector.weight", 1)
    with checkpoints.unfilled():
        network = AudioNet(Wav2Vec2Model(config), hidden, width, weights.width("classifier.weight"))
    # the mask's embedding only serves training, and configs differ in whether it exists
    return checkpoints.fill(network, weights, r"masked_spec_embed$")


def normalises(folder: Path) -> bool:
    """Tell whether the model wants each wave at zero mean and unit variance (it does unless its folder says not)."""
    file = folder / "preprocessor_config.json"
    return not file.is_file() or bool(json.loads(file.read_text(encoding="utf-8")).get("do_normalize", True))


def segments(audio: FloatArray, spans: Sequence[Span], width: int) -> FloatArray:
    """Return windows (W, width) of samples (N,), short ones repeated to full length, before normalisation."""
    return np.stack([tiled(audio[start:end], width) for start, end in spans])


def normalised(waves: FloatArray) -> FloatArray:
    """Return waves (B, N), each on its own at zero mean and unit (population) variance.

    In NumPy's own order of summing, as transformers has it: of a constant only rounding is left, scaled by 3162.
    """
    return (waves - waves.mean(1, keepdims=True)) / np.sqrt(waves.var(1, keepdims=True) + np.float32(EPSILON))


class SmilAudio:
    """Windows of a segment, each normalised by itself where the model wants it; no mask, no padding."""

    modality = "audio"
    settings = StreamSettings(audio_rate=RATE, longest=None)  # statistics run over the whole segment
    half = True

    def __init__(
        self, opened: Opened, trained_on: tuple[TrainedOn, ...], samples: Span, summary: Summary, batch: int
    ) -> None:
        self.network, self.normalises = load(opened), normalises(opened.folder)
        self.width = self.network.projector.out_features
        self.weights, self.trained_on, self.device = opened.fingerprint, trained_on, "cpu"
        self.samples, self.summary, self.batch = samples, summary, batch
        self.dim = summary.dim(self.width)

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature per item: (1, D), or a row per window where not pooled; silence is not valid.

        All items' windows go through the network together, ``batch`` at once. Raises ``DataError`` for audio that is
        not at 16 kHz.
        """
        waves = [_samples(streams) for streams in batch]
        spans = [window_spans(len(wave), *self.samples) for wave in waves]
        windows = [(wave, span) for wave, own in zip(waves, spans, strict=True) for span in own]
        sounding = np.asarray([np.abs(wave[start:end]).max() >= SILENT for wave, (start, end) in windows], np.bool_)
        rows = np.zeros((len(windows), self.width), np.float32)
        for first in range(0, len(windows), self.batch):
            rows[first : first + self.batch] = self._rows(windows[first : first + self.batch])
        return [
            self.summary.feature(
                rows[part], np.asarray(own, np.float32).reshape(-1, 2) / np.float32(RATE), sounding[part]
            )
            for own, part in zip(spans, sliced([len(own) for own in spans]), strict=True)
        ]

    def _rows(self, windows: Sequence[tuple[FloatArray, Span]]) -> FloatArray:
        cut = np.concatenate([segments(wave, [span], self.samples[0]) for wave, span in windows])
        waves = torch.from_numpy(normalised(cut) if self.normalises else cut).to(self.device)
        with torch.inference_mode():
            frames, _ = self.network(waves)
            return frames.float().mean(1).cpu().numpy()


def _samples(streams: Streams) -> FloatArray:
    if streams.audio_rate != RATE:
        raise DataError(f"audio is at {streams.audio_rate} Hz; smil-audio expects {RATE} Hz")
    samples = streams.audio if streams.audio is not None else np.zeros(0)
    return np.nan_to_num(np.ascontiguousarray(samples, np.float32))
