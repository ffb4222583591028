"""The network of the ``context`` head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mercli.contracts import Batch, Head, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.losses import cross_entropy
from mercli.types import SchemeKind

OWN = "own."
"""What the extras of the head inside are called by."""


class ContextNet(nn.Module):
    """Segments of a dialogue that attend to each other; what they find is added to the logits of the head inside.

    Attention over a dialogue's segments with a relation between their speakers: after DialogueGCN (Ghosal et al. 2019).
    """

    needs_dialogue = True

    def __init__(
        self,
        own: Head,
        dims: Mapping[str, int],
        classes: int,
        hidden: int,
        layers: int,
        dropout: float,
        *,
        both: bool,
        who: bool,
        kind: SchemeKind = "one-of",
    ) -> None:
        super().__init__()
        self.own, self.kind = own, kind
        self.modalities = own.modalities
        self.tables = {f"{OWN}{extra}": names for extra, names in getattr(own, "tables", {}).items()}
        self.both, self.who = both, who
        self.enter = nn.Sequential(
            nn.Linear(sum(dims[m] for m in own.modalities) + len(own.modalities) + classes, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.layers = nn.ModuleList(Listening(hidden, dropout, both=both, who=who) for _ in range(layers))
        self.leave = nn.Linear(hidden, classes)

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K); as extras the inner head's, ``own.logits``, and the last layer's attention (B, B)."""
        own = self.own(batch)
        parts = [pooled(batch.values[m], batch.valid[m]) for m in self.modalities]
        said = own.logits.log_softmax(-1) if self.kind == "one-of" else own.logits
        state = self.enter(torch.cat([*parts, batch.present.to(parts[0]), said], 1))
        heard, distance, same = relations(batch, both=self.both)
        for layer in self.layers:
            state, attention = layer(state, heard, distance, same)
        extras = {f"{OWN}{name}": tensor for name, tensor in own.extras.items()}
        extras |= {f"{OWN}logits": own.logits, "attention": attention}
        return HeadOutput(own.logits + self.leave(state), extras)

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the loss of the targets plus that of the head inside."""
        inner = {name.removeprefix(OWN): tensor for name, tensor in output.extras.items() if name.startswith(OWN)}
        logits = inner.pop("logits")
        return cross_entropy(output.logits, batch) + self.own.loss(HeadOutput(logits, inner), batch)


class Listening(nn.Module):
    """One layer: each segment attends to those it hears, nearer ones first, and may attend to none of them."""

    def __init__(self, width: int, dropout: float, *, both: bool, who: bool) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.decay = nn.Parameter(torch.ones(()))
        self.later = nn.Parameter(torch.zeros(())) if both else None
        self.same = nn.Parameter(torch.zeros(())) if who else None
        self.who = nn.Linear(width, width, bias=False) if who else None
        self.out = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(
        self, state: torch.Tensor, heard: torch.Tensor, distance: torch.Tensor, same: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the new states (B, H) and attention (B, B), of states (B, H) and what ``relations`` gives."""
        score = self.query(state) @ self.key(state).T / state.shape[1] ** 0.5
        score = score - self.decay * distance.abs().clamp(min=1).to(state).log()
        if self.later is not None:
            score = score + self.later * (distance < 0)
        if self.same is not None:
            score = score + self.same * same
        # a place that is always there and says nothing: whoever hears nobody attends to it alone
        score = torch.cat([torch.zeros_like(score[:, :1]), score.masked_fill(~heard, -torch.inf)], 1)
        attention = score.softmax(1)[:, 1:]
        found = attention @ self.value(state)
        if self.who is not None:
            found = found + (attention * same) @ self.who(state)
        return state + self.out(found), attention


def relations(batch: Batch, *, both: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return (B, B) each: which segments a segment hears, how many turns ago they were, and who spoke them.

    That is 1 for the same speaker, -1 for another, 0 where either is not known. A segment that the batch tells no
    dialogue of hears nobody.
    """
    if batch.talk is None:
        nobody = torch.zeros(len(batch.present), len(batch.present), device=batch.present.device)
        return nobody.bool(), nobody, nobody
    dialogue, turn, speaker = batch.talk.unbind(1)
    distance = turn[:, None] - turn
    spoke = batch.present.any(1)  # what has no modality at all says nothing
    heard = (dialogue[:, None] == dialogue) & (distance != 0 if both else distance > 0) & spoke
    known = speaker >= 0
    same = torch.where(speaker[:, None] == speaker, 1.0, -1.0) * (known[:, None] & known)
    return heard, distance, same
