"""What a bundle's head and encoders were trained on, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mercli.fusion.bundle import BundleCard


def of_encoders(card: BundleCard) -> str:
    """Return the sentence of a README on what the encoders were trained on before the head was."""
    told = [f"{m} on {named(card.encoders_trained_on.get(m, ())) or 'nothing'}" for m in card.dims]
    return f"What the encoders were trained on, as they tell: {'; '.join(told)}."


def named(uses: Sequence[Mapping[str, Any]]) -> str:
    """Return the corpora that something was trained on with their splits, in words."""
    splits: dict[str, list[str]] = {}
    for use in uses:
        splits.setdefault(str(use["corpus"]), []).append(str(use["split"]))
    return ", ".join(f"{corpus} ({', '.join(dict.fromkeys(own))})" for corpus, own in splits.items())
