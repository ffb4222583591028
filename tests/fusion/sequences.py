"""Random batches of sequences, for the tests of heads that look at rows."""

from __future__ import annotations

from itertools import product

import torch

from mercli.contracts import Batch
from mercli.types import LabelScheme

SCHEME = LabelScheme("mine", "one-of", ("up", "down", "left"))


def batch_of(dims, lengths, *, seed=0, extra=0, behind=0.0, targets=True):
    """Return a batch with ``lengths`` {m: rows per item, 0 for an absent modality}; ``behind``: what padding holds."""
    draw = torch.Generator().manual_seed(seed)
    values, valid = {}, {}
    for modality, dim in dims.items():
        counts = torch.tensor(lengths[modality])
        real = torch.arange(max(int(counts.max()), 1) + extra) < counts[:, None]
        values[modality] = torch.full((*real.shape, dim), behind)
        for row, count in enumerate(counts.tolist()):
            values[modality][row, :count] = torch.randn(count, dim, generator=draw)
        valid[modality] = real
    present = torch.stack([mask.any(1) for mask in valid.values()], 1)
    wanted = torch.arange(len(present)) % len(SCHEME.names) if targets else None
    return Batch(tuple(dims), values, valid, present, wanted)


def every_subset(dims, rows=4):
    """Return lengths of one item for each non-empty subset of the modalities."""
    subsets = [subset for subset in product((0, 1), repeat=len(dims)) if any(subset)]
    return {m: [rows * subset[i] for subset in subsets] for i, m in enumerate(dims)}


def taken(batch, index):
    """Return the items at ``index``, with all their padding."""
    return Batch(
        batch.modalities,
        {m: v[index] for m, v in batch.values.items()},
        {m: v[index] for m, v in batch.valid.items()},
        batch.present[index],
        None if batch.targets is None else batch.targets[index],
    )


def keeps_the_rules_of_heads(head, dims, lengths):
    """Fail unless padding and company change nothing, order is kept, and gradient reaches every real row."""
    head.eval()
    plain, padded = batch_of(dims, lengths), batch_of(dims, lengths, extra=9, behind=50.0)
    logits = head(plain).logits
    assert logits.isfinite().all()
    torch.testing.assert_close(head(padded).logits, logits, rtol=1e-5, atol=1e-5)
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(head(taken(plain, order)).logits, logits[order], rtol=1e-5, atol=1e-5)
    for item in range(len(logits)):
        alone = {m: [counts[item]] for m, counts in lengths.items()}
        single = taken(padded, [item])
        cut = {m: max(alone[m][0], 1) for m in dims}
        single.values = {m: v[:, : cut[m]] for m, v in single.values.items()}
        single.valid = {m: v[:, : cut[m]] for m, v in single.valid.items()}
        torch.testing.assert_close(head(single).logits[0], logits[item], rtol=1e-5, atol=1e-5)
    head.train()
    for values in plain.values.values():
        values.requires_grad_()
    head.loss(head(plain), plain).backward()
    for modality in head.modalities:
        reached = plain.values[modality].grad.abs().sum(-1) > 0
        assert reached[plain.valid[modality]].all(), f"no gradient reaches some row of {modality}"
        assert not reached[~plain.valid[modality]].any(), f"padding of {modality} is learned from"
