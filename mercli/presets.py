"""Presets: YAML documents people copy and change; ``presets/<command>/<family>[-<modality>].yaml``.

YAML 1.2 scalars: PyYAML alone reads ``no`` as False, ``3e-4`` as text and ``1:30`` as 90.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mercli.errors import ConfigError
from mercli.registry import near


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("+", "")
    return int(text, 0) if text.lstrip("-")[:2] in ("0o", "0x") else int(text)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def parse(text: str, origin: str) -> dict[str, Any]:
    """Return a YAML document as a mapping; raises ``ConfigError`` naming ``origin`` and the line."""
    try:
        # _Loader is a SafeLoader: it builds scalars, lists and maps only
        document = yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(f"'{origin}'{where} is not YAML: {getattr(fault, 'problem', fault)}") from fault
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"'{origin}' holds a {type(document).__name__}, expected keys and values")
    return document


def folder() -> Path:
    """Return where the shipped presets lie: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "_presets"
    return inside if inside.is_dir() else package.parent / "presets"


def names() -> list[str]:
    """Return every shipped preset as ``command/name``, sorted."""
    root = folder()
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.glob("*/*.yaml"))


def path_of(name: str, command: str | None = None) -> Path:
    """Return the file of a preset: a path, ``command/name``, or ``name`` under ``command``.

    Raises ``ConfigError`` with the nearest name where there is none.
    """
    given = Path(name)
    if given.suffix in (".yaml", ".yml") and given.is_file():
        return given
    known = names()
    wanted = name if "/" in name or command is None else f"{command}/{name}"
    if wanted in known:
        return folder() / f"{wanted}.yaml"
    if given.suffix in (".yaml", ".yml"):
        raise ConfigError(f"preset file '{name}' does not exist", "mer list presets")
    here = [k.split("/", 1)[1] for k in known if command and k.startswith(f"{command}/")] or known
    raise ConfigError(f"no preset is called '{wanted}'{near(name, here)}", "mer list presets")


def load(name: str, command: str | None = None) -> dict[str, Any]:
    """Return a preset's keys with those of its ``base:`` chain underneath; raises ``ConfigError`` on a loop.

    ``recipe: NAME`` stands for the recipe and the modalities of the extract preset of that name.
    """
    chain: list[Path] = []
    layers: list[dict[str, Any]] = []
    path = path_of(name, command)
    while True:
        if path in chain:
            raise ConfigError(f"preset '{path.name}' is its own base: {' -> '.join(p.stem for p in [*chain, path])}")
        chain.append(path)
        document = parse(path.read_text(encoding="utf-8"), str(path))
        base = document.pop("base", None)
        layers.append(_with_recipe(document, path))
        if base is None:
            break
        beside = path.parent / f"{base}.yaml"
        path = beside if beside.is_file() else path_of(str(base), command)
    merged: dict[str, Any] = {}
    for layer in reversed(layers):
        merged = lay(merged, layer)
    return merged


def _with_recipe(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a preset's keys with the recipe that it names by its extract preset in the place of the name."""
    name = document.get("recipe")
    if not isinstance(name, str):
        return document
    told = load(name, "extract")
    if not isinstance(told.get("recipe"), Mapping):
        raise ConfigError(f"preset '{path.name}' takes its recipe from '{name}', which has none", "mer list presets")
    return {key: told[key] for key in ("recipe", "modalities") if key in told} | (document | {"recipe": told["recipe"]})


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``under`` with ``over`` laid on top, mappings merged key by key."""
    result = dict(under)
    for key, value in over.items():
        held = result.get(key)
        result[key] = merge(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return result


def lay(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``over`` merged onto ``under``, where a plugin choice that changes its ``name`` loses its ``options``.

    Options belong to the plugin they were written for; those that ``over`` itself gives stay.
    """
    result = dict(under)
    for key, value in over.items():
        held = result.get(key)
        if isinstance(held, Mapping) and isinstance(value, Mapping):
            if "name" in held and value.get("name", held["name"]) != held["name"]:
                held = {k: v for k, v in held.items() if k != "options"}
            result[key] = lay(held, value)
        else:
            result[key] = value
    return result


def summary(name: str) -> str:
    """Return the first comment line of a shipped preset."""
    first = (folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[:1]
    return first[0].lstrip("# ").strip() if first else ""
