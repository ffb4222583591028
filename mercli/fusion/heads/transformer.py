"""``transformer``: the rows of all modalities as one sequence of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercli.errors import ConfigError
from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head


@plugin("heads", "transformer", kinds=("one-of", "many-of", "values"))
def transformer(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    width: int = 128,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.1,
) -> Head:
    """Transformer: the rows of all modalities as one sequence, read by a token that decides.

    Absent modalities and padding are left out of attention. Time and memory grow with the square of all rows together.
    Raises ``ConfigError`` for a width that the heads do not divide.
    """
    from mercli.fusion.heads.transformer_net import TransformerNet

    if heads < 1 or width < 2 or width % heads or width % 2:
        raise ConfigError(
            f"option 'width' is {width}, expected an even multiple of 'heads' ({heads})",
            "mer train --head transformer --set width=128",
        )
    return TransformerNet(dims, len(scheme.names), width, heads, layers, dropout)
