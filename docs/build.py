"""Write the generated pages of the documentation; a test compares them with what is committed.

Run: .venv/bin/python docs/build.py [FOLDER]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import corpora_page
import gallery
import manifest_schema

HERE = Path(__file__).parent
COMMANDS = (
    ("predict",), ("prepare",), ("extract",), ("train",), ("loco",), ("report",), ("report", "confusion"),
    ("report", "classes"), ("report", "loco"), ("report", "compare"), ("report", "curves"),
    ("report", "calibration"), ("report", "modalities"), ("report", "groups"), ("report", "errors"),
    ("report", "projection"), ("report", "gates"), ("report", "distribution"), ("report", "cost"),
    ("report", "timeline"), ("report", "page"),
    ("finetune",), ("audit",), ("store",), ("store", "ls"), ("store", "verify"), ("store", "rm"),
    ("bundle",), ("bundle", "show"), ("bundle", "verify"), ("bundle", "pack"), ("bundle", "import"),
    ("bundle", "export"),
    ("models",), ("models", "list"), ("models", "pull"), ("models", "verify"),
    ("list",), ("presets",), ("presets", "show"), ("presets", "copy"), ("presets", "check"), ("doctor",), ("tour",),
)  # fmt: skip


def pages() -> dict[str, str]:
    """Return every generated page by its name under docs/."""
    return {
        "cli.md": _commands(),
        "plugins.md": _plugins(),
        "exit-codes.md": _exit_codes(),
        "model-card.md": _model_card(),
        "corpora.md": corpora_page.text(),
        "gallery.md": gallery.text(),
        "schemas/prediction.schema.json": _schema(),
        "schemas/manifest.schema.json": manifest_schema.text(),
    }


def _commands() -> str:
    """Return the help of every command at 80 columns."""
    from typer.testing import CliRunner

    os.environ.update(COLUMNS="80", TERMINAL_WIDTH="80", NO_COLOR="1")
    from mercli.cli.app import app

    parts = ["# Commands", "", "Made from the program's own help by `docs/build.py`.", ""]
    for words in ((), *COMMANDS):
        shown = CliRunner().invoke(app, [*words, "--help"], prog_name="mer", env={"COLUMNS": "80"})
        lines = [line.rstrip() for line in shown.output.strip("\n").splitlines()]
        parts += [f"## mer {' '.join(words)}".rstrip(), "", "```text", *lines, "```", ""]
    return "\n".join(parts)


def _plugins() -> str:
    from mercli import presets, registry
    from mercli.cli.commands.list import _plugins as rows_of

    made = "Made from the registry by `docs/build.py`; `mer list KIND` shows yours, too."
    parts = ["# Plugins and presets", "", made, ""]
    for kind in registry.KINDS:
        parts += [f"## {kind}", "", "| name | what | options |", "|---|---|---|"]
        for row in rows_of(kind):
            if not row["origin"].startswith("mercli:"):
                continue
            options = ", ".join(f"`{name}={option['default']}`" for name, option in row["options"].items())
            cells = (f"`{row['name']}`", row["summary"], options)
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("")
    parts += ["## presets", "", "| name | what |", "|---|---|"]
    parts += [f"| `{name}` | {presets.summary(name)} |" for name in presets.names()]
    return "\n".join(parts) + "\n"


def _exit_codes() -> str:
    from mercli import errors

    rows = [(0, "done", ""), (1, "a bug: the traceback is shown, please report it", "")]
    rows.append((2, "the command line is off", ""))
    for kind in (errors.ConfigError, errors.DataError, errors.PluginError, errors.PartialError):
        rows.append((kind.exit_code, (kind.__doc__ or "").splitlines()[0].rstrip("."), kind.__name__))
    rows += [(130, "interrupted (Ctrl-C)", ""), (141, "the reader of the pipe has gone", "")]
    rows.append((143, "asked to end (SIGTERM, as at a batch system's time limit)", ""))
    head = ["# Exit codes", "", "Made from `mercli/errors.py` by `docs/build.py`.", ""]
    head += ["| code | meaning | error |", "|--:|---|---|"]
    table = [f"| {code} | {what} | {name} |" for code, what, name in rows]
    note = "One clip given alone that fails, or every one of many: 4. Some of many: 6, and the output says which."
    return "\n".join([*head, *table, "", note, ""])


def _model_card() -> str:
    """Return the shipped encoders' card: the written part, then what their own cards tell."""
    from mercli.features.embedded.weights import ASSETS

    parts = [(HERE / "model-card.head.md").read_text(encoding="utf-8").rstrip("\n"), ""]
    for modality in ("audio", "face", "text"):
        card = json.loads((ASSETS / f"{modality}.json").read_text(encoding="utf-8"))
        parts += [f"## {card['name']}", "", *_card(card), ""]
    bundle = json.loads((ASSETS / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    parts += ["## The fusion", "", "Pooling weights: " + _numbers(bundle["facts"]["pooling_weights"]) + ".", ""]
    parts += [f"- {name}: {value}" for name, value in bundle["facts"]["fit"].items()]
    return "\n".join(parts) + "\n"


def _card(card: dict[str, Any]) -> list[str]:
    used = "; ".join(f"{use['corpus']} ({use['split']})" for use in card["trained_on"])
    rows = [f"Trained on: {used}. {card['licence']}.", "", "| measured | value | 95 % interval | examples | clusters |"]
    rows.append("|---|--:|---|--:|--:|")
    for name, figure in card["figures"].items():
        low, high = figure["interval"]
        rows.append(
            f"| {name} | {figure['value']:.3f} | {low:.3f}-{high:.3f} | {figure['examples']} | {figure['clusters']} |"
        )
    return [*rows, "", f"Temperature {card['temperature']:.3f}, from: {card['temperature_from']}."]


def _numbers(table: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in table.items())


def _schema() -> str:
    from pydantic import TypeAdapter

    from mercli.types import Prediction

    schema = TypeAdapter(Prediction).json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mer prediction"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
