"""Which parameters are tuned and how fast: lower layers slower, some not at all."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from mercli.config_tune import FinetuneConfig
from mercli.errors import ConfigError
from mercli.tuning.network import Body

LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|stages|h)\.?(\d+)\.")
CHANGE = "lora_"
"""What the names of low-rank changes have in them."""
TOWER = re.compile(r"members\.\d+\.")


def depths(body: Body) -> dict[str, int]:
    """Return each parameter's depth: 0 below the layers, 1 to N in them, N + 1 behind them and in the head."""
    names = [name for name, _ in body.network.named_parameters()]
    numbers = {name: found for name in names if (found := _layer(name)) is not None and not _in_head(body, name)}
    first, last = min(numbers.values(), default=0), max(numbers.values(), default=-1)
    top = last - first + 2
    layered, passed, found_depths = {_tower(name) for name in numbers}, set(), {}
    for name in names:  # in the order of construction: what follows the layers lies above them
        tower = _tower(name)
        passed |= {tower} if name in numbers else set()
        shallow = bool(tower) and tower not in layered  # beside towers of layers: as near to the answer as their last
        above = tower in passed or shallow or _in_head(body, name)
        found_depths[name] = numbers[name] - first + 1 if name in numbers else top if above else 0
    return found_depths


def _tower(name: str) -> str:
    """Return which of several networks side by side a parameter lies in."""
    found = TOWER.match(name)
    return found[0] if found else ""


def _layer(name: str) -> int | None:
    """Return the number of the layer that a parameter lies in; a convolution's front end is below them all."""
    found = None if "feature_extractor" in name or "pos_conv" in name else LAYER.search(name)
    return int(found[1]) if found else None


def _in_head(body: Body, name: str) -> bool:
    return name.startswith(body.heads)


def freeze(body: Body, config: FinetuneConfig) -> int:
    """Fix what the config says; return how many parameters (numbers, not tensors) are left to tune.

    Where layers are changed at low rank, only the changes and the head are. Raises ``ConfigError`` for more layers than
    there are, and where nothing is left.
    """
    places = depths(body)
    layers = max(0, max(places.values()) - 1)
    if isinstance(config.freeze, int) and config.freeze > layers:
        hint = f"--set freeze={layers or 'none'}"
        raise ConfigError(f"freeze is {config.freeze}, and the network has {layers} layers", hint)
    below = {"none": -1, "features": 0, "head": layers + 1}.get(str(config.freeze), config.freeze)
    for name, parameter in body.network.named_parameters():
        if config.lora.rank:
            fixed = CHANGE not in name and not _in_head(body, name)
        elif config.freeze == "features":
            fixed = "feature_extractor" in name  # a spectrum's front end; embeddings of words go on learning
        else:
            fixed = places[name] <= int(below) and not _in_head(body, name)
        parameter.requires_grad_(not fixed)
    left = sum(parameter.numel() for parameter in body.network.parameters() if parameter.requires_grad)
    if not left:
        raise ConfigError(f"freeze={config.freeze} leaves '{config.encoder}' nothing to tune", "--set freeze=none")
    return left


def groups(body: Body, config: FinetuneConfig) -> list[dict[str, Any]]:
    """Return the optimiser's groups: a rate a depth, no weight decay on biases and norms (vectors)."""
    places, rates = depths(body), config.rates
    top = max(places.values())
    made: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in body.network.named_parameters():
        if parameter.requires_grad:
            own = rates.head if rates.head is not None and _in_head(body, name) else None
            lr = own or rates.lr * rates.decay ** (top - places[name])
            decay = rates.weight_decay if parameter.ndim > 1 else 0.0
            made.setdefault((lr, decay), []).append(parameter)
    return [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in made.items()]
