"""Checking presets against the keys of their commands, and the options of their plugins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        from mercli.tuning.recipes import RECIPES, altered

        altered(RECIPES[name.rsplit("-", 1)[-1]], values)
        return {"name": name, "command": command, "keys": values}
    models = {model.command: model for model in config.PRESETTED}
    if command not in models:
        raise ConfigError(
            f"'{name}' belongs to no command; presets of: {', '.join(sorted(models))}",
            "mer presets check NAME --command C",
        )
    needed = {key: value for key, value in STAND_IN.items() if key in models[command].model_fields}
    checked = config.validate(models[command], {**needed, **values}, f"preset '{name}'")
    for kind, choice in _choices(checked.model_dump()):
        registry.check_options(registry.get(kind, choice["name"]), choice["options"])
    return {"name": name, "command": command, "keys": values}


def _choices(values: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every plugin choice below a config with the kind of plugin it names."""
    for key, value in values.items():
        if key == "encoders":
            yield from (("encoders", choice) for choice in value.values())
        elif key in KIND_OF and isinstance(value, Mapping):
            yield KIND_OF[key], value
        elif isinstance(value, Mapping):
            yield from _choices(value)
