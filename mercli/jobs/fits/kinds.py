"""What a configuration may ask of each kind of label scheme; the rest is refused before a run is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mercli import registry
from mercli.config import FitConfig, LocoConfig, TrainConfig
from mercli.errors import ConfigError
from mercli.fusion.bundle import whole_options
from mercli.labels import FIGURES
from mercli.types import LabelScheme


def check(config: FitConfig, scheme: LabelScheme) -> None:
    """Raise ``ConfigError`` for the first option that is not of this kind of scheme."""
    figures = (*FIGURES[scheme.kind], "loss")
    if config.monitor is not None and config.monitor not in figures:
        raise ConfigError(
            f"monitor '{config.monitor}' is no figure of a {scheme.kind} scheme, expected {', '.join(figures)}",
            f"mer {config.command} --set monitor={figures[0]}",
        )
    if scheme.kind == "one-of":
        return
    if isinstance(config, LocoConfig) and config.encoders:
        rows = ", ".join(config.encoders)
        raise ConfigError(
            f"rows of encoders ({rows}) are for one-of schemes, and '{scheme.name}' is a {scheme.kind} scheme",
            "mer loco, without --encoders",
        )
    for key, value, plain in _of_classes(config, scheme):
        if value != plain:
            raise ConfigError(
                f"{key}={value} is for one-of schemes, and '{scheme.name}' is a {scheme.kind} scheme",
                f"mer {config.command} --set {key}={'null' if plain is None else plain}",
            )


def check_head(name: str, options: Mapping[str, Any], scheme: LabelScheme, command: str) -> None:
    """Raise ``ConfigError`` for a head (or the one that it wraps) that does not say it is for this kind of scheme.

    ``command``: the one that is asked for, for the hint.
    """
    facts = registry.get("heads", name).facts
    if inside := facts.get("wraps"):
        own = whole_options(name, options)[1]
        check_head(own[inside], own["options"], scheme, command)
    kinds = facts.get("kinds", ("one-of",))
    if scheme.kind not in kinds:
        other = next(s.name for s in registry.specs("heads") if scheme.kind in s.facts.get("kinds", ()))
        raise ConfigError(
            f"head '{name}' is for {', '.join(kinds)} schemes, and '{scheme.name}' is a {scheme.kind} scheme",
            f"mer {command} --head {other} --scheme {scheme.name}",
        )


def _of_classes(config: FitConfig, scheme: LabelScheme) -> Iterator[tuple[str, Any, Any]]:
    """Yield the options that need classes: key, value, and the value that asks for nothing."""
    yield "mixup", config.mixup, 0.0
    yield "curriculum.pilot", config.curriculum.pilot, 0
    yield "sampler", config.sampler, config.sampler if config.sampler not in ("balanced", "oversample") else "shuffled"
    yield "oversample", config.oversample, None
    yield "loss.name", config.loss.name, "cross-entropy"
    yield "loss.smoothing", config.loss.smoothing, 0.0
    # balanced weights are those of each label's presence, too
    weighs = scheme.kind == "many-of" and config.loss.class_weights == "balanced"
    yield "loss.class_weights", config.loss.class_weights, "balanced" if weighs else "none"
    if scheme.kind == "values":
        yield "loss.adjust_prior", config.loss.adjust_prior, None
    if isinstance(config, TrainConfig):
        yield "distill.teacher", config.distill.teacher, None
    if isinstance(config, LocoConfig):
        yield "compare", config.compare, None
