"""The encoders ``foalnet-audio`` and ``foalnet-face``: what Foal-Net (arXiv 2408.09438) feeds its fusion with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.features.hub import Pin
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from torch import Tensor

    from mercli.types import BoolArray, FloatArray

RATE = 16_000
_CHUNK = 8  # 32 take half as much time again on a CPU, for memory


@plugin("encoders", "foalnet-audio", version="1", modality="audio", dim=1024, trained_on=())
def foalnet_audio(
    *,
    model: str = "microsoft/wavlm-large",
    revision: str | None = None,
    sha256: Pin = None,
    seconds: float = 6.0,
    normalise: bool = True,
    compat: bool = False,
) -> Encoder:
    """WavLM-large's last hidden states of the first 6 s, a row each 20 ms (299 for 6 s), as Foal-Net takes them.

    ``model``: a WavLM of the Hugging Face hub, or its folder; ``revision`` one of its commits, ``sha256`` that of its
    weights: other ones are refused. ``normalise``: each sound at zero mean and unit variance, as WavLM-large was
    trained. ``compat`` does as the seed: the raw wave, padded with zeros to ``seconds``; rows of padding are there (not
    valid), silence counts as sound, and a sound without a sample counts as real throughout. All values change by the
    raw wave.
    """
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"option 'seconds' is {seconds!r}, expected a number above 0", "mer list encoders --json")
    return _FoalnetAudio(model, revision, sha256, seconds, normalise and not compat, compat)


@plugin("encoders", "foalnet-face", version="1", modality="face", dim=768, trained_on=())
def foalnet_face(
    *,
    model: str = "openai/clip-vit-large-patch14",
    revision: str | None = None,
    sha256: Pin = None,
    frames: int = 180,
    fps: float = 5.0,
    compat: bool = False,
) -> Encoder:
    """CLIP-large's picture embedding of each face crop, at most the first 180, as Foal-Net takes them.

    The seed does not say how its frames were made: here they are the crops of the face stream, ``fps`` a second (180
    are 36 s at 5, and the 6 s that the sound lasts at 30, at six times the price), and whole pictures with ``--face
    whole``. ``model``: a CLIP of the Hugging Face hub, or its folder; ``sha256`` pins its weights. ``compat`` does as
    the seed: zeros up to ``frames`` rows; every frame there is counts, with a face or without; all rows count where
    there is no frame. By default frames without a face are not valid, and there are no rows of padding.
    """
    for name, value in (("frames", frames), ("fps", fps)):
        if not 0 < value < float("inf"):
            raise ConfigError(f"option '{name}' is {value!r}, expected a number above 0", "mer list encoders --json")
    return _FoalnetFace(model, revision, sha256, frames, fps, compat)


class _FoalnetAudio:
    """A row per frame of WavLM, times from its first sample to that of the next frame."""

    modality = "audio"
    half = True
    settings = StreamSettings(audio_rate=RATE, longest=None)
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(
        self, model: str, revision: str | None, pin: Pin, seconds: float, normalise: bool, compat: bool
    ) -> None:
        from mercli.features.seeds import foalnet_net

        self.network, self.weights = foalnet_net.wavlm(model, revision, pin)
        self.dim: int = self.network.config.hidden_size
        self.samples, self.normalise, self.compat, self.device = round(seconds * RATE), normalise, compat, "cpu"

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, 1024) per item; no row is valid for silence, and none is there below 25 ms.

        Raises ``DataError`` where the audio is not at 16 kHz.
        """
        from mercli.features.seeds.foalnet_net import frame_count, together

        waves = [self._wave(streams) for streams in batch]
        features = [self._feature(0) for _ in batch]
        # networks whose first layer is normalised over time know no padding: only equal lengths go together
        exact = self.network.config.feat_extract_norm == "group" and not self.compat
        for group in together([self.samples if self.compat else len(wave) for wave in waves], exact=exact):
            members = [i for i in group if self.compat or frame_count(self.network, len(waves[i]))]
            if members:
                for i, feature in zip(members, self._encoded([waves[i] for i in members]), strict=True):
                    features[i] = feature
        return features

    def _wave(self, streams: Streams) -> Tensor:
        import numpy as np
        import torch

        if streams.audio_rate != RATE:
            raise DataError(f"audio is at {streams.audio_rate} Hz; foalnet-audio expects {RATE} Hz")
        samples = streams.audio if streams.audio is not None else np.zeros(0, np.float32)
        return torch.from_numpy(np.nan_to_num(np.ascontiguousarray(samples[: self.samples], np.float32)))

    def _encoded(self, waves: Sequence[Tensor]) -> list[Feature]:
        import torch

        from mercli.features.seeds.foalnet_net import fitted, hidden, normalised, prefix_mask

        size = self.samples if self.compat else max(map(len, waves))
        padded = torch.stack([fitted(normalised(wave) if self.normalise else wave, size)[0] for wave in waves])
        lengths = torch.tensor([len(wave) for wave in waves])
        mask = prefix_mask(lengths, size, zero_is_all=self.compat)
        with torch.inference_mode():
            states, real = hidden(self.network, padded.to(self.device), mask.to(self.device))
        features = []
        for wave, rows, valid in zip(waves, states.float().cpu().numpy(), real.cpu().numpy(), strict=True):
            count = len(rows) if self.compat else int(valid.sum())
            heard = self.compat or bool(wave.any())
            features.append(self._feature(count, rows[:count], valid[:count] & heard))
        return features

    def _feature(self, count: int, rows: FloatArray | None = None, valid: BoolArray | None = None) -> Feature:
        import numpy as np

        step = np.prod(self.network.config.conv_stride) / RATE
        times = (np.arange(count)[:, None] + np.array([0, 1])) * step
        shown = np.zeros(count, bool) if valid is None else valid
        values = np.zeros((count, self.dim), np.float32) if rows is None else rows * shown[:, None]
        return Feature(values.astype(np.float32), times.astype(np.float32), shown)


class _FoalnetFace:
    """A row per crop, times from its frame to the next; a frame without a face is not valid."""

    modality = "face"
    half = True
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, model: str, revision: str | None, pin: Pin, frames: int, fps: float, compat: bool) -> None:
        from mercli.features.seeds import foalnet_net

        self.network, self.weights = foalnet_net.clip(model, revision, pin)
        self.dim: int = self.network.visual_projection.out_features
        self.frames, self.compat, self.device = frames, compat, "cpu"
        self.settings = StreamSettings(face_fps=fps, face_size=self.network.config.image_size, longest=None)

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (F, 768) per item: a row for each of at most ``frames`` crops."""
        seen = [self._seen(streams) for streams in batch]
        rows = self._rows(batch, seen)
        features, first = [], 0
        for streams, encoded in zip(batch, seen, strict=True):
            last = first + int(encoded.sum())
            features.append(self._feature(streams, encoded, rows[first:last]))
            first = last
        return features

    def _seen(self, streams: Streams) -> BoolArray:
        """Return which of the first frames are encoded."""
        import numpy as np

        count = 0 if streams.faces is None else min(len(streams.faces), self.frames)
        if self.compat or streams.face_confidence is None:
            return np.ones(count, bool)
        return streams.face_confidence[:count] > 0

    def _rows(self, batch: Sequence[Streams], seen: Sequence[BoolArray]) -> FloatArray:
        """Return the embeddings of all items' encoded crops, one item after another."""
        import numpy as np
        import torch

        from mercli.features.seeds.foalnet_net import pictures

        crops = [s.faces[: len(e)][e] for s, e in zip(batch, seen, strict=True) if s.faces is not None and e.any()]
        if not crops:
            return np.zeros((0, self.dim), np.float32)
        every, rows = np.concatenate(crops), []
        with torch.inference_mode():
            for first in range(0, len(every), _CHUNK):
                part = pictures(every[first : first + _CHUNK], self.settings.face_size).to(self.device)
                rows.append(self.network(pixel_values=part).image_embeds.float().cpu())
        return torch.cat(rows).numpy()

    def _feature(self, streams: Streams, encoded: BoolArray, rows: FloatArray) -> Feature:
        import numpy as np

        count = self.frames if self.compat else len(encoded)
        values, valid = np.zeros((count, self.dim), np.float32), np.zeros(count, bool)
        values[np.flatnonzero(encoded)], valid[: len(encoded)] = rows, encoded
        if self.compat and not len(encoded):
            valid[:] = True
        period = 1 / self.settings.face_fps
        start = np.arange(count, dtype=np.float64) * period
        if streams.face_times is not None:
            start[: len(encoded)] = streams.face_times[: len(encoded)]
        end = np.maximum(np.append(start[1:], start[-1:] + period), start)
        return Feature(values, np.stack((start, end), 1).astype(np.float32), valid)
