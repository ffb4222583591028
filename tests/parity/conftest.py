"""Tensors of the seeds' own computations: ``NAME.safetensors`` with ``NAME.json``, which states its tolerance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch


@dataclass(frozen=True)
class Reference:
    """One parity file: its facts, and its tensors by name (prefixes weights., in., out., mid.)."""

    name: str
    facts: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]

    def part(self, prefix: str) -> dict[str, torch.Tensor]:
        """Return the tensors below ``prefix.``, without it."""
        return {k[len(prefix) + 1 :]: v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}

    def agrees(self, found: torch.Tensor, name: str) -> None:
        """Fail unless ``found`` is the tensor called ``name`` within the file's own tolerance."""
        expected = self.tensors[name]
        assert found.shape == expected.shape, f"{self.name} {name}: {tuple(found.shape)} for {tuple(expected.shape)}"
        difference = (found.double() - expected.double()).abs()
        tolerance = self.facts["tolerance"]
        if "rel_to_max" in tolerance:
            allowed = torch.full_like(difference, tolerance["rel_to_max"] * float(expected.double().abs().max()))
        else:
            allowed = tolerance["atol"] + tolerance["rtol"] * expected.double().abs()
        worst = float((difference - allowed).max()) if difference.numel() else 0.0
        assert worst <= 0, f"{self.name} {name}: off by {float(difference.max()):.3g}, {worst:.3g} beyond the tolerance"


@pytest.fixture
def parity(request: pytest.FixtureRequest) -> Any:
    """Return a function that loads a reference by name, and skips where the folder or the file is absent."""
    folder = Path(request.config.getoption("--parity-dir"))

    def load(name: str) -> Reference:
        if not (folder / f"{name}.safetensors").is_file():
            pytest.skip(f"no parity tensors here ({folder / name})")
        from safetensors.torch import load_file

        facts = json.loads((folder / f"{name}.json").read_text())
        return Reference(name, facts, load_file(folder / f"{name}.safetensors"))

    return load
