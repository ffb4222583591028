"""Checkpoints of SMIL's fusion model (``AVTmodel``) as weights of the ``gated`` head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mercli.errors import DataError
from mercli.fusion.heads.seed_state import Pattern, SeedHead, need, renamed, stripped

if TYPE_CHECKING:
    import torch

    from mercli.fusion.heads.seed_state import State

SYSTEM = "SMIL's AVTmodel"
# the order of the seven outputs of its AFEW, MELD and multi-corpus checkpoints, by the names of the canonical scheme
CLASSES = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry")
_GATE: tuple[Pattern, ...] = ((r"WF1", "first"), (r"WF2", "second"), (r"WF", "gate"))
_LAYERS: tuple[Pattern, ...] = (
    (r"fc_audio\.(.+)", r"project.audio.\1"),
    (r"fc_video\.(.+)", r"project.face.\1"),
    (r"fc_text\.(.+)", r"project.text.\1"),
    (r"fc_avt\.(.+)", r"join.\1"),
    (r"classifier\.(.+)", r"classifier.\1"),
)
_PAIRS = {"gal_av": "audio_face", "gal_vt": "face_text", "gal_ta": "text_audio"}
_PATTERNS = _LAYERS + tuple(
    (rf"{theirs}\.{matrix}", f"gates.{ours}.{part}") for theirs, ours in _PAIRS.items() for matrix, part in _GATE
)
_NAMES = [
    f"{layer}.{part}"
    for layer in ("fc_audio", "fc_video", "fc_text", "fc_avt", "classifier")
    for part in ("weight", "bias")
]
_NAMES += [f"{pair}.{matrix}" for pair in _PAIRS for matrix, _ in _GATE]


def from_seed(state: State) -> SeedHead:
    """Return the head of a checkpoint; its sizes, which it does not tell, are read from the weights.

    Dropout is left at 0, as the seed loads its checkpoints. Raises ``DataError`` for missing and for unknown weights.
    """
    state = stripped(state)
    for name in _NAMES:
        need(state, name, SYSTEM)
    found = renamed(state, _PATTERNS, SYSTEM)
    dims = {modality: found[f"project.{modality}.weight"].shape[1] for modality in ("audio", "face", "text")}
    classes, width = found["classifier.weight"].shape
    return SeedHead("gated", dims, classes, {"width": width, "dropout": 0.0}, found)


def gate(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of one gated layer (``GFL``) under our names."""
    return renamed(state, _GATE, SYSTEM)


def reordered(state: State, names: Sequence[str], own: Sequence[str] = CLASSES) -> dict[str, torch.Tensor]:
    """Return a ``gated`` head's weights whose outputs, the classes ``own``, come in the order of ``names``.

    Raises ``DataError`` where these are not the same classes, or not as many as there are outputs.
    """
    outputs = len(state["classifier.bias"])
    if sorted(names) != sorted(own) or len(own) != outputs:
        raise DataError(
            f"{outputs} outputs in the order {', '.join(own)} cannot be put into the order {', '.join(names)}"
        )
    order = [tuple(own).index(name) for name in names]
    return {name: tensor[order] if name.startswith("classifier.") else tensor for name, tensor in state.items()}
