"""``compat: SYSTEM``: every encoder and head of a published system repeats the defects of its code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from mercli import presets
from mercli.errors import ConfigError
from mercli.registry import get

Seed = Literal["smil", "avtca", "foalnet"]
"""Published systems whose encoders and heads have an option ``compat``, which says what changes."""


def as_the_seed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the option ``compat`` set in every encoder and head of the system that ``compat`` names.

    Raises ``ConfigError`` where none of them has that option.
    """
    seed = values.get("compat")
    recipe, head = values.get("recipe"), values.get("head")
    if not isinstance(seed, str) or seed not in get_args(Seed) or not isinstance(recipe, Mapping):
        return dict(values)
    told = {"options": {"compat": True}}
    encoders = {m: told for m, choice in recipe.get("encoders", {}).items() if _repeats("encoders", choice, seed)}
    found: dict[str, Any] = {"recipe": {"encoders": encoders}} if encoders else {}
    if isinstance(head, Mapping) and _repeats("heads", head, seed):
        found["head"] = told
    if not found:
        raise ConfigError(f"compat is '{seed}', and no encoder or head here is of that system", f"--preset {seed}")
    return presets.merge(values, found)


def _repeats(kind: str, choice: Mapping[str, Any], seed: str) -> bool:
    name = str(choice.get("name"))
    return name.partition("-")[0] == seed and "compat" in get(kind, name).options()
