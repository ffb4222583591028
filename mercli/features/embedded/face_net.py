"""The network behind ``embedded-face``: grey 48-pixel faces to uniform-prior logits and an embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.features.embedded.members import Members, pooled

if TYPE_CHECKING:
    from mercli.types import ByteArray

SIDE = 48
WIDTH = 256
"""Numbers that one network gives beside its logits."""
MEMBERS = 3
"""Networks that differ in nothing but the seed; their logits are averaged."""
CLASSES = 7


class _Squeeze(nn.Module):
    """Channel gates from the mean map (Hu et al. 2018, squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, channels // 8)
        self.expand = nn.Linear(channels // 8, channels)

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * gates[:, :, None, None]


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual path; ``stride`` 2 halves the map."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, gated: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.gate = _Squeeze(outputs) if gated else nn.Identity()
        self.path: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
            self.path = nn.Sequential(pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.gate(self.norm2(self.conv2(y)))
        return F.relu(y + self.path(x))


class FaceMember(nn.Module):
    """Residual CNN over standardised faces (B, 1, 48, 48), or smaller ones: logits (B, 7) and embedding (B, 256)."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 48, 5, 2, 2, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.blocks = nn.Sequential(
            _Block(48, 64),
            _Block(64, 128, 2),
            _Block(128, 128),
            _Block(128, WIDTH, 2, gated=True),
            _Block(WIDTH, WIDTH, gated=True),
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(WIDTH, CLASSES)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 256) of standardised ``faces`` (B, 1, 48, 48)."""
        maps = self.blocks(self.stem(faces.contiguous(memory_format=torch.channels_last)))
        embedding = maps.mean((2, 3)).float()
        return self.classify(self.dropout(embedding)), embedding


class FaceNet(Members):
    """Three ``FaceMember``s."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__(FaceMember(dropout) for _ in range(MEMBERS))

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 768) of standardised ``faces`` (B, 1, 48, 48)."""
        return pooled(member(faces) for member in self.members)


def grey(crops: ByteArray) -> Tensor:
    """Return RGB crops uint8 (F, H, W, 3) as float grey (F, 1, 48, 48) in 0..255.

    ITU-R BT.601 luma in 16-bit fixed point, as JPEG readers do it, so a grey picture keeps its exact values.
    """
    rgb = torch.from_numpy(crops).to(torch.int32)
    luma = (rgb[..., 0] * 19595 + rgb[..., 1] * 38470 + rgb[..., 2] * 7471 + 32768) >> 16
    faces = luma.float().unsqueeze(1)
    if faces.shape[-2:] != (SIDE, SIDE):
        faces = F.interpolate(faces, (SIDE, SIDE), mode="bilinear", antialias=True)
    return faces


def standardise(faces: Tensor) -> Tensor:
    """Return faces (B, 1, H, W) with zero mean and unit deviation each; a flat picture becomes zeros."""
    centred = faces - faces.mean((1, 2, 3), keepdim=True)
    return centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1.0)
