"""``foalnet``: two stacks of cross-attention, helped in training by alignment and matching."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercli.errors import ConfigError
from mercli.fusion.heads import taken
from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head

MODALITIES = ("audio", "face")


@plugin("heads", "foalnet", kinds=("one-of",), modalities=MODALITIES)
def foalnet(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    layers: int = 2,
    heads: int = 4,
    projection: int = 512,
    dropout: float = 0.1,
    alignment: float = 1.0,
    matching: float = 0.1,
    compat: bool = False,
) -> Head:
    """Foal-Net: audio and face attend to each other; training also aligns them and tells true pairs from false.

    ``alignment`` and ``matching`` weigh those two losses; labels are needed for training only. ``compat`` computes them
    as Foal-Net does, which changes the losses and no logits: the alignment of an item is summed over the items of its
    class, so that it grows with the batch, and an item without any of another class draws a false negative. Raises
    ``ConfigError`` for other modalities.
    """
    from mercli.fusion.heads.foalnet_net import FoalNet

    taken.check("foalnet", dims, MODALITIES)
    if min(layers, heads, projection) < 1:
        raise ConfigError(
            f"options 'layers', 'heads', 'projection' are {layers}, {heads}, {projection}, expected 1 or more each",
            "mer train --head foalnet --set heads=4",
        )
    return FoalNet(
        dims, len(scheme.names), layers=layers, heads=heads, projection=projection, dropout=dropout,
        alignment=alignment, matching=matching, compat=compat,
    )  # fmt: skip
