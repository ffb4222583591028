"""Models in the form of ``transformers``: found here or on the hub, loaded whole, and asked for one hidden state."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mercli.errors import ConfigError, DataError, foreign
from mercli.features import hub
from mercli.features.hub import CONFIG, Pin
from mercli.rundir import sha256

UNUSED = r"masked_spec_embed$"  # it only serves training, and configs differ in whether it exists
POOLER = r"(^|\.)pooler\."


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network in float32 and eval mode, its folder, one sha256 for its weights and how they are used.

    ``pools``: whether its weights hold all that its own pooled output is made with.
    """

    network: Any
    folder: Path
    weights: str
    pools: bool


def load(
    model: str,
    revision: str | None,
    part: Literal["audio", "vision", "text"],
    needed: Sequence[str],
    extra: Sequence[str],
    pin: Pin = None,
) -> Loaded:
    """Return the model of a folder or of the hub; of one that has several parts, the one for this kind of input.

    Of an encoder with a decoder the encoder is taken. ``needed`` and ``extra`` name files beside its weights. Raises
    ``DataError`` where it is not to be had, is not what it is pinned to (``pin``), has code of its own, or lacks
    weights: those would be drawn at random.
    """
    from transformers import AutoModel

    folder = hub.folder(model, revision, (CONFIG, *needed), extra, weights=True)
    files = hub.weights_in(folder)
    hub.held_to(pin, files)
    with foreign(f"'{model}' cannot be loaded"), quiet():
        whole, told = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    network = _part(whole, part)
    lacking = _lacking(whole, network, told["missing_keys"])
    if fatal := [name for name in lacking if not re.search(POOLER, name)]:
        raise DataError(
            f"'{model}' lacks {len(fatal)} tensors of {type(network).__name__}, the first being '{fatal[0]}'"
        )
    described = [folder / name for name in (CONFIG, *needed, *extra) if (folder / name).is_file()]
    lines = sorted(f"{file.name} {sha256(file)}" for file in (*files, *described))
    weights = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return Loaded(network.eval().requires_grad_(False), folder, weights, pools=not lacking)


def _part(whole: Any, part: str) -> nn.Module:
    """Return what of a model takes this kind of input: all of it, its half for it (CLIP), or its encoder."""
    half = getattr(whole, f"{part}_model", None)
    if half is not None:
        return half
    return whole.get_encoder() if whole.config.is_encoder_decoder else whole


def _lacking(whole: nn.Module, network: nn.Module, missing: Sequence[str]) -> list[str]:
    """Return which tensors of ``network``, a part of ``whole``, were not in the weights."""
    own = {id(tensor) for tensor in network.state_dict(keep_vars=True).values()}
    every = whole.state_dict(keep_vars=True)
    return sorted(name for name in missing if not re.search(UNUSED, name) and id(every.get(name)) in own)


def helper(kind: str, folder: Path) -> Any:
    """Return what prepares a model's input (``kind``: ``AutoTokenizer`` ...) from its folder; raises ``DataError``."""
    import transformers

    with foreign(f"'{folder}' holds no {kind.removeprefix('Auto')} that can be read"), quiet():
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def output(network: Any, layer: int, **inputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return a hidden state in float32, and what the model itself pooled of its last one (``None``: it does not).

    Raises ``ConfigError`` for a layer it does not have, ``DataError`` where it gives no hidden state.
    """
    found = network(**inputs, output_hidden_states=layer != -1, return_dict=True)
    if getattr(found, "last_hidden_state", None) is None:
        raise DataError(f"{type(network).__name__} gives no hidden states; expected a model that encodes sequences")
    if layer == -1:
        pooled = getattr(found, "pooler_output", None)
        return found.last_hidden_state.float(), None if pooled is None else pooled.float()
    states = found.hidden_states or ()
    if not -len(states) <= layer < len(states):
        raise ConfigError(
            f"option 'layer' is {layer}, and {type(network).__name__} has the hidden states 0 to {len(states) - 1}",
            "mer list encoders --json",
        )
    return states[layer].float(), None


def averaged(states: Tensor, real: Tensor) -> Tensor:
    """Return the mean (B, D) of the rows of ``states`` (B, L, D) that are ``real`` (B, L)."""
    weight = real.to(states.dtype).unsqueeze(-1)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and listing the unused parts of a model while inside."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
