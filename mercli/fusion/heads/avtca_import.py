"""Checkpoints of AVT-CA as weights of the ``avtca`` head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mercli.fusion.heads.seed_state import Pattern, SeedHead, need, renamed, stripped

if TYPE_CHECKING:
    import torch

    from mercli.fusion.heads.seed_state import State

SYSTEM = "AVT-CA"
# the order of its eight outputs, those of RAVDESS; calm is no canonical class
CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
_ATTENTION: tuple[tuple[str, str], ...] = ((r"(q|k|v)\.weight", r"\1.weight"), (r"proj\.(.+)", r"proj.\1"))
_BLOCK: tuple[tuple[str, str], ...] = (
    (r"norm1_q\.(.+)", r"norm_q.\1"),
    (r"norm1_k\.(.+)", r"norm_kv.\1"),
    (r"norm2\.(.+)", r"norm.\1"),
    (r"mlp\.fc1\.(.+)", r"mlp.0.\1"),
    (r"mlp\.fc2\.(.+)", r"mlp.2.\1"),
    *((rf"attn\.{old}", rf"attention.{new}") for old, new in _ATTENTION),
)
_TRUNK: tuple[Pattern, ...] = (
    (r"audio_model\.classifier_1\..+", None),  # these two are in every checkpoint and in no computation
    (r"visual_model\.classifier_1\..+", None),
    (r"visual_model\.(?!conv1d_).+", None),  # the per-frame trunk is an encoder, not part of the head
    (r"classifier_1\.0\.(.+)", r"classifier.\1"),
)


def from_seed(state: State) -> SeedHead:
    """Return the head of an AVT-CA checkpoint; fusion and sizes are read from the weights.

    Left out: what no computation uses (both streams' own classifiers; the final attention in ``lt`` and ``ia``; in
    ``ia`` the values and output of the attention). Raises ``DataError`` for a name that AVT-CA does not have.
    """
    state = _unfused(stripped(state))
    fusion = _fusion(state)
    audio = [need(state, f"audio_model.conv1d_{k}.0.weight", SYSTEM).shape[:2] for k in range(4)]
    face = [need(state, f"visual_model.conv1d_{k}.0.weight", SYSTEM).shape[:2] for k in range(4)]
    options = {
        "fusion": fusion,
        "audio_widths": tuple(int(outside) for outside, _ in audio),
        "face_widths": tuple(int(outside) for outside, _ in face),
        "compat": True,
    }
    dims = {"audio": int(audio[0][1]), "face": int(face[0][1])}
    classes = len(need(state, "classifier_1.0.bias", SYSTEM))
    return SeedHead("avtca", dims, classes, options, renamed(state, _patterns(fusion), SYSTEM))


def attention(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of one attention (``q``, ``kv``, ``proj``) under our names."""
    return renamed(_unfused(state), _ATTENTION, SYSTEM)


def block(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of one attention block under our names."""
    return renamed(_unfused(state), _BLOCK, SYSTEM)


def _unfused(state: State) -> dict[str, torch.Tensor]:
    """Return the state with every ``kv`` matrix as its halves ``k`` and ``v``."""
    fresh = {}
    for name, tensor in state.items():
        if name.endswith("kv.weight"):
            stem = name.removesuffix("kv.weight")
            fresh[f"{stem}k.weight"], fresh[f"{stem}v.weight"] = tensor.chunk(2)
        else:
            fresh[name] = tensor
    return fresh


def _fusion(state: State) -> str:
    if "av1.attn.q.weight" in state:
        return "it"
    if "av1.q.weight" in state:
        return "ia"
    need(state, "av.attn.q.weight", SYSTEM)
    return "lt"


def _patterns(fusion: str) -> list[Pattern]:
    patterns: list[Pattern] = list(_TRUNK)
    for stream, ours in (("audio_model", "audio"), ("visual_model", "face")):
        for k in range(4):
            place = f"{ours}.{k // 2}.blocks.{k % 2}"
            patterns.append((rf"{stream}\.conv1d_{k}\.0\.(.+)", rf"{place}.conv.\1"))
            patterns.append((rf"{stream}\.conv1d_{k}\.1\.(.+)", rf"{place}.norm.\1"))
    suffix, join = ("", "after") if fusion == "lt" else ("1", "between")
    for stem, ours in (("av", "to_audio"), ("va", "to_face")):
        if fusion == "ia":
            patterns.append((rf"{stem}{suffix}\.(q|k)\.weight", rf"{join}.{ours}.\1.weight"))
            patterns.append((rf"{stem}{suffix}\.(v|proj)\..+", None))
        else:
            patterns += [(rf"{stem}{suffix}\.{old}", rf"{join}.{ours}.{new}") for old, new in _BLOCK]
    patterns.append((r"finalAttention\.(.+)", r"after.attention.\1" if fusion == "it" else None))
    return patterns
