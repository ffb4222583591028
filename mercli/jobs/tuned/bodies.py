"""The network that a tuning begins with, by the name of its encoder, frozen and changed as the config says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mercli import log
from mercli.config_tune import FinetuneConfig
from mercli.errors import ConfigError

if TYPE_CHECKING:
    from mercli.tuning.network import Body


@dataclass(frozen=True, eq=False)
class Begun:
    """A network ready to tune, how many of its ``whole`` parameters (numbers) are tuned, and its low-rank changes."""

    body: Body
    whole: int
    tuned: int
    changes: Any = None

    def finish(self) -> None:
        """Merge low-rank changes, where there are some, into the weights."""
        if self.changes is not None:
            self.changes.merge_and_unload()


def begin(config: FinetuneConfig, classes: Sequence[str]) -> Begun:
    """Return the config's network with what prepares its input; raises ``MerError`` for one that is not to be had."""
    import torch

    from mercli.tuning import lora
    from mercli.tuning.network import checkpointed
    from mercli.tuning.parameters import freeze

    torch.manual_seed(config.seed)  # a new head is drawn
    body = body_of(config, classes)
    if config.checkpointing:
        checkpointed(body.network)
    whole = sum(parameter.numel() for parameter in body.network.parameters())
    changes = lora.changed(body, config) if config.lora.rank else None
    count = freeze(body, config)
    log.logger.info("%s: %s of %s parameters are tuned", config.encoder, f"{count:,}", f"{whole:,}")
    return Begun(body, whole, count, changes)


def body_of(config: FinetuneConfig, classes: Sequence[str]) -> Body:
    """Return the network that a config names, all of it free to learn.

    Raises ``ConfigError`` where other weights are to take the place of those of a hub's model.
    """
    from mercli.tuning.network import named

    ours, model = named(config.encoder, config.modality)
    if config.weights and not ours:
        raise ConfigError(
            f"'weights' is '{config.weights}', and encoder '{config.encoder}' brings its own", "--set weights=null"
        )
    return BODIES[config.modality](config, ours, model, classes)


def _audio(config: FinetuneConfig, ours: str, model: str | None, classes: Sequence[str]) -> Body:
    from mercli.tuning import shipped, sound

    if ours == "embedded-audio":
        return shipped.ShippedSound(config, model, classes)
    return sound.SmilSound(config, model, classes) if ours else sound.HfSound(config, classes)


def _face(config: FinetuneConfig, ours: str, model: str | None, classes: Sequence[str]) -> Body:
    from mercli.tuning import faces, resnets, shipped

    if ours == "embedded-face":
        return shipped.ShippedFaces(config, model, classes)
    if ours == "smil-face":
        return faces.SmilFaces(config, model, classes)
    if ours:
        return resnets.resnet(config, ours, config.weights or model, classes)
    return faces.HfFaces.of_model(config, classes)


def _text(config: FinetuneConfig, ours: str, model: str | None, classes: Sequence[str]) -> Body:
    from mercli.tuning import shipped, words

    return shipped.ShippedWords(config, model, classes) if ours else words.HfWords(config, classes)


BODIES: dict[str, Any] = {"audio": _audio, "face": _face, "text": _text}
