"""``text-guided``: the words ask, sound and face answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mercli.errors import ConfigError
from mercli.fusion.heads import taken
from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head

MODALITIES = ("text", "audio", "face")


@plugin("heads", "text-guided", kinds=("one-of", "many-of", "values"), modalities=MODALITIES)
def text_guided(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    width: int = 512,
    heads: int = 8,
    dropout: float = 0.3,
) -> Head:
    """Text-guided attention: one text vector attends to sound and to face frames, and is added to what it finds.

    The system is published as a description without code; this is our reading of it. Attention has keys and values
    half as wide as its queries (the text), because the description joins vectors of 256 to attention of 512. What was
    found is added to the text itself: a description with one vector per modality has one key, whose softmax is 1, so
    that without this sum the text would change nothing. Give sequences of rows, and attention depends on the text too.
    Audio of 562 dimensions is read as 512 acoustic, 25 prosodic, 25 spectral; any other goes through one layer.
    Raises ``ConfigError`` without text, or without both others.
    """
    from mercli.fusion.heads.text_guided_net import TextGuidedNet

    taken.check("text-guided", dims, MODALITIES, least=2)
    if heads < 1 or width < 2 or width % (2 * heads):
        raise ConfigError(
            f"option 'width' is {width}, expected a multiple of twice 'heads' ({heads})",
            "mer train --head text-guided --set width=512",
        )
    return TextGuidedNet(dims, len(scheme.names), width, heads, dropout)
