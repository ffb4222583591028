"""Classifiers in the form of ``transformers``: taken from a folder or the hub, their labels held against ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.errors import DataError, foreign
from mercli.features import hub
from mercli.features.hf_models import UNUSED, quiet
from mercli.features.hub import CONFIG


@dataclass(frozen=True, eq=False)
class Start:
    """The network that tuning begins with, its folder, and its classes in the order of its logits."""

    network: Any
    folder: Path
    classes: tuple[str, ...]


def classifier(
    auto: str, model: str, revision: str | None, classes: Sequence[str], reset: bool, files: Sequence[str] = ()
) -> Start:
    """Return a model with a head for ``classes``: its own where it has one for them, else a new one.

    ``auto``: a class of ``transformers`` as ``AutoModelForAudioClassification``; ``files`` may lie beside the weights.
    Raises ``DataError`` where it is not to be had, does not fit, or was trained on other labels and ``reset`` is false.
    """
    import re

    import torch
    import transformers

    folder = hub.folder(model, revision, (CONFIG,), files, weights=True)
    with foreign(f"'{model}' cannot be loaded for classification"), quiet():
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        order = order_of(model, config, classes, reset)
        config.num_labels = len(order)
        config.id2label, config.label2id = dict(enumerate(order)), {name: i for i, name in enumerate(order)}
        network, told = getattr(transformers, auto).from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    body = f"{network.base_model_prefix}."
    torn = [name for name in told["missing_keys"] if name.startswith(body) and not re.search(UNUSED, name)]
    pooled = [name for name in torn if "pooler" not in name]
    if pooled:
        raise DataError(f"'{model}' lacks {len(pooled)} tensors of {type(network).__name__}, the first: '{pooled[0]}'")
    return Start(network, folder, order)


def order_of(model: str, config: Any, classes: Sequence[str], reset: bool) -> tuple[str, ...]:
    """Return ``classes`` in the order of a checkpoint's logits, as they are where its head is new or ``reset``.

    Checkpoints may spell them in other cases.
    Raises ``DataError`` for a head that was trained on other labels.
    """
    trained = any("Classification" in name or name == "AudioNet" for name in config.architectures or ())
    own = [str(config.id2label[i]) for i in sorted(config.id2label)] if trained else []
    if reset or not trained:
        return tuple(classes)
    spelled = {name.casefold(): name for name in classes}
    if sorted(map(str.casefold, own)) != sorted(spelled):
        raise DataError(
            f"'{model}' tells {', '.join(own)}; the corpora have {', '.join(classes)}",
            "mer finetune ... --reset-classifier",
        )
    return tuple(spelled[name.casefold()] for name in own)
