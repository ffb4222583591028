"""``gated``: SMIL's pairwise gated attention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head


@plugin("heads", "gated", kinds=("one-of", "many-of", "values"))
def gated(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    width: int = 64,
    dropout: float = 0.1,
    gate: Literal["softmax", "sigmoid"] = "softmax",
    presence: bool = False,
) -> Head:
    """SMIL's fusion: a gated unit for each pair of modalities over pooled features, then one layer.

    ``gate="softmax"`` is the seed's: it sums to 1 over the ``width`` features, so each gate is near 1/width and the
    second modality of a pair dominates; ``sigmoid`` is the usual gated multimodal unit (Arevalo et al. 2017).
    ``presence`` tells the last layers which modalities are there; the seed's sees zeros only.
    """
    from mercli.fusion.heads.gated_net import GatedNet

    return GatedNet(dims, len(scheme.names), width, dropout, gate, presence)
