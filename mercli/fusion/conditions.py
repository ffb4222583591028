"""Test-time conditions: what a trained head answers where a modality is taken away or spoiled.

``zeros``, ``noise`` and ``addnoise`` are AVT-CA's (arXiv 2407.18552) and feed the head something in the modality's
place; ``absent`` tells the head that it is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from mercli.contracts import Batch
from mercli.errors import ConfigError
from mercli.registry import near

Change = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def zeros(values: torch.Tensor, valid: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return zeros, which of standardised features are the training mean; ``values`` (B, T, D), ``valid`` (B, T)."""
    return torch.zeros_like(values)


def noise(values: torch.Tensor, valid: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return N(0, 1)."""
    return torch.randn(values.shape, generator=draw).to(values)


def addnoise(values: torch.Tensor, valid: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """Return the values plus noise that has their own mean and spread, over all that are valid."""
    real = values[valid]
    if not real.numel():
        return values
    return values + real.mean() + real.std(correction=0) * noise(values, valid, draw)


CONDITIONS: dict[str, Change | None] = {"zeros": zeros, "noise": noise, "addnoise": addnoise, "absent": None}


def parsed(text: str, modalities: Iterable[str]) -> tuple[str, str]:
    """Return modality and condition of ``audio=zeros``; raises ``ConfigError`` for one that is unknown."""
    modality, _, kind = text.partition("=")
    hint = "--drop audio=zeros"
    if modality not in modalities:
        raise ConfigError(f"--drop '{text}' names no modality of this model{near(modality, modalities)}", hint)
    if kind not in CONDITIONS:
        raise ConfigError(f"--drop '{text}' tells no condition, expected {', '.join(CONDITIONS)} after '='", hint)
    return modality, kind


def under(batch: Batch, modality: str, kind: str, draw: torch.Generator) -> Batch:
    """Return the batch with one modality as the condition ``kind`` has it, where it is present; all else stays.

    A segment that has nothing else keeps what it has where the modality would be ``absent``.
    """
    place = batch.modalities.index(modality)
    change = CONDITIONS[kind]
    if change is not None:
        valid = batch.valid[modality]
        fresh = change(batch.values[modality], valid, draw).masked_fill(~valid.unsqueeze(-1), 0)
        return replace(batch, values={**batch.values, modality: fresh})
    present = batch.present.clone()
    present[:, place] &= present.sum(1) == 1
    valid = batch.valid[modality] & present[:, place, None]
    hidden = batch.values[modality].masked_fill(~valid.unsqueeze(-1), 0)
    return replace(
        batch, present=present, valid={**batch.valid, modality: valid}, values={**batch.values, modality: hidden}
    )
