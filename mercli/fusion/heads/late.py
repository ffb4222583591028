"""``late``: each modality decides, the decisions are pooled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head


@plugin("heads", "late", kinds=("one-of", "many-of", "values"))
def late(dims: Mapping[str, int], scheme: LabelScheme, *, hidden: int = 0, dropout: float = 0.2) -> Head:
    """Late fusion: a classifier per modality, pooled log-linearly over those present (values: averaged)."""
    from mercli.fusion.heads.late_net import LateNet

    return LateNet(dims, len(scheme.names), hidden, dropout, scheme.kind)
