"""How ``--set`` spells a key and a value, and where in a command's config they belong."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from mercli import registry
from mercli.errors import ConfigError


def override(text: str) -> tuple[str, Any]:
    """Split ``a.b=value`` at the first ``=``; the value is JSON, else text. Raises ``ConfigError`` without ``=``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set '{text}' has no '=', expected key=value")
    try:
        return key.strip(), json.loads(value)
    except json.JSONDecodeError:
        return key.strip(), value


def place(model: Any, key: str) -> list[str]:
    """Return the path of a ``--set`` key: a bare key that is no field of the config is an option of its main plugin.

    Raises ``ConfigError`` for one that is nearly a field and no option of any plugin.
    """
    path = key.split(".")
    if len(path) > 1 or key in model.model_fields or model.main is None:
        return path
    close = get_close_matches(key, model.model_fields, 1, 0.8)
    if close and not any(key in spec.options() for spec in registry.specs(f"{model.main}s")):
        raise ConfigError(
            f"--set {key}: neither a key of mer {model.command} (did you mean '{close[0]}'?) nor an option of any "
            f"{model.main}",
            f"mer {model.command} --help",
        )
    return [model.main, "options", key]


def layer(path: list[str], value: Any) -> dict[str, Any]:
    """Return a value under nested keys."""
    for key in reversed(path):
        value = {key: value}
    return value
