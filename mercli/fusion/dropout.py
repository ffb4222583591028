"""Modality dropout of a whole batch: every clip comes several times, with a modality weakened, hidden or replaced.

Modality dropout: Neverova et al. 2016; the variants: Chumachenko et al. 2022 (arXiv 2201.11095) and AVT-CA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch

from mercli.contracts import Batch
from mercli.errors import ConfigError

Kind = Literal["softhard", "noise", "hard"]
Copies = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def softhard(first: torch.Tensor, second: torch.Tensor, draw: torch.Generator | None = None) -> Copies:
    """Return four copies of B clips: as they are, weakened to (c x, (1 - c) y), without x, without y.

    ``first`` x (B, ...) and ``second`` y (B, ...); c of 0.00, 0.01 ... 0.99 is drawn per clip, then the order. Returns
    (4B, ...), (4B, ...) and the order (4B,): row i is the clip ``order[i] % B``.
    """
    share = torch.randint(0, 100, (len(first),), generator=draw).to(first) / 100
    return _shuffled(
        [first, _times(first, share), torch.zeros_like(first), first],
        [second, _times(second, 1 - share), second, torch.zeros_like(second)],
        draw,
    )


def noise(first: torch.Tensor, second: torch.Tensor, draw: torch.Generator | None = None) -> Copies:
    """Return three copies of B clips: as they are, (N(0, 1), y), (x, N(0, 1)); drawn for x, for y, then the order.

    Shapes as in ``softhard``, with 3B rows.
    """
    one, two = _normal(first, draw), _normal(second, draw)
    return _shuffled([first, one, first], [second, second, two], draw)


def hard(first: torch.Tensor, second: torch.Tensor, draw: torch.Generator | None = None) -> Copies:
    """Return three copies of B clips: as they are, without x, without y; shapes as in ``noise``."""
    return _shuffled([first, torch.zeros_like(first), first], [second, second, torch.zeros_like(second)], draw)


VARIANTS: dict[str, Callable[..., Copies]] = {"softhard": softhard, "noise": noise, "hard": hard}
# the copies (by number) in which the first, then the second modality is hidden
HIDDEN: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "softhard": ((2,), (3,)), "noise": ((), ()), "hard": ((1,), (2,)),
}  # fmt: skip


def grow(
    batch: Batch, kind: Kind, draw: torch.Generator | None = None, pair: tuple[str, str] = ("audio", "face")
) -> Batch:
    """Return the batch three or four times as long; what is hidden is absent there, other modalities stay.

    Copies that would keep no modality are left out. Raises ``ConfigError`` where the batch lacks one of the ``pair``.
    """
    if missing := [modality for modality in pair if modality not in batch.modalities]:
        raise ConfigError(
            f"modality dropout '{kind}' needs {' and '.join(pair)}, and the batch has no {missing[0]}",
            f"mer train --modalities {' '.join(pair)}",
        )
    count = len(batch.present)
    *fresh, order = VARIANTS[kind](*(batch.values[m] for m in pair), draw)
    order = order.to(batch.present.device)
    row, copy = order % count, order // count
    present = batch.present[row].clone()
    for modality, copies in zip(pair, HIDDEN[kind], strict=True):
        for number in copies:
            present[copy == number, batch.modalities.index(modality)] = False
    kept = present.any(1)
    row, present = row[kept], present[kept]
    valid = {m: batch.valid[m][row] & present[:, i, None] for i, m in enumerate(batch.modalities)}
    values = {m: batch.values[m][row] for m in batch.modalities}
    values |= {m: new[kept].masked_fill(~valid[m].unsqueeze(-1), 0) for m, new in zip(pair, fresh, strict=True)}
    targets = None if batch.targets is None else batch.targets[row]
    prior = None if batch.log_prior is None else batch.log_prior[row]
    talk = None if batch.talk is None else batch.talk[row]
    if talk is not None:  # each copy of a dialogue is a dialogue of its own
        talk[:, 0] += copy[kept] * (talk[:, 0].max() + 1)
    soft = None if batch.soft is None else batch.soft[row]
    return Batch(batch.modalities, values, valid, present, targets, prior, talk, soft)


def _times(clips: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    return clips * share.view(-1, *[1] * (clips.dim() - 1)).to(clips)


def _normal(like: torch.Tensor, draw: torch.Generator | None) -> torch.Tensor:
    # drawn on the CPU, so that a seed gives the same numbers on every device
    return torch.randn(like.shape, generator=draw).to(like)


def _shuffled(first: list[torch.Tensor], second: list[torch.Tensor], draw: torch.Generator | None) -> Copies:
    one, two = torch.cat(first), torch.cat(second)
    order = torch.randperm(len(one), generator=draw)
    there = order.to(one.device)
    return one[there], two[there], order
