"""The encoders ``foalnet-audio`` and ``foalnet-face``: what Foal-Net (arXiv 2408.09438) feeds its fusion with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.features.hub import Pin
from mercli.features.seeds.checkpoints import learned
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mercli.types import BoolArray, FloatArray

RATE = 16_000
_CHUNK = 8  # 32 take half as much time again on a CPU, for memory


@plugin("encoders", "foalnet-audio", version="1", modality="audio", dim=1024, trained_on=(), learns=True)
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


@plugin("encoders", "foalnet-face", version="1", modality="face", dim=768, trained_on=(), learns=True)
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
    place = "model"
    settings = StreamSettings(audio_rate=RATE, longest=None)

    def __init__(
        self, model: str, revision: str | None, pin: Pin, seconds: float, normalise: bool, compat: bool
    ) -> None:
        from mercli.features.seeds import foalnet_net

        self.network, self.weights = foalnet_net.wavlm(model, revision, pin)
        self.trained_on: tuple[TrainedOn, ...] = learned(model) or ()
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
        import torch

        if not batch:
            return []
        inputs = self.inputs(batch)
        with torch.inference_mode():
            values, valid = self.rows({name: tensor.to(self.device) for name, tensor in inputs.items()})
        counts = [self.samples if self.compat else length for length in inputs["lengths"].tolist()]
        rows = zip(counts, values.cpu().numpy(), valid.cpu().numpy(), strict=True)
        return [self._feature(self._count(samples), *found) for samples, *found in rows]

    def inputs(self, batch: Sequence[Streams]) -> dict[str, Tensor]:
        """Return ``waves`` (B, N) as the network hears them, their ``lengths`` (B,), and which are ``heard`` (B,)."""
        import torch

        from mercli.features.seeds.foalnet_net import fitted, normalised

        waves = [self._wave(streams) for streams in batch]
        size = self.samples if self.compat else max(1, *map(len, waves))
        even = [normalised(wave) if self.normalise and len(wave) else wave for wave in waves]
        return {
            "waves": torch.stack([fitted(wave, size)[0] for wave in even]),
            "lengths": torch.tensor([len(wave) for wave in waves]),
            "heard": torch.tensor([self.compat or bool(wave.any()) for wave in waves]),
        }

    def rows(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the last hidden states (B, T, 1024) of a batch, with gradient, and which are valid (B, T)."""
        import torch

        from mercli.features.seeds.foalnet_net import hidden, prefix_mask, together

        waves, lengths = inputs["waves"], inputs["lengths"]
        sizes = [waves.shape[1] if self.compat else length for length in lengths.tolist()]
        shape = len(waves), max(1, self._count(waves.shape[1]))
        values, valid = waves.new_zeros(*shape, self.dim), torch.zeros(shape, dtype=torch.bool, device=waves.device)
        # networks whose first layer is normalised over time know no padding: only equal lengths go together
        exact = self.network.config.feat_extract_norm == "group" and not self.compat
        for group in together(sizes, exact=exact):
            members = [i for i in group if self._count(sizes[i])]
            if members:
                size = max(sizes[i] for i in members)
                mask = prefix_mask(lengths[members], size, zero_is_all=self.compat)
                states, real = hidden(self.network, waves[members, :size], mask)
                shown = real & inputs["heard"][members, None]
                values[members, : states.shape[1]] = states.float() * shown.unsqueeze(-1)
                valid[members, : states.shape[1]] = shown
        return values, valid

    def learn(self) -> nn.Module:
        """Let WavLM learn from here on, all but its convolutions, as Foal-Net does; without SpecAugment."""
        self.network.requires_grad_(True)
        self.network.feature_extractor.requires_grad_(False)
        self.network.config.apply_spec_augment = False  # its masks do not fit into short sounds
        return self.network

    def save(self, folder: Path) -> None:
        """Write the model as the option ``model`` reads it."""
        self.network.save_pretrained(folder)

    def _count(self, samples: int) -> int:
        from mercli.features.seeds.foalnet_net import frame_count

        return frame_count(self.network, samples)

    def _wave(self, streams: Streams) -> Tensor:
        import numpy as np
        import torch

        if streams.audio_rate != RATE:
            raise DataError(f"audio is at {streams.audio_rate} Hz; foalnet-audio expects {RATE} Hz")
        samples = streams.audio if streams.audio is not None else np.zeros(0, np.float32)
        return torch.from_numpy(np.nan_to_num(np.ascontiguousarray(samples[: self.samples], np.float32)))

    def _feature(self, count: int, rows: FloatArray, valid: BoolArray) -> Feature:
        import numpy as np

        step = np.prod(self.network.config.conv_stride) / RATE
        times = (np.arange(count)[:, None] + np.array([0, 1])) * step
        return Feature(rows[:count], times.astype(np.float32), valid[:count])


class _FoalnetFace:
    """A row per crop, times from its frame to the next; a frame without a face is not valid."""

    modality = "face"
    half = True
    place = "model"

    def __init__(self, model: str, revision: str | None, pin: Pin, frames: int, fps: float, compat: bool) -> None:
        from mercli.features.seeds import foalnet_net

        self.network, self.weights = foalnet_net.clip(model, revision, pin)
        self.trained_on: tuple[TrainedOn, ...] = learned(model) or ()
        self.dim: int = self.network.visual_projection.out_features
        self.frames, self.compat, self.device = frames, compat, "cpu"
        self.settings = StreamSettings(face_fps=fps, face_size=self.network.config.image_size, longest=None)

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (F, 768) per item: a row for each of at most ``frames`` crops."""
        import torch

        if not batch:
            return []
        inputs = self.inputs(batch)
        with torch.inference_mode():
            values, _ = self.rows({name: tensor.to(self.device) for name, tensor in inputs.items()})
        found = zip(batch, map(self._seen, batch), values.cpu().numpy(), inputs["valid"].numpy(), strict=True)
        return [self._feature(streams, len(seen), rows, valid) for streams, seen, rows, valid in found]

    def inputs(self, batch: Sequence[Streams]) -> dict[str, Tensor]:
        """Return the ``crops`` (P, H, W, 3) of all items, their ``places`` (B, F), and which rows are ``valid``."""
        import numpy as np
        import torch

        seen = [self._seen(streams) for streams in batch]
        size = self.frames if self.compat else max(1, *map(len, seen))
        places = np.stack([np.pad(one, (0, size - len(one))) for one in seen])
        crops = [s.faces[: len(e)][e] for s, e in zip(batch, seen, strict=True) if s.faces is not None and e.any()]
        side = self.settings.face_size
        valid = places | (self.compat & ~places.any(1, keepdims=True))
        every = np.concatenate(crops) if crops else np.zeros((0, side, side, 3), np.uint8)
        given = {"crops": every, "places": places, "valid": valid}
        return {name: torch.from_numpy(array) for name, array in given.items()}

    def rows(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the embeddings (B, F, 768) of a batch, with gradient, and which are valid (B, F)."""
        import torch

        from mercli.features.seeds.foalnet_net import pictures

        values = inputs["crops"].new_zeros(*inputs["places"].shape, self.dim).float()
        parts = inputs["crops"].split(_CHUNK) if len(inputs["crops"]) else ()
        shown = [self.network(pixel_values=pictures(part, self.settings.face_size)).image_embeds for part in parts]
        if shown:
            values[inputs["places"]] = torch.cat(shown).float()
        return values, inputs["valid"]

    def learn(self) -> nn.Module:
        """Let CLIP's picture half learn from here on."""
        return self.network.requires_grad_(True)

    def save(self, folder: Path) -> None:
        """Write the model as the option ``model`` reads it."""
        self.network.save_pretrained(folder)

    def _seen(self, streams: Streams) -> BoolArray:
        """Return which of the first frames are encoded."""
        import numpy as np

        count = 0 if streams.faces is None else min(len(streams.faces), self.frames)
        if self.compat or streams.face_confidence is None:
            return np.ones(count, bool)
        return streams.face_confidence[:count] > 0

    def _feature(self, streams: Streams, seen: int, rows: FloatArray, valid: BoolArray) -> Feature:
        import numpy as np

        count = self.frames if self.compat else seen
        period = 1 / self.settings.face_fps
        start = np.arange(count, dtype=np.float64) * period
        if streams.face_times is not None:
            start[:seen] = streams.face_times[:seen]
        end = np.maximum(np.append(start[1:], start[-1:] + period), start)
        return Feature(rows[:count], np.stack((start, end), 1).astype(np.float32), valid[:count])
