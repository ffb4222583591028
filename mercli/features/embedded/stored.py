"""How a weights file holds a network: what is large in 8 bits with a scale a row, the rest in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 10_000
"""Numbers from which a matrix or a kernel is stored in 8 bits."""
_ROWS, _SCALE = ".int8", ".scale"


def packed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a file holds of a state dict: ``X`` that is large as ``X.int8`` and ``X.scale``, one a row.

    Counters of batch norms are left out.
    """
    held: dict[str, Tensor] = {}
    for key, tensor in state.items():
        value = tensor.detach().cpu().contiguous()
        if value.ndim > 1 and value.numel() >= LARGE and value.is_floating_point():
            held[key + _ROWS], held[key + _SCALE] = rounded(value)
        elif not key.endswith("num_batches_tracked"):
            held[key] = value.half() if value.is_floating_point() else value
    return held


def rounded(value: Tensor) -> tuple[Tensor, Tensor]:
    """Return a tensor (R, ...) in steps of -127..127, int8, and the size of each row's steps (R,), float16."""
    import torch

    scale = (value.float().flatten(1).abs().amax(1) / 127).half()
    steps = torch.where(scale > 0, scale.float(), torch.inf).view(-1, *[1] * (value.ndim - 1))
    return (value / steps).round().clamp(-127, 127).to(torch.int8), scale


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the float32 state dict that ``packed`` gave, or one that is whole as it is.

    Raises ``KeyError`` where a scale is missing.
    """
    state: dict[str, Tensor] = {}
    for key, value in tensors.items():
        if key.endswith(_ROWS):
            name = key.removesuffix(_ROWS)
            scale = tensors[name + _SCALE].float()
            state[name] = value.float() * scale.view(-1, *[1] * (value.ndim - 1))
        elif not key.endswith(_SCALE) or key.removesuffix(_SCALE) + _ROWS not in tensors:
            state[key] = value.float()
    return state
