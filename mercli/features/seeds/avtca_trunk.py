"""The face trunk of AVT-CA: EfficientFace (Zhao, Liu and Zhou, AAAI 2021) up to its 1024 numbers a picture.

A ShuffleNetV2 (Ma et al. 2018, arXiv 1807.11164) whose second stage is modulated by channel and spatial gates and
joined by a path over the four quadrants. Tensor names are those of https://github.com/zengqunzhao/EfficientFace.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.errors import DataError
from mercli.features.folding import folded
from mercli.features.hub import Pin
from mercli.features.seeds.checkpoints import read
from mercli.log import logger

if TYPE_CHECKING:
    from mercli.types import ByteArray

DIM = 1024
SIDE = 224
STEM = 29
STAGES = ((2, 116, 4), (3, 232, 8), (4, 464, 4))
"""Number, channels and units of each stage."""

HINT = "get it from https://github.com/zengqunzhao/EfficientFace, then --set recipe.encoders.face.options.weights=FILE"

Scaling = Literal["seed", "efficientface"]
MEAN, STD = (0.57535914, 0.44928582, 0.40079932), (0.20735591, 0.18981615, 0.18132027)
"""Red, green and blue of 0..1 pictures, as EfficientFace's own training script standardises them."""


def _depthwise(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return the 3x3 convolution that makes ``outputs / inputs`` maps of each map."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, groups=inputs, bias=False)


def _pointwise(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class _Unit(nn.Module):
    """A ShuffleNetV2 unit: stride 2 sees its input on both branches, stride 1 passes half of the channels by."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        half = outputs // 2
        self.halves = stride == 1
        if not self.halves:
            self.branch1 = nn.Sequential(
                _depthwise(inputs, inputs, stride), nn.BatchNorm2d(inputs), *_pointwise(inputs, half)
            )
        self.branch2 = nn.Sequential(
            *_pointwise(half if self.halves else inputs, half),
            _depthwise(half, half, stride),
            nn.BatchNorm2d(half),
            *_pointwise(half, half),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.halves:
            kept, worked = x.chunk(2, 1)
            y = torch.cat((kept, self.branch2(worked)), 1)
        else:
            y = torch.cat((self.branch1(x), self.branch2(x)), 1)
        return F.channel_shuffle(y, 2)


class Modulator(nn.Module):
    """Gates x by sigmoid(channel gate * spatial gate); (B, C, H, W) in and out."""

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4) -> None:
        super().__init__()
        few = channels // reduction
        channel: OrderedDict[str, nn.Module] = OrderedDict(
            gate_c_fc_0=nn.Linear(channels, few),
            gate_c_bn_1=nn.BatchNorm1d(few),
            gate_c_relu_1=nn.ReLU(),
            gate_c_fc_final=nn.Linear(few, channels),
        )
        spatial: OrderedDict[str, nn.Module] = OrderedDict(
            gate_s_conv_reduce0=nn.Conv2d(channels, few, 1),
            gate_s_bn_reduce0=nn.BatchNorm2d(few),
            gate_s_relu_reduce0=nn.ReLU(),
        )
        for k in (0, 1):
            spatial[f"gate_s_conv_di_{k}"] = nn.Conv2d(few, few, 3, padding=dilation, dilation=dilation)
            spatial[f"gate_s_bn_di_{k}"] = nn.BatchNorm2d(few)
            spatial[f"gate_s_relu_di_{k}"] = nn.ReLU()
        spatial["gate_s_conv_final"] = nn.Conv2d(few, 1, 1)
        self.channel_att = nn.ModuleDict({"gate_c": nn.Sequential(channel)})
        self.spatial_att = nn.ModuleDict({"gate_s": nn.Sequential(spatial)})

    def forward(self, x: Tensor) -> Tensor:
        """Return x, each value scaled by its channel's and its place's gate."""
        channel = self.channel_att["gate_c"](x.mean((2, 3)))[:, :, None, None]
        return torch.sigmoid(channel * self.spatial_att["gate_s"](x)) * x


class _Local(nn.Module):
    """Each quadrant of the map through convolutions of its own; half as high and wide, side by side again."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        for quadrant in (1, 2, 3, 4):  # top left, bottom left, top right, bottom right
            self.add_module(f"conv{quadrant}_1", _depthwise(inputs, outputs, 2))
            self.add_module(f"bn{quadrant}_1", nn.BatchNorm2d(outputs))
            self.add_module(f"conv{quadrant}_2", _depthwise(outputs, outputs))
            self.add_module(f"bn{quadrant}_2", nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        columns = []
        for column, part in enumerate(x.tensor_split(2, 3)):
            cells = [self._cell(2 * column + row + 1, cell) for row, cell in enumerate(part.tensor_split(2, 2))]
            columns.append(torch.cat(cells, 2))
        return torch.cat(columns, 3)

    def _cell(self, quadrant: int, x: Tensor) -> Tensor:
        for step in (1, 2):
            convolve, norm = self.get_submodule(f"conv{quadrant}_{step}"), self.get_submodule(f"bn{quadrant}_{step}")
            x = F.relu(norm(convolve(x)))
        return x


class Trunk(nn.Module):
    """Pictures (B, 3, 224, 224) to 1024 non-negative numbers each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = STEM
        for number, channels, units in STAGES:
            rest = [_Unit(channels, channels, 1) for _ in range(units - 1)]
            self.add_module(f"stage{number}", nn.Sequential(_Unit(inputs, channels, 2), *rest))
            inputs = channels
        self.local = _Local(STEM, STAGES[0][1])
        self.modulator = Modulator(STAGES[0][1])
        self.conv5 = nn.Sequential(*_pointwise(inputs, DIM))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (B, 1024) of pictures (B, 3, 224, 224)."""
        x = self.maxpool(self.conv1(pictures))
        x = self.modulator(self.get_submodule("stage2")(x)) + self.local(x)
        x = self.get_submodule("stage4")(self.get_submodule("stage3")(x))
        return self.conv5(x).mean((2, 3))


def scaled(crops: ByteArray | Tensor, scaling: Scaling) -> Tensor:
    """Return RGB crops uint8 (B, H, W, 3) as the trunk's input (B, 3, 224, 224).

    ``seed``: blue, green, red in 0..1, no more, as AVT-CA reads its pictures. ``efficientface``: red, green, blue,
    standardised as the pre-training did it.
    """
    pictures = torch.as_tensor(crops).permute(0, 3, 1, 2).float() / 255
    if pictures.shape[-2:] != (SIDE, SIDE):
        pictures = F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=True)
    if scaling == "seed":
        return pictures.flip(1)
    mean, std = (pictures.new_tensor(one)[:, None, None] for one in (MEAN, STD))
    return (pictures - mean) / std


def load(path: str, pin: Pin = None, *, whole: bool = False) -> tuple[Trunk, str]:
    """Return the trunk with the weights at ``path`` (a file, or the folder of one) and the sha256 of that file.

    ``whole``: as it learns, its normalisations apart from its convolutions.

    As in the seed, what the file lacks stays untrained (the same values each time) and what the trunk does not have is
    passed over; the log says what. Raises ``DataError`` where the file is absent, unsafe, or holds nothing of the trunk
    or tensors of another shape.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise DataError(f"no weights at '{path}', expected EfficientFace_Trained_on_AffectNet7.pth", HINT)
    checkpoint = read(file, pin)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trunk = Trunk()
    own, held = trunk.state_dict(), checkpoint.tensors
    counted = [name for name in own if not name.endswith("num_batches_tracked")]
    lacking = [name for name in counted if name not in held]
    if not own.keys() & held.keys():
        raise DataError(f"'{path}' holds {_few(list(held))}, expected tensors like 'stage2.0.branch1.0.weight'", HINT)
    for name in own.keys() & held.keys():
        if held[name].shape != own[name].shape:
            shapes = f"{tuple(held[name].shape)}, expected {tuple(own[name].shape)}"
            raise DataError(f"'{path}' is not of EfficientFace: '{name}' has the shape {shapes}", HINT)
    trunk.load_state_dict(dict(held), strict=False)
    _tell(path, lacking, [name for name in held if name not in own], len(counted))
    trunk.eval().requires_grad_(False)
    return trunk if whole else folded(trunk), checkpoint.sha256


def _tell(path: str, lacking: list[str], spare: list[str], count: int) -> None:
    if lacking:
        text = "'%s' lacks %d of the %d tensors of EfficientFace, which stay untrained: %s"
        logger.warning(text, path, len(lacking), count, _few(lacking))
    if spare:
        logger.info("'%s': %d tensors are not used: %s", path, len(spare), _few(spare))


def _few(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
