"""Alignment of two modalities' vectors by label, and hard negatives by their similarity (Foal-Net, arXiv 2408.09438).

Without summing over positives the alignment is the supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362)
between two modalities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

Negatives = tuple[torch.Tensor, torch.Tensor]
EXCLUDED = -10_000.0


def similarity(audio: torch.Tensor, face: torch.Tensor, temperature: torch.Tensor | float) -> torch.Tensor:
    """Return the cosines (N, N) of audio (N, P), by row, and face (N, P), by column, over the temperature."""
    return F.normalize(audio, dim=-1) @ F.normalize(face, dim=-1).T / temperature


def alignment_loss(likeness: torch.Tensor, labels: torch.Tensor, *, average: bool = True) -> torch.Tensor:
    """Return the mean over both directions and N items of how unlikely the partners of the same label are.

    ``likeness`` (N, N), ``labels`` (N,). ``average=False`` sums over an item's partners in place of averaging, so that
    the loss grows with their number.
    """
    partners = (labels[:, None] == labels[None]).to(likeness)
    if average:
        partners = partners / partners.sum(1, keepdim=True)
    parts = [-(partners * rows.log_softmax(1)).sum(1).mean() for rows in (likeness, likeness.T)]
    return torch.stack(parts).mean()


def hard_negatives(
    likeness: torch.Tensor, labels: torch.Tensor, *, false: bool = False, draw: torch.Generator | None = None
) -> Negatives:
    """Return a face (N,) for each audio and an audio (N,) for each face, of another label: the likelier the more alike.

    All audios draw first, then all faces. Where every item has the same label there is none, told as -1;
    ``false`` draws from all items alike then, although they are no negatives.
    """
    same = labels[:, None] == labels[None]
    audio, face = (
        torch.stack([torch.multinomial(chances, 1, generator=draw) for chances in _chances(rows, same)]).squeeze(1)
        for rows in (likeness, likeness.T)
    )
    if false:
        return audio, face
    lonely = same.all(1)
    return audio.masked_fill(lonely, -1), face.masked_fill(lonely, -1)


def _chances(rows: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    return rows.masked_fill(same, EXCLUDED).softmax(1)
