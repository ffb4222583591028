"""A bundle's head as an ONNX graph, which takes features as encoders make them and gives logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mercli.contracts import Batch, Head, HeadOutput
from mercli.fusion import dialogues
from mercli.fusion.batch import Statistics
from mercli.fusion.packed import GRAPH
from mercli.graphs.session import Session
from mercli.graphs.tracing import traced

TALK = "talk"
ROWS = (1, 156, 2, 7)
"""Rows of the made segments that a head is traced with; each has a modality more than the one before, then all."""


class _Whole(nn.Module):
    """A head behind the statistics of its features."""

    def __init__(self, head: Any, stats: Statistics, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.head, self.modalities = head, tuple(dims)
        for modality in dims:
            self.register_buffer(f"mean_{modality}", torch.from_numpy(stats.mean[modality]))
            self.register_buffer(f"std_{modality}", torch.from_numpy(stats.std[modality]))
            if modality in stats.axes:
                self.register_buffer(f"axes_{modality}", torch.from_numpy(stats.axes[modality]))

    def forward(self, **given: Tensor) -> dict[str, Tensor]:
        values, valid = {}, {m: given[f"{m}_valid"] for m in self.modalities}
        for modality in self.modalities:
            rows = given[modality]
            if hasattr(self, f"axes_{modality}"):
                rows = rows @ getattr(self, f"axes_{modality}")
            rows = (rows - getattr(self, f"mean_{modality}")) / getattr(self, f"std_{modality}")
            values[modality] = rows * valid[modality].unsqueeze(-1)
        present = torch.stack([mask.any(1) for mask in valid.values()], 1)
        batch = Batch(self.modalities, values, valid, present, talk=given.get(TALK))
        return {"logits": self.head(batch).logits}


def inputs(batch: Batch, *, talks: bool) -> dict[str, Tensor]:
    """Return a batch as the graph takes it; ``talks``: with dialogues, each segment alone where none are told.

    {modality: (B, T, D)}, {modality_valid: (B, T)}, talk (B, 3).
    """
    given = dict(batch.values) | {f"{m}_valid": mask for m, mask in batch.valid.items()}
    if not talks:
        return given
    alone = torch.stack([torch.arange(len(batch.present)), *torch.zeros(2, len(batch.present), dtype=torch.long)], 1)
    return given | {TALK: alone if batch.talk is None else batch.talk}


def graph(head: Head, stats: Statistics, dims: Mapping[str, int]) -> bytes:
    """Return a trained head and its statistics as a graph; raises ``ConfigError`` for a head that cannot be one."""
    rows = {m: torch.tensor(ROWS) * (torch.arange(len(ROWS)) >= place) for place, m in enumerate(dims)}
    valid = {m: torch.arange(max(ROWS)) < counts[:, None] for m, counts in rows.items()}
    values = {m: torch.zeros(*valid[m].shape, dim) for m, dim in dims.items()}
    given = inputs(Batch(tuple(dims), values, valid, valid[next(iter(dims))]), talks=dialogues.asks(head))
    free = {name: (0,) if name == TALK else (0, 1) for name in given}
    return traced(_Whole(head, stats, dims), given, free)


class GraphHead(nn.Module):
    """A head that a graph computes: of all a head has, logits alone."""

    def __init__(self, content: bytes, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.session, self.modalities = Session(content, f"head{GRAPH}"), tuple(dims)
        self.needs_dialogue = TALK in self.session.inputs

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K) of features as encoders make them."""
        return HeadOutput(self.session(inputs(batch, talks=self.needs_dialogue))["logits"])
