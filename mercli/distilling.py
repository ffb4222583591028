"""Knowledge distillation (Hinton et al. 2015): what a student's loss becomes where a teacher's answers are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mercli.config_fit import Distill

if TYPE_CHECKING:
    from torch import Tensor


def distilled(hard: Tensor, logits: Tensor, soft: Tensor | None, how: Distill) -> Tensor:
    """Return (1 - a) ``hard`` + a T^2 KL(teacher || student), ``a`` being the weight and T the temperature.

    ``hard``: the scalar loss of the labels of ``logits`` (B, K). ``soft`` (B, K): the teacher's logits, NaN in rows
    that it has no answer to; ``None`` where nobody teaches. Where it answers a share s of the rows, the divergence is
    theirs alone and counts a s, the loss of all labels 1 - a s: a head's loss is one of its batch (contrast, class
    weights), and is not told apart by rows.
    """
    if soft is None:
        return hard
    known = ~soft.isnan().any(1)
    student = (logits.float() / how.temperature).log_softmax(1)
    teacher = (soft.nan_to_num(0.0) / how.temperature).log_softmax(1)
    apart = (teacher.exp() * (teacher - student)).sum(1) * known
    weight = how.weight * known.float().mean()
    return (1 - weight) * hard + how.weight * how.temperature**2 * apart.mean()
