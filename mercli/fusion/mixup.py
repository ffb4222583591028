"""Mix-up (Zhang et al. 2018): features and targets of two segments of a batch, mixed in one proportion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mercli.config_fit import Distill
from mercli.contracts import Batch, HeadOutput
from mercli.distilling import distilled

ALONE = Distill()


def mixed_loss(head: Any, batch: Batch, alpha: float, draw: torch.Generator, distill: Distill = ALONE) -> torch.Tensor:
    """Return a head's loss of a batch, of mixtures where ``alpha`` is above 0; with a teacher's where it has answers.

    The loss of a soft target is that of its parts in their proportion, so a head needs to know of hard targets only;
    each part keeps the log-prior of its own corpus.
    """
    if not alpha:
        return _taught(head, head(batch), batch, distill)
    own, other, share = mixtures(batch, alpha, draw)
    output = head(own)
    return share * _taught(head, output, own, distill) + (1 - share) * _taught(head, output, other, distill)


def _taught(head: Any, output: HeadOutput, batch: Batch, distill: Distill) -> torch.Tensor:
    return distilled(head.loss(output, batch), output.logits, batch.soft, distill)


def mixtures(batch: Batch, alpha: float, draw: torch.Generator) -> tuple[Batch, Batch, float]:
    """Return each segment mixed with a partner of the batch, the same with the partners' targets, and the own share.

    The share is a draw of Beta(alpha, alpha) or what is left of 1, whichever is more: the pair the other way round is
    as likely. A mixture has the modalities that both have (in rows that only the segment has it is alone); a segment
    that has none in common with its partner stays as it is.
    """
    present = batch.present
    lead = np.random.default_rng(int(torch.randint(2**62, (1,), generator=draw))).beta(alpha, alpha)
    share = float(max(lead, 1 - lead))
    partner = torch.randperm(len(present), generator=draw).to(present.device)
    partner = torch.where((present & present[partner]).any(1), partner, torch.arange(len(present)).to(partner))
    kept = present & present[partner]
    values, valid = {}, {}
    for place, modality in enumerate(batch.modalities):
        whole, rows = batch.values[modality], batch.valid[modality]
        both = (rows & rows[partner]).unsqueeze(-1)
        valid[modality] = rows & kept[:, place, None]
        blend = torch.where(both, torch.lerp(whole, whole[partner], 1 - share), whole)
        values[modality] = blend.masked_fill(~valid[modality].unsqueeze(-1), 0)
    own = replace(batch, values=values, valid=valid, present=kept)
    prior = None if batch.log_prior is None else batch.log_prior[partner]
    targets = None if batch.targets is None else batch.targets[partner]
    soft = None if batch.soft is None else batch.soft[partner]
    return own, replace(own, targets=targets, log_prior=prior, soft=soft), share
