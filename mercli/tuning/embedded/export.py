"""Trained weights as the package ships them: one safetensors file in half precision, one JSON card beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from mercli.rundir import atomic, plain, write_text


def halved(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state dict with floating tensors in float16 and the counters of batch norms left out."""
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    return {key: _halved(value.detach().cpu()).contiguous() for key, value in kept.items()}


def _halved(value: torch.Tensor) -> torch.Tensor:
    return value.half() if value.is_floating_point() else value


def restored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return what ``halved`` gave, in float32: what a user of the file computes with."""
    return {key: value.float() for key, value in state.items()}


def write(folder: Path, modality: str, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Path:
    """Write ``<modality>.safetensors`` and ``<modality>.json`` into ``folder``; return the path of the weights."""
    path = folder / f"{modality}.safetensors"
    with atomic(path) as part:
        part.write_bytes(save(halved(state)))
    write_text(folder / f"{modality}.json", json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")
    return path


def read(path: Path) -> dict[str, torch.Tensor]:
    """Return the float32 state dict of a weights file."""
    return restored(load(path.read_bytes()))
