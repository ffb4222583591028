"""Encoders that ``mer finetune`` left: a folder says what it encodes, by which plugin, and what it has learned from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mercli.config_tune import OURS
from mercli.errors import ConfigError, DataError

CARD = "card.json"


def flags(folders: Iterable[str] | None) -> dict[str, Any]:
    """Return the configuration keys that put tuned encoders in the place of a recipe's.

    Raises ``DataError`` for a folder that holds none, ``ConfigError`` for two of one modality.
    """
    found: dict[str, Any] = {}
    for given in folders or ():
        modality, choice = chosen(given)
        key = f"recipe.encoders.{modality}"
        if f"{key}.name" in found:
            raise ConfigError(f"'{given}' is a second encoder of {modality}", "--encoder one of them")
        found[f"{key}.name"] = choice["name"]
        found |= {f"{key}.options.{option}": value for option, value in choice["options"].items()}
    return found


def chosen(given: str) -> tuple[str, dict[str, Any]]:
    """Return the modality of a tuned encoder, and its plugin with the option that names its folder.

    Raises ``DataError`` for a folder that holds none.
    """
    folder, card = opened(given)
    return card["modality"], {"name": card["encoder"]["name"], "options": {card["encoder"]["option"]: str(folder)}}


def opened(given: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a tuned encoder, named itself or by its run, and its card; raises ``DataError``."""
    folder = _folder(Path(given).expanduser())
    return folder, _card(folder)


def begun(given: str, modality: str) -> str:
    """Return how a tuning names the tuned encoder that it goes on from; what is none, it names as it is given.

    Raises ``ConfigError`` for an encoder of another modality.
    """
    folder = _folder(Path(given).expanduser())
    if not (folder / CARD).is_file():
        return given
    card = _card(folder)
    if card["modality"] != modality:
        raise ConfigError(f"'{given}' encodes {card['modality']}", f"mer finetune {card['modality']} ...")
    return named(folder, card)


def named(folder: Path, card: Mapping[str, Any]) -> str:
    """Return the name by which the tuned encoder of a folder, with its card, is tuned."""
    name = card["encoder"]["name"]
    return f"{name}:{folder}" if name in OURS else str(folder)


def _folder(given: Path) -> Path:
    """Return the encoder's folder: the one that is named, or that of the run that is named."""
    return given / "encoder" if (given / "encoder" / CARD).is_file() else given


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        card["modality"], card["encoder"]["name"], card["encoder"]["option"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise DataError(
            f"'{folder}' holds no tuned encoder, expected the folder that mer finetune left, with its {CARD}",
            "mer finetune audio --corpora NAME --encoder ID",
        ) from fault
    return card
