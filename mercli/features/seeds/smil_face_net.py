"""The face network of SMIL MER and what it is shown: ResNet-50 trained on AffectNet, as EMO-AffectNetModel has it.

Padding is TensorFlow's ``same``, strides lie on the first 1x1 convolutions, batch norm has eps 1e-3 (Ryumina et al.
2022, "In search of a robust facial expressions recognition model"). The feature is ``fc1`` before its ReLU.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.contracts import TrainedOn
from mercli.features.folding import folded
from mercli.features.seeds import checkpoints
from mercli.features.seeds.checkpoints import Checkpoint
from mercli.features.windows import Span, Summary, functionals, sliced, window_spans
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mercli.types import ByteArray, FloatArray

FPS = 5
SIDE = 224
MEAN_BGR = (91.4953, 103.8827, 131.0912)
STAGES = 4
EXPANSION = 4


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.99)


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: what is odd comes behind."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the parent's name
        padding = []
        for size, kernel, stride in zip(reversed(input.shape[2:]), self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(input, padding))


class _Bottleneck(nn.Module):
    """1x1 with the stride, 3x3, 1x1 to four times the planes; a projected shortcut where the shape changes."""

    def __init__(self, inputs: int, planes: int, stride: int, projected: bool) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv2d(inputs, planes, 1, stride, bias=False)
        self.batch_norm1 = _norm(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding="same", bias=False)
        self.batch_norm2 = _norm(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.batch_norm3 = _norm(outputs)
        self.i_downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs)) if projected else None
        )

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.i_downsample is None else self.i_downsample(x)
        x = F.relu(self.batch_norm1(self.conv1(x)))
        x = F.relu(self.batch_norm2(self.conv2(x)))
        return F.relu(self.batch_norm3(self.conv3(x)) + kept)


class FaceNet(nn.Module):
    """ResNet of bottlenecks under two fully connected layers; ResNet-50 has 3, 4, 6, 3 of them, of 64 to 512 planes."""

    def __init__(self, layers: Sequence[int], planes: Sequence[int], width: int, classes: int) -> None:
        super().__init__()
        inputs = planes[0]
        self.conv_layer_s2_same = _SameConv(3, inputs, 7, 2, bias=False)
        self.batch_norm1 = _norm(inputs)
        for stage in range(STAGES):
            blocks = []
            for index in range(layers[stage]):
                stride = 2 if index == 0 and stage else 1
                blocks.append(_Bottleneck(inputs, planes[stage], stride, projected=index == 0))
                inputs = planes[stage] * EXPANSION
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc1 = nn.Linear(inputs, width)
        self.fc2 = nn.Linear(width, classes)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, D) before their ReLU, and logits (B, C), of prepared faces (B, 3, H, W)."""
        x = F.relu(self.batch_norm1(self.conv_layer_s2_same(faces)))
        x = F.max_pool2d(x, 3, 2)
        for stage in range(STAGES):
            x = getattr(self, f"layer{stage + 1}")(x)
        feature = self.fc1(x.mean((2, 3)))
        return feature, self.fc2(F.relu(feature))


def load(checkpoint: Checkpoint) -> FaceNet:
    """Return the network of a checkpoint for inference, its batch norms folded into the convolutions."""
    return folded(unfolded(checkpoint))


def unfolded(checkpoint: Checkpoint) -> FaceNet:
    """Return the network whose depth and widths are those of the checkpoint; raises ``DataError`` where none fits."""
    stages = range(1, STAGES + 1)
    planes = [checkpoint.width(f"layer{stage}.0.conv1.weight") for stage in stages]
    layers = [
        len({found[1] for name in checkpoint.tensors if (found := re.match(rf"layer{stage}\.(\d+)\.", name))})
        for stage in stages
    ]
    network = FaceNet(layers, planes, checkpoint.width("fc1.weight"), checkpoint.width("fc2.weight"))
    return checkpoints.fill(network, checkpoint)


def cropped(frame: ByteArray, box: tuple[int, int, int, int]) -> ByteArray:
    """Return what a box (left, top, right, bottom) in pixels holds of a frame (H, W, 3), at the network's size.

    The box is cut to the frame, right and bottom excluded.
    """
    height, width = frame.shape[:2]
    left, top, right, bottom = box
    inside = frame[max(0, top) : min(height - 1, bottom), max(0, left) : min(width - 1, right)]
    return resized(inside)


def resized(crop: ByteArray) -> ByteArray:
    """Return a crop (H, W, 3) at 224x224 by its nearest pixels, its aspect not kept; unchanged where it is so large."""
    from PIL import Image

    if crop.shape[:2] == (SIDE, SIDE):
        return crop
    return np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def prepared(crops: Tensor) -> Tensor:
    """Return RGB crops uint8 (F, H, W, 3) as the network takes them: BGR minus AffectNet's mean, (F, 3, H, W)."""
    return (crops.flip(-1).float() - crops.new_tensor(MEAN_BGR, dtype=torch.float32)).permute(0, 3, 1, 2)


def averaged(faces: Tensor, frames: Tensor) -> Tensor:
    """Return one picture per frame (G, 3, H, W): the mean of the prepared faces (F, 3, H, W) that ``frames`` (F,) name.

    Frames come in rising order. The published system does so where a frame shows several faces.
    """
    _, place, counts = torch.unique_consecutive(frames, return_inverse=True, return_counts=True)
    sums = faces.new_zeros((len(counts), *faces.shape[1:])).index_add_(0, place, faces)
    return sums / counts.view(-1, 1, 1, 1)


def looked_at(count: int, fps: float, wanted: int = 5) -> range:
    """Return which of ``count`` frames the published system looks at: about ``wanted`` a second, from the first on.

    Its stride is rounded down, so 29.97 fps gives 6 frames a second; below 5 fps, where it fails, each frame counts.
    """
    return range(0, count, max(1, int(fps * wanted / 25)))


EVERY = 60.0
"""So many frames a second are all that a video has."""


class SmilFace:
    """Windows over the frames that show a face: the gaps of those that do not are closed."""

    modality = "face"
    settings = StreamSettings(face_fps=FPS, face_size=SIDE, longest=None)  # statistics run over the whole segment
    half = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        trained_on: tuple[TrainedOn, ...],
        frames: Span,
        summary: Summary,
        batch: int,
        compat: bool,
    ) -> None:
        self.network = load(checkpoint)
        self.width = self.network.fc1.out_features
        self.weights, self.trained_on, self.device = checkpoint.sha256, trained_on, "cpu"
        self.frames, self.summary, self.batch, self.compat = frames, summary, batch, compat
        self.dim = summary.dim(self.width)
        if compat:
            self.settings = replace(self.settings, face_fps=EVERY)

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature per item: (1, D), or a row per window where not pooled; no face is not valid.

        All items' frames go through the network together, ``batch`` at once.
        """
        shown = [_shown(streams, self.compat) for streams in batch]
        pictures = [(streams.faces, own) for streams, frames in zip(batch, shown, strict=True) for own in frames]
        rows = np.zeros((len(pictures), self.width), np.float32)
        for first in range(0, len(pictures), self.batch):
            rows[first : first + self.batch] = self._rows(pictures[first : first + self.batch])
        return [
            self._feature(rows[part], _times(streams)[[own[0] for own in frames]])
            for streams, frames, part in zip(batch, shown, sliced([len(own) for own in shown]), strict=True)
        ]

    def _rows(self, pictures: Sequence[tuple[ByteArray | None, NDArray[np.intp]]]) -> FloatArray:
        crops = [resized(faces[index]) for faces, own in pictures if faces is not None for index in own]
        frames = torch.repeat_interleave(torch.tensor([len(own) for _, own in pictures]))
        with torch.inference_mode():
            ready = prepared(torch.from_numpy(np.stack(crops)).to(self.device))
            feature, _ = self.network(averaged(ready, frames.to(self.device)) if self.compat else ready)
            return feature.float().cpu().numpy()

    def _feature(self, rows: FloatArray, starts: FloatArray) -> Feature:
        """Return what becomes of one segment's rows (N, D), whose frames start at ``starts`` (N,) seconds."""
        spans = window_spans(len(rows), *self.frames)
        means = np.zeros((len(spans), self.width), np.float32)
        for window, (start, end) in enumerate(spans):
            means[window] = functionals(rows[start:end], ("mean",))
        times = [(starts[start], starts[end - 1] + 1 / FPS) for start, end in spans]
        return self.summary.feature(means, np.asarray(times, np.float32).reshape(-1, 2), np.ones(len(spans), np.bool_))


def _times(streams: Streams) -> FloatArray:
    """Return when each crop was seen, evenly spaced where that is not told."""
    if streams.face_times is not None:
        return np.asarray(streams.face_times, np.float32)
    return np.arange(0 if streams.faces is None else len(streams.faces), dtype=np.float32) / np.float32(FPS)


def _shown(streams: Streams, compat: bool) -> list[NDArray[np.intp]]:
    """Return which crops make a picture each: every one with a face.

    ``compat``: all those of one frame together, of the frames that the published system looks at.
    """
    times = _times(streams)
    confidence = np.ones(len(times)) if streams.face_confidence is None else streams.face_confidence
    chosen = np.isin(times, _strided(times)) if compat else np.ones(len(times), np.bool_)
    seen = np.flatnonzero((confidence > 0) & chosen)
    if not len(seen):
        return []
    apart = np.diff(times[seen]) != 0 if compat else np.ones(len(seen) - 1, np.bool_)
    return np.split(seen, np.flatnonzero(apart) + 1)


def _strided(times: FloatArray) -> FloatArray:
    """Return the times of the frames that the published system looks at, of those of all frames."""
    frames = np.unique(times)
    if len(frames) < 2:
        return frames
    rate = round(1 / float(np.median(np.diff(frames))), 2)  # what float32 makes of 25 must not be 24.999
    return frames[looked_at(len(frames), rate)]
