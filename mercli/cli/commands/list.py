"""``mer list KIND``: what is registered."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Plugin

KINDS = ("corpora", "encoders", "heads", "engines", "transcribers", "presets")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("list", cls=Command)(list_)


def list_(
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS), help="What to list.")],
    json: Json = False,
    plugin: Plugin = None,
) -> None:
    """List corpora, encoders, heads, engines, transcribers or presets."""
    rows = _presets() if kind == "presets" else _plugins(kind)
    if json:
        show_json(rows)
        return
    if kind == "presets":
        show_table(["name", "summary"], [[row["name"], row["summary"]] for row in rows])
    else:
        show_table(["name", "summary", "options", "from"], [_cells(row) for row in rows])


def _cells(row: dict[str, Any]) -> list[str]:
    origin = "mer" if row["origin"].startswith("mercli:") else row["origin"]
    return [row["name"], row["summary"], _spell(row), origin]


def _spell(row: dict[str, Any]) -> str:
    if "broken" in row:
        return ""
    return " ".join(f"{name}={option['default']}" for name, option in row["options"].items())


def _presets() -> list[dict[str, Any]]:
    from mercli import presets

    return [{"name": name, "summary": presets.summary(name)} for name in presets.names()]


def _plugins(kind: str) -> list[dict[str, Any]]:
    from mercli import registry

    rows: list[dict[str, Any]] = []
    for spec in registry.specs(kind):
        options = {
            name: {"type": str(p.annotation).replace("<class '", "").replace("'>", ""), "default": _default(p)}
            for name, p in spec.options().items()
        }
        rows.append(
            {
                "name": spec.name,
                "summary": spec.summary,
                "version": spec.version,
                "extra": spec.extra,
                "facts": dict(spec.facts),
                "options": options,
                "origin": spec.origin,
            }
        )
    for fault in registry.broken():
        if fault.kind == kind:
            rows.append({"name": "(broken)", "summary": fault.reason, "origin": fault.origin, "broken": fault.reason})
    return rows


def _default(parameter: Any) -> Any:
    return None if parameter.default is parameter.empty else parameter.default
