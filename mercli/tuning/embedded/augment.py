"""Random changes to training faces, drawn from one generator so that a step can be repeated exactly."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mercli.tuning.embedded.recipes import FaceRecipe


def chance(count: int, share: float, generator: Generator) -> Tensor:
    """Return a bool mask (count,) that is true with probability ``share``."""
    return torch.rand(count, generator=generator) < share


def between(count: int, low: float, high: float, generator: Generator) -> Tensor:
    """Return ``count`` uniform draws in ``low..high``."""
    return low + (high - low) * torch.rand(count, generator=generator)


def beta(parameter: float, generator: Generator) -> float:
    """Return one draw of Beta(a, a) by Johnk's rejection (1964), which needs uniform draws only."""
    while True:
        u, v = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        x, y = u ** (1 / parameter), v ** (1 / parameter)
        if 0 < x + y <= 1:
            return x / (x + y)


def moved(faces: Tensor, side: int, recipe: FaceRecipe, generator: Generator) -> Tensor:
    """Return faces (B, 1, side, side) mirrored, turned, scaled and shifted at random; edges are repeated."""
    count = len(faces)
    keep = chance(count, 0.15, generator)
    angle = between(count, -1, 1, generator) * math.radians(recipe.rotation)
    scale = 1 + between(count, -1, 1, generator) * recipe.scale
    shift = between(2 * count, -2, 2, generator).view(count, 2) * recipe.shift
    angle, scale = angle.masked_fill(keep, 0.0), scale.masked_fill(keep, 1.0)
    shift = shift.masked_fill(keep[:, None], 0.0)
    mirror = torch.where(chance(count, 0.5, generator), -1.0, 1.0)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = torch.stack(
        (torch.stack((cosine * mirror, -sine, shift[:, 0]), 1), torch.stack((sine * mirror, cosine, shift[:, 1]), 1)), 1
    )
    grid = F.affine_grid(rows, [count, 1, side, side], align_corners=False)
    return F.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def degraded(faces: Tensor, share: float, generator: Generator) -> Tensor:
    """Return faces in 0..255 some of which look as video makes them: dark, soft, noisy, compressed."""
    from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

    count, side = len(faces), faces.shape[-1]
    bent = chance(count, 2 * share, generator)
    power = between(count, -0.4, 0.4, generator).exp().masked_fill(~bent, 1.0)
    faces = 255 * (faces.clamp(0, 255) / 255) ** power[:, None, None, None]
    soft = chance(count, share, generator)
    small = int(torch.randint(side * 2 // 5, side * 9 // 10, (1,), generator=generator))
    if soft.any():
        less = F.interpolate(faces[soft], (small, small), mode="bilinear", antialias=True)
        faces[soft] = F.interpolate(less, (side, side), mode="bilinear")
    level = between(count, 0, 10, generator) * chance(count, share, generator)
    faces = (faces + torch.randn(faces.shape, generator=generator) * level[:, None, None, None]).clamp(0, 255)
    for index in chance(count, share, generator).nonzero().flatten().tolist():
        quality = int(torch.randint(25, 80, (1,), generator=generator))
        jpeg = encode_jpeg(faces[index].round().to(torch.uint8), quality)
        faces[index] = decode_jpeg(jpeg, ImageReadMode.GRAY).float()
    return faces


def cut(faces: Tensor, share: float, generator: Generator) -> Tensor:
    """Return standardised faces (B, 1, H, W), some with a square of a third of the side at most set to 0."""
    count, side = len(faces), faces.shape[-1]
    size = between(count, side / 5, side / 3, generator) / 2
    place = between(2 * count, 0, side, generator).view(count, 2)
    line = torch.arange(side) + 0.5
    near = (line[None, None] - place[:, :, None]).abs() < size[:, None, None]
    hole = near[:, 0, :, None] & near[:, 1, None, :] & chance(count, share, generator)[:, None, None]
    return faces.masked_fill(hole[:, None], 0.0)


def pairing(count: int, parameter: float, generator: Generator) -> tuple[float, Tensor]:
    """Return the weight of each item, Beta(a, a), and its partner's place (count,) for mixup (Zhang et al. 2018)."""
    weight = beta(parameter, generator)
    return weight, torch.randperm(count, generator=generator)


def mixed(values: Tensor, weight: float, order: Tensor) -> Tensor:
    """Return ``weight`` times each row of ``values`` (B, ...) plus the rest of its partner's."""
    return weight * values + (1 - weight) * values[order]
