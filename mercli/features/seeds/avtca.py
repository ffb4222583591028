"""The encoders ``avtca-audio`` and ``avtca-face``: what AVT-CA feeds its fusion with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mercli.contracts import Encoder, TrainedOn
from mercli.errors import ConfigError
from mercli.features.hub import WEIGHTS, Pin
from mercli.features.seeds.checkpoints import learned
from mercli.registry import plugin
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from mercli.types import BoolArray, ByteArray, FloatArray

COEFFICIENTS = 10
TRUNK = 1024
SIDE = 224
_CHUNK = 60
OUTSIDE = ("EfficientFace_Trained_on_AffectNet7.pth", "github.com/zengqunzhao/EfficientFace")
"""The weights that no hub has, and where their authors share them."""
AFFECTNET: tuple[TrainedOn, ...] = (TrainedOn("affectnet", "train"),)


@plugin("encoders", "avtca-audio", version="1", modality="audio", dim=COEFFICIENTS, trained_on=())
def avtca_audio(*, edges: Literal["zeros", "reflect"] = "zeros", compat: bool = False) -> Encoder:
    """Ten MFCC of the middle 3.6 s at 22 050 Hz, 156 rows, as AVT-CA takes them; no trained weights.

    ``edges``: what lies beyond both ends of the sound; ``reflect`` gives the numbers of librosa 0.8.1, which the seed
    pins (the outermost two rows of each end change). ``compat``: the rows of zeros appended to a short clip, and all
    rows of a silent one, count as heard, as in the seed; by default they are not valid. No value changes by it.
    """
    return _AvtcaAudio(edges, compat)


@plugin(
    "encoders",
    "avtca-face",
    version="2",
    modality="face",
    dim=TRUNK,
    trained_on=AFFECTNET,
    outside=OUTSIDE,
    learns=True,
)
def avtca_face(
    *,
    weights: str,
    sha256: Pin = None,
    fps: float = 10.0,
    scaling: Literal["seed", "efficientface"] = "seed",
    compat: bool = False,
) -> Encoder:
    """EfficientFace's 1024 numbers for 15 face crops of the middle 3.6 s, which AVT-CA's MFCC are of, too.

    ``weights``: ``EfficientFace_Trained_on_AffectNet7.pth``; ``sha256`` pins it; what it lacks of the network is told
    in the log. ``fps``: faces looked for a second; the nearest to each of the 15 times is taken, at most half a
    sampling period and one frame of 1/30 s away. ``scaling``: ``seed`` gives blue, green, red in 0..1 (the seed trains
    on with those), ``efficientface`` standardised red, green, blue as in the pre-training. ``compat``: the
    first 3.6 s, as in the seed, whose cut to the middle never happens (rows of longer clips change), 30 faces a second,
    hence its own frames, and frames without a face are black pictures that count as seen; by default they are not
    valid.
    """
    if not 0 < fps < float("inf"):
        raise ConfigError(f"option 'fps' is {fps!r}, expected a number above 0", "mer list encoders --json")
    return _AvtcaFace(weights, sha256, fps, scaling, compat)


class _AvtcaAudio:
    """A row each 512 samples (23 ms), times being those of the rows' centres plus and minus half of that."""

    modality = "audio"
    dim = COEFFICIENTS
    weights = "none"
    settings = StreamSettings(audio_rate=22_050, longest=None)
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, edges: Literal["zeros", "reflect"], compat: bool) -> None:
        self.edges, self.compat = edges, compat

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (156, 10) per item; sound at another rate is resampled to 22 050 Hz first."""
        return [self._one(streams) for streams in batch]

    def _one(self, streams: Streams) -> Feature:
        import numpy as np
        import torch
        import torchaudio.functional as AF

        from mercli.features.seeds import avtca_frontend as frontend

        samples = streams.audio if streams.audio is not None else np.zeros(0, np.float32)
        wave = torch.from_numpy(np.nan_to_num(np.ascontiguousarray(samples, np.float32)))
        if streams.audio_rate != frontend.RATE and len(wave):
            wave = AF.resample(wave, streams.audio_rate, frontend.RATE)
        first, kept, _ = frontend.span(len(wave))
        values = frontend.mfcc(frontend.fit(wave), self.edges).T.contiguous().numpy()
        centres = np.arange(len(values)) * frontend.HOP
        heard = (centres < kept) & bool(wave.any())
        edges = np.stack((centres - frontend.HOP / 2, centres + frontend.HOP / 2), 1).clip(0, frontend.SAMPLES)
        times = ((edges + first) / frontend.RATE).astype(np.float32)
        return Feature(values, times, np.ones(len(values), bool) if self.compat else heard)


class _AvtcaFace:
    """A row for each of 15 times, the middle frames of 15 equal parts of 3.6 s at 30 fps."""

    modality = "face"
    dim = TRUNK
    place = "weights"

    def __init__(
        self, weights: str, pin: Pin, fps: float, scaling: Literal["seed", "efficientface"], compat: bool
    ) -> None:
        from mercli.features.seeds import avtca_frontend as frontend
        from mercli.features.seeds.avtca_trunk import load

        self.path, self.pin = weights, pin
        self.network, self.weights = load(weights, pin)
        self.trained_on, self.device = learned(weights) or AFFECTNET, "cpu"
        self.scaling, self.compat = scaling, compat
        rate = float(frontend.FPS) if compat else fps
        self.settings = StreamSettings(face_fps=rate, face_size=SIDE, longest=None)
        self.reach = 0.5 / rate + 1 / frontend.FPS

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (15, 1024) per item; times reach from each frame to the next, 0.24 s at the end."""
        import numpy as np
        import torch

        from mercli.features.seeds import avtca_frontend as frontend

        if not batch:
            return []
        inputs = self.inputs(batch)
        with torch.inference_mode():
            values, _ = self.rows({name: tensor.to(self.device) for name, tensor in inputs.items()})
        starts = _starts()
        ends = np.append(starts[1:], starts[-1] + np.float32(frontend.SECONDS / frontend.FRAMES))
        times = np.stack((starts, ends), 1)
        found = zip(batch, values.cpu().numpy(), inputs["valid"].numpy(), strict=True)
        return [Feature(rows, times + self._first(streams), valid) for streams, rows, valid in found]

    def inputs(self, batch: Sequence[Streams]) -> dict[str, Tensor]:
        """Return the ``crops`` (P, H, W, 3) of all items, one after another, and whose and when they are (B, 15)."""
        import numpy as np
        import torch

        chosen = [self._chosen(streams, _starts() + self._first(streams)) for streams in batch]
        crops = [own for own, _ in chosen if len(own)]
        given = {
            "crops": np.concatenate(crops) if crops else np.zeros((0, SIDE, SIDE, 3), np.uint8),
            "valid": np.stack([valid for _, valid in chosen]),
        }
        return {name: torch.from_numpy(array) for name, array in given.items()}

    def rows(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the trunk's numbers (B, 15, 1024) of a batch, with gradient, and which are valid (B, 15).

        A trunk in training sees all pictures at once, whose statistics it normalises by; a picture alone has none.
        """
        import torch

        from mercli.features.seeds.avtca_trunk import scaled

        crops, valid, training = inputs["crops"], inputs["valid"], self.network.training
        values = torch.zeros(*valid.shape, TRUNK, device=crops.device)
        self.network.train(training and len(crops) > 1)
        parts = crops.split(len(crops) if self.network.training else _CHUNK) if len(crops) else ()
        found = [self.network(scaled(part, self.scaling)) for part in parts]
        self.network.train(training)
        if found:
            values[valid] = torch.cat(found).float()
        return values, valid

    def learn(self) -> nn.Module:
        """Let the whole trunk learn from here on, its normalisations by the batch, as in the seed."""
        from mercli.features.seeds.avtca_trunk import load

        self.network = load(self.path, self.pin, whole=True)[0].requires_grad_(True)
        return self.network

    def save(self, folder: Path) -> None:
        """Write the trunk as the option ``weights`` reads it."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / WEIGHTS[0])

    def _first(self, streams: Streams) -> np.float32:
        """Return where the middle 3.6 s of a clip begin, as its pictures tell its length; 0 for the seed."""
        import numpy as np

        from mercli.features.seeds.avtca_frontend import SECONDS

        times = streams.face_times
        if self.compat or times is None or not len(times):
            return np.float32(0)
        return np.float32(max(0.0, (float(times[-1]) + 1 / self.settings.face_fps - SECONDS) / 2))

    def _chosen(self, streams: Streams, wanted: FloatArray) -> tuple[ByteArray, BoolArray]:
        """Return the crops at the wanted times that are to be encoded, and at which of these times they are."""
        import numpy as np

        from mercli.features.seeds.avtca_frontend import nearest

        faces = streams.faces if streams.faces is not None else np.zeros((0, SIDE, SIDE, 3), np.uint8)
        count = len(faces)
        even = np.arange(count, dtype=np.float32) / np.float32(self.settings.face_fps)
        times = even if streams.face_times is None else streams.face_times
        seen = np.ones(count, bool) if streams.face_confidence is None else streams.face_confidence > 0
        rows = nearest(times, seen, wanted, self.reach)
        found = rows >= 0
        if not self.compat or not found.any():
            return faces[rows[found]], found
        crops = np.zeros((len(wanted), *faces.shape[1:]), np.uint8)
        crops[found] = faces[rows[found]]
        return crops, np.ones(len(wanted), bool)


def _starts() -> FloatArray:
    """Return the seconds (15,) of the frames that are looked at, counted from the first."""
    import numpy as np

    from mercli.features.seeds import avtca_frontend as frontend

    return np.asarray(frontend.frame_indices(), np.float32) / np.float32(frontend.FPS)
