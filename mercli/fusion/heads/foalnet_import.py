"""Checkpoints of Foal-Net as weights of the ``foalnet`` head, and their fine-tuned speech encoder apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mercli.fusion.heads.seed_state import Pattern, SeedHead, need, renamed, stripped

if TYPE_CHECKING:
    import torch

    from mercli.fusion.heads.seed_state import State

SYSTEM = "Foal-Net"
# the order of its four outputs (IEMOCAP), by the names of the canonical scheme
CLASSES = ("happy", "neutral", "sad", "angry")
_PROJECTION: tuple[tuple[str, str], ...] = ((r"(linear[12]\.weight)", r"\1"), (r"layer_norm\.(.+)", r"norm.\1"))
_LAYER: tuple[tuple[str, str], ...] = (
    (r"w_q\.(?P<rest>.+)", r"query.\g<rest>"),
    (r"w_k\.(?P<rest>.+)", r"key.\g<rest>"),
    (r"w_v\.(?P<rest>.+)", r"value.\g<rest>"),
    (r"w_concat\.(?P<rest>.+)", r"out.\g<rest>"),
    (r"ln\.(?P<rest>.+)", r"norm.\g<rest>"),
)
_PATTERNS: tuple[Pattern, ...] = (
    (r"temp", r"temperature"),
    *((rf"audio_project\.{old}", rf"audio_projection.{new}") for old, new in _PROJECTION),
    *((rf"video_project\.{old}", rf"face_projection.{new}") for old, new in _PROJECTION),
    *((rf"a2v\.(?P<n>\d+)\.{old}", rf"audio_from_face.layers.\g<n>.{new}") for old, new in _LAYER),
    *((rf"v2a\.(?P<n>\d+)\.{old}", rf"face_from_audio.layers.\g<n>.{new}") for old, new in _LAYER),
    (r"a2v_head\.(.+)", r"audio_matches.\1"),
    (r"v2a_head\.(.+)", r"face_matches.\1"),
    (r"cls_head\.(.+)", r"classifier.\1"),
    (r"wavlm\..+", None),
)


def from_seed(state: State) -> SeedHead:
    """Return the head of a Foal-Net checkpoint; sizes are read from the weights, the number of attention heads is 4.

    Weights of its speech encoder are left to ``encoder``. Raises ``DataError`` for a name that Foal-Net does not have.
    """
    state = stripped(state)
    width, audio = need(state, "audio_project.linear1.weight", SYSTEM).shape
    dims = {"audio": int(audio), "face": int(need(state, "video_project.linear1.weight", SYSTEM).shape[1])}
    layers = len({name.split(".")[1] for name in state if name.startswith("a2v.")})
    options = {"layers": layers, "projection": int(width), "compat": True}
    classes = len(need(state, "cls_head.bias", SYSTEM))
    return SeedHead("foalnet", dims, classes, options, renamed(state, _PATTERNS, SYSTEM))


def encoder(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of the WavLM that the checkpoint was trained with, under the names of transformers."""
    return {n.removeprefix("wavlm."): tensor for n, tensor in stripped(state).items() if n.startswith("wavlm.")}


def projection(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of one projection under our names."""
    return renamed(state, _PROJECTION, SYSTEM)


def layer(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of one layer of cross-attention under our names."""
    return renamed(state, _LAYER, SYSTEM)
