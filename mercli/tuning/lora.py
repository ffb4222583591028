"""Low-rank changes to a transformer's linear layers (LoRA, Hu et al. 2021) by ``peft``, an extra; merged for saving."""

from __future__ import annotations

from typing import Any

from torch import nn

from mercli.config_tune import FinetuneConfig
from mercli.errors import ConfigError, extra
from mercli.tuning.network import Body
from mercli.tuning.parameters import depths

READ_PAST = ("WavLMAttention",)
"""Modules that read the weights of their linear layers and never call them: a change to those would do nothing."""


def changed(body: Body, config: FinetuneConfig) -> Any:
    """Put changes of ``config.lora`` beside the linear layers above ``config.freeze``; return what merges them.

    Raises ``MissingExtra`` without ``peft``, ``ConfigError`` for a network without a transformer's layers.
    """
    with extra("lora", "lora.rank"):
        from peft import LoraConfig, LoraModel
    names = _layers(body, config)
    if not names:
        raise ConfigError(
            f"lora is for the layers of transformers, and '{config.encoder}' has none that may change",
            "--set lora.rank=0",
        )
    own = config.lora
    how = LoraConfig(r=own.rank, lora_alpha=own.alpha or 2 * own.rank, lora_dropout=own.dropout, target_modules=names)  # type: ignore[arg-type]
    return LoraModel(body.network, how, "default")


def _layers(body: Body, config: FinetuneConfig) -> list[str]:
    """Return the names of the linear layers that are changed: those of numbered layers, but the head's."""
    from transformers import PreTrainedModel

    if config.freeze == "head" or not any(isinstance(one, PreTrainedModel) for one in body.network.modules()):
        return []
    places = depths(body)
    top, lowest = max(places.values()), config.freeze if isinstance(config.freeze, int) else 0
    past = [name for name, one in body.network.named_modules() if type(one).__name__ in READ_PAST]
    return [
        name
        for name, one in body.network.named_modules()
        if isinstance(one, nn.Linear)
        and lowest < places[f"{name}.weight"] < top
        and not any(name.startswith(f"{each}.") for each in past)
    ]
