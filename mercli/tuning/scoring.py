"""What a tuned network answers: logits of examples, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mercli.errors import DataError
from mercli.log import logger
from mercli.tuning.examples import Example
from mercli.tuning.network import Tuned, collated, usable


@dataclass(frozen=True, eq=False)
class Answers:
    """Logits (N, K) of those examples that could be read."""

    examples: Sequence[Example]
    logits: Tensor


@torch.inference_mode()
def answers(
    tuned: Tuned, examples: Sequence[Example], batch: int, run: Callable[[Tensor, dict[str, Tensor]], Tensor]
) -> Answers:
    """Return what a network in eval mode says of examples, batches of like size; unreadable ones are told and left out.

    ``run(owner, inputs)`` gives the logits of a batch (device and precision are the caller's).
    """
    order = sorted(range(len(examples)), key=lambda i: (examples[i].size, examples[i].id))
    kept: list[Example] = []
    rows: list[Tensor] = []
    for start in range(0, len(order), batch):
        pieces, here = [], []
        for example in (examples[i] for i in order[start : start + batch]):
            try:
                pieces.append(usable(tuned.body.pieces(example.read(), None), example.id))
                here.append(example)
            except DataError as fault:  # the unit boundary: one bad segment never stops the others
                logger.warning("%s", fault.message)
        if here:
            given = collated(tuned.body, pieces)
            rows.append(run(given.pop("owner"), given).float().cpu())
            kept += here
    return Answers(kept, torch.cat(rows) if rows else torch.zeros(0, len(tuned.body.classes)))


def figures(found: Answers) -> dict[str, float]:
    """Return UAR, accuracy and the mean cross-entropy of answers; none where nothing was answered."""
    from mercli.tuning.embedded.evaluate import recalls

    if not found.examples:
        return {}
    labels = torch.tensor([example.label for example in found.examples])
    accuracy, uar = recalls(found.logits, labels)
    loss = torch.nn.functional.cross_entropy(found.logits, labels)
    return {"uar": uar, "accuracy": accuracy, "loss": float(loss)}
