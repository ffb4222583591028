"""Focal loss (Lin et al. 2017): what fusion heads and encoders learn with where easy items should count less."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-8
"""Never quite 0, where an exponent below 1 has no finite slope."""


def focal(each: Tensor, logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return the losses ``each`` (B,) times (1 - p) ** gamma, p being what logits (B, K) give the targets (B,)."""
    log_p = logits.log_softmax(1).gather(1, targets[:, None]).squeeze(1)
    return each * (-log_p.expm1()).clamp(min=LEAST) ** gamma
