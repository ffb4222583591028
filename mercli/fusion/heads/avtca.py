"""``avtca``: audio and face attend to each other; three ways of joining them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from mercli.errors import ConfigError
from mercli.fusion.heads import taken
from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head

MODALITIES = ("audio", "face")
Widths = tuple[int, int, int, int]


@plugin("heads", "avtca", kinds=("one-of", "many-of", "values"), modalities=MODALITIES)
def avtca(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    fusion: Literal["it", "lt", "ia"] = "it",
    heads: int = 8,
    audio_widths: Widths = (64, 128, 256, 128),
    face_widths: Widths = (64, 64, 128, 128),
    compat: bool = False,
) -> Head:
    """AVT-CA: convolutions over sound and face frames, joined by cross-attention (it, lt) or its maps (ia).

    Sequences of rows in time order are expected (MFCC; a vector per face frame). ``it``: each stream attends to the
    other between two stages of convolutions; ``lt``: after both; ``ia``: the attention maps weigh the frames.
    ``compat`` changes ``ia`` alone: its weights are then summed over the queries, as AVT-CA has it, so that they scale
    with the length of the *other* stream. Without it they average 1. Raises ``ConfigError`` for other modalities.
    """
    from mercli.fusion.heads.avtca_net import AvtcaNet

    taken.check("avtca", dims, MODALITIES)
    _check_widths(fusion, heads, audio_widths, face_widths)
    return AvtcaNet(dims, len(scheme.names), fusion, heads, audio_widths, face_widths, compat)


def _check_widths(fusion: str, heads: int, audio: Widths, face: Widths) -> None:
    attended = (audio[3], face[3]) if fusion == "lt" else (audio[1], face[1])
    if heads < 1 or any(width < 1 or width % heads for width in (*attended, audio[3])):
        raise ConfigError(
            f"option 'heads' is {heads}, expected a divisor of the widths {', '.join(map(str, attended))}",
            "mer train --head avtca --set heads=8",
        )
    if fusion == "it" and audio[3] != face[3]:
        raise ConfigError(
            f"fusion 'it' ends in one attention for both streams, and their widths are {audio[3]} and {face[3]}",
            "mer train --head avtca --set fusion=lt",
        )
