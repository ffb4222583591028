"""Scores that all corpora share, corrected for the corpus that an input sounds or reads like.

Corpora differ in how an emotion is acted and recorded, or written. Corrections are mixed by what the input itself tells
(a mixture of experts, Jacobs et al. 1991), so one set of weights serves them all and what is none of them.
"""

from __future__ import annotations

from torch import Tensor


def corrected(shared: Tensor, corrections: Tensor, registers: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits (B, K) and log-probabilities of registers (B, C).

    ``shared`` (B, K), ``corrections`` (B, C * K), ``registers`` (B, C) scores. What tells registers apart learns from
    their own loss alone.
    """
    told = registers.log_softmax(1)
    weights = told.detach().exp()[:, :, None]
    return shared + (weights * corrections.unflatten(1, (registers.shape[1], -1))).sum(1), told
