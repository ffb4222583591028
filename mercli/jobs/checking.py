"""Checking presets against the keys of their commands, and the options of their plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli import config, presets, registry
from mercli.errors import ConfigError

STAND_IN: dict[str, Any] = {"corpora": ["a", "b"]}
KIND_OF = {"head": "heads", "transcriber": "transcribers", "engine": "engines", "corpus": "corpora"}


def preset(name: str, command: str | None = None) -> dict[str, Any]:
    """Return the resolved keys of a valid preset; raises ``ConfigError`` with every fault otherwise."""
    command = command or presets.path_of(name).parent.name
    values = presets.load(name, command)
    if command == "finetune":
        _finetune(presets.path_of(name, command), values)
        return {"name": name, "command": command, "keys": values}
    models = {model.command: model for model in config.PRESETTED}
    if command not in models:
        raise ConfigError(
            f"'{name}' belongs to no command; presets of: {', '.join(sorted([*models, 'finetune']))}",
            "mer presets check NAME --command C",
        )
    model = models[command]
    needed = {key: value for key, value in STAND_IN.items() if key in model.model_fields}
    checked = config.validate(model, config.over_defaults(model, {**needed, **values}), f"preset '{name}'")
    for kind, choice in _choices(checked.model_dump()):
        registry.check_options(registry.get(kind, choice["name"]), choice["options"])
    return {"name": name, "command": command, "keys": values}


def _finetune(path: Path, values: Mapping[str, Any]) -> None:
    """Check a recipe: one with an ``encoder`` by the keys of ``mer finetune``, else by those of what ships inside.

    Which modality's is told by the end of its file's name.
    """
    from mercli.config_tune import FinetuneConfig
    from mercli.tuning.embedded.recipes import RECIPES, altered

    modality = path.stem.rsplit("-", 1)[-1]
    if modality not in RECIPES:
        raise ConfigError(
            f"'{path.name}' does not tell its modality, expected a name that ends in -{', -'.join(sorted(RECIPES))}",
            f"mer presets copy finetune/embedded-audio {path.stem}-audio.yaml",
        )
    if "encoder" not in values:
        altered(RECIPES[modality], values)
        return
    altered(RECIPES[modality], values.get("refit", {}))
    needed = {"corpora": ["a"], "modality": modality}
    config.validate(FinetuneConfig, config.over_defaults(FinetuneConfig, {**needed, **values}), f"preset '{path.stem}'")


def _choices(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every plugin choice below a config with the kind of plugin it names."""
    for key, value in values.items():
        if key == "encoders":
            yield from (("encoders", choice) for choice in value.values())
        elif key in KIND_OF and isinstance(value, Mapping):
            yield KIND_OF[key], value
        elif isinstance(value, Mapping):
            yield from _choices(value)
