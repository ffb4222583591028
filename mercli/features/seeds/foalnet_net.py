"""The networks of Foal-Net's features: WavLM for sound, CLIP's picture half for faces, and masks of what is real.

WavLM: Chen et al. 2022, arXiv 2110.13900; CLIP: Radford et al. 2021, arXiv 2103.00020; both as transformers has them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.errors import DataError, foreign
from mercli.features import hub
from mercli.features.hf_models import quiet
from mercli.features.hub import Pin

if TYPE_CHECKING:
    from mercli.types import ByteArray

EPSILON = 1e-7
NEAR = 1.25
"""Sounds are encoded together where the longest is at most so many times as long as the shortest."""


def prefix_mask(lengths: Tensor, size: int, *, zero_is_all: bool = False) -> Tensor:
    """Return which of ``size`` places are real, bool (B, size): the first ``lengths`` (B,) of each row.

    ``zero_is_all``: nothing real marks all as real, as the seed's index -1 does.
    """
    real = torch.where((lengths == 0) & zero_is_all, size, lengths)
    return torch.arange(size, device=lengths.device) < real[:, None]


def fitted(rows: Tensor, size: int) -> tuple[Tensor, int]:
    """Return the first ``size`` of ``rows`` (N, ...), zeros behind where there are fewer, and how many are real."""
    kept = rows[:size]
    padding = kept.new_zeros((size - len(kept), *rows.shape[1:]))
    return torch.cat((kept, padding)), len(kept)


def normalised(wave: Tensor) -> Tensor:
    """Return ``wave`` (N,) at zero mean and unit variance, as WavLM-large's feature extractor makes it."""
    return (wave - wave.mean()) / torch.sqrt(wave.var(unbiased=False) + EPSILON)


def together(lengths: Sequence[int], *, exact: bool) -> Iterator[list[int]]:
    """Yield which sounds are encoded together: of nearly one length, or of one length alone (``exact``)."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        longest = lengths[group[0]] * (1 if exact else NEAR) if group else 0
        if group and lengths[index] > longest:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def hidden(model: Any, waves: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last hidden state (B, L, D) of waves (B, N) and which frames are real (B, L).

    ``real`` bool (B, N): the samples that are sound and no padding; frames come from transformers' own rule.
    """
    with warnings.catch_warnings():  # of torch, on how transformers hands WavLM's mask over
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
        states = model(input_values=waves, attention_mask=real.long()).last_hidden_state
    return states, model._get_feature_vector_attention_mask(states.shape[1], real.long(), add_adapter=False)


def frame_count(model: Any, samples: int) -> int:
    """Return how many frames so many samples give: 0 below the width of one."""
    for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
        samples = max(0, (samples - kernel) // stride + 1)
    return samples


def pictures(crops: ByteArray | Tensor, size: int) -> Tensor:
    """Return RGB crops uint8 (B, H, W, 3) as CLIP takes them (B, 3, size, size): standardised by its mean and std."""
    from transformers.utils.constants import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    scaled = torch.as_tensor(crops).permute(0, 3, 1, 2).float() / 255
    if scaled.shape[-2:] != (size, size):
        scaled = F.interpolate(scaled, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (scaled.new_tensor(one)[:, None, None] for one in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (scaled - mean) / std


def wavlm(model: str, revision: str | None, pin: Pin = None) -> tuple[Any, str]:
    """Return the WavLM model of a folder or of the hub, and the sha256 of its weights; raises ``DataError``."""
    from transformers import WavLMModel

    return _loaded(WavLMModel, model, revision, pin, "wavlm")


def clip(model: str, revision: str | None, pin: Pin = None) -> tuple[Any, str]:
    """Return the picture half of a CLIP model, with its projection, and the sha256; raises ``DataError``."""
    from transformers import CLIPVisionModelWithProjection

    return _loaded(CLIPVisionModelWithProjection, model, revision, pin, "clip")


def _loaded(kind: Any, model: str, revision: str | None, pin: Pin, family: str) -> tuple[nn.Module, str]:
    """Return a model of transformers; what its weights lack would be drawn at random, hence is refused."""
    from transformers import AutoConfig

    folder = hub.folder(model, revision, [hub.CONFIG], [], weights=True)
    files = hub.weights_in(folder)
    hub.held_to(pin, files)
    found = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if not found.startswith(family):
        raise DataError(f"'{model}' is a model of type '{found}', expected {family}")
    with foreign(f"'{model}' cannot be loaded"), quiet():
        network, told = kind.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    # the mask's embedding only serves training, and configs differ in whether it exists
    lacking = sorted(name for name in told["missing_keys"] if not name.endswith("masked_spec_embed"))
    if lacking:
        raise DataError(f"'{model}' lacks {len(lacking)} tensors of {kind.__name__}: {', '.join(lacking[:3])}")
    return network.eval().requires_grad_(False), hub.digest(files)
