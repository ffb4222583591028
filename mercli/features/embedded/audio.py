"""The encoder ``embedded-audio``: emotion logits and an embedding for every window of speech."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import DataError
from mercli.features.embedded.weights import Weights, fill, find
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from torch import Tensor

DIM = 7 + 1548
WINDOW, STEP = 6.0, 3.0
QUIET = 10 ** (-45 / 20)
"""A window whose loudest frame lies this far below the clip's holds no speech."""


@plugin(
    "encoders",
    "embedded-audio",
    version="5",
    modality="audio",
    dim=DIM,
    trained_on=(
        TrainedOn("ravdess", "train", tuple(f"{number:02d}" for number in range(1, 17))),
        TrainedOn("emodb", "train", ("03", "08", "09", "10", "11", "14")),
    ),
)
def embedded_audio(*, weights: str | None = None) -> Encoder:
    """Small CNNs with GRUs, and functionals: 7 uniform-prior logits and 1548 numbers a window of 6 s; shipped weights.

    ``weights``: a file, or the folder of a tuned encoder, written by ``mer finetune audio`` instead of the shipped one.
    """
    return _EmbeddedAudio(find("audio", weights))


def windows(seconds: float) -> Iterator[tuple[float, float]]:
    """Yield windows of 6 s every 3 s until the end is covered; the last one is cut there."""
    start = 0.0
    while True:
        yield start, min(start + WINDOW, seconds)
        if start + WINDOW >= seconds:
            return
        start += STEP


class _EmbeddedAudio:
    """One row per window, trimmed to its speech by energy; a window without sound is not valid."""

    modality = "audio"
    dim = DIM
    settings = StreamSettings(audio_rate=16_000)

    def __init__(self, weights: Weights) -> None:
        from mercli.features.embedded.audio_net import AudioNet
        from mercli.features.folding import folded

        self.weights, self.trained_on = weights.sha256, weights.trained_on
        self.network, self.device = folded(fill(AudioNet(), weights)), "cpu"

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, 1555) per item, times being those of the trimmed windows.

        Raises ``DataError`` where the audio is not at 16 kHz.
        """
        return [self._encode(streams) for streams in batch]

    def _encode(self, streams: Streams) -> Feature:
        import numpy as np
        import torch

        from mercli.features.embedded.spectrogram import loudest

        rate = self.settings.audio_rate
        samples = streams.audio if streams.audio is not None else np.zeros(0, np.float32)
        if streams.audio_rate != rate:
            raise DataError(f"audio is at {streams.audio_rate} Hz; embedded-audio expects {rate} Hz")
        wave = torch.from_numpy(np.nan_to_num(np.ascontiguousarray(samples, np.float32)))
        spans = list(windows(len(wave) / rate))
        times = np.asarray(spans, np.float32).reshape(-1, 2)
        values, valid = np.zeros((len(spans), DIM), np.float32), np.zeros(len(spans), bool)
        least = loudest(wave) * QUIET
        for row, (start, end) in enumerate(spans):
            found = self._row(wave[round(start * rate) : round(end * rate)], least)
            if found is not None:
                values[row], valid[row] = found[0].numpy(), True
                times[row] = start + found[1].start / rate, min(end, start + found[1].stop / rate)
        return Feature(values, times, valid)

    def _row(self, wave: Tensor, least: float) -> tuple[Tensor, slice] | None:
        import torch

        from mercli.features.embedded.spectrogram import log_mel, loudest, stacked, voiced

        span = voiced(wave)
        if span.stop == 0 or loudest(wave) < least:
            return None
        with torch.inference_mode():
            mel, frames = stacked([log_mel(wave[span])])
            logits, embedding = self.network(mel.to(self.device), frames.to(self.device))
            return torch.cat((logits, embedding), 1)[0].cpu(), span
