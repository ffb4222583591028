"""Trained weights as the package ships them: one safetensors file, one JSON card beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from mercli.features.embedded.stored import packed
from mercli.rundir import atomic, plain, write_text


def write(folder: Path, modality: str, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Path:
    """Write ``<modality>.safetensors`` and ``<modality>.json`` into ``folder``; return the path of the weights."""
    path = folder / f"{modality}.safetensors"
    with atomic(path) as part:
        part.write_bytes(save(packed(state)))
    write_text(folder / f"{modality}.json", json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")
    return path
