"""``concat``: the pooled features of all modalities side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head


@plugin("heads", "concat", kinds=("one-of", "many-of", "values"))
def concat(dims: Mapping[str, int], scheme: LabelScheme, *, hidden: int = 128, dropout: float = 0.3) -> Head:
    """Early fusion: pooled features side by side, a mask for the absent, one hidden layer."""
    from mercli.fusion.heads.concat_net import ConcatNet

    return ConcatNet(dims, len(scheme.names), hidden, dropout)
