"""ResNets of torchvision (He et al. 2016), tuned and left as those of ``transformers``, which are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mercli.config_tune import RESNETS, FinetuneConfig
from mercli.errors import DataError
from mercli.features import hub
from mercli.features.seeds import checkpoints
from mercli.tuning.faces import HfFaces

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures in 0..1, as all of torchvision's weights expect them."""
SPELT = (
    (r"^layer(\d)\.(\d+)\.conv(\d)\.", "resnet.encoder.stages.{0}.layers.{1}.layer.{2}.convolution."),
    (r"^layer(\d)\.(\d+)\.bn(\d)\.", "resnet.encoder.stages.{0}.layers.{1}.layer.{2}.normalization."),
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", "resnet.encoder.stages.{0}.layers.{1}.shortcut.convolution."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", "resnet.encoder.stages.{0}.layers.{1}.shortcut.normalization."),
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^fc\.", "classifier.1."),
)
"""What torchvision calls a tensor, and what ``transformers`` does."""
FIRST = (1, 0, 1)
"""From which number torchvision counts stages, blocks and their convolutions; ``transformers`` counts from 0."""


def resnet(config: FinetuneConfig, name: str, weights: str | None, classes: Sequence[str]) -> HfFaces:
    """Return the ResNet of this name under ImageNet's means, with the weights of a file, a folder or the hub.

    ``weights``: a state dict of torchvision, of which the last layer is left where the classifier is to be new; without
    one the network begins at random. Raises ``DataError`` for a state dict that does not fit or has other classes.
    """
    from torchvision import models
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    drawn: nn.Module = getattr(models, name)(weights=None, num_classes=len(classes))
    if weights is not None:
        _fill(drawn, weights, config)
    kind, depths = RESNETS[name]
    widths = [width * (4 if kind == "bottleneck" else 1) for width in (64, 128, 256, 512)]
    labels, places = dict(enumerate(classes)), {label: place for place, label in enumerate(classes)}
    network: Any = ResNetForImageClassification(
        ResNetConfig(layer_type=kind, depths=list(depths), hidden_sizes=widths, id2label=labels, label2id=places)
    )
    network.load_state_dict(respelt(drawn.state_dict()))
    processor = ViTImageProcessor(image_mean=list(MEAN), image_std=list(STD))
    return HfFaces(config, network, tuple(classes), processor)


def respelt(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of torchvision's ResNets under the names that ``transformers`` has."""
    return {_respelt(name): tensor for name, tensor in state.items()}


def _respelt(name: str) -> str:
    for old, new in SPELT:
        if found := re.match(old, name):
            places = [int(group) - first for group, first in zip(found.groups(), FIRST, strict=False)]
            return new.format(*places) + name[found.end() :]
    return name


def _fill(network: nn.Module, weights: str, config: FinetuneConfig) -> None:
    place = Path(weights).expanduser()
    if not place.exists() and place.suffix not in hub.STATES:
        place = hub.folder(weights, config.revision, (hub.CONFIG,), (), weights=True)
    found = checkpoints.read(place)
    if "fc.weight" in found.tensors and not config.reset_classifier:
        raise DataError(f"'{weights}' does not say what its classes are", "mer finetune ... --reset-classifier")
    body = {name: tensor for name, tensor in found.tensors.items() if not name.startswith("fc.")}
    checkpoints.fill(network, replace(found, tensors=body), r"^fc\.").requires_grad_(True)
