"""What a run of ``mer loco`` compares: each head over each row of encoders (the seed's encoder x left-out table)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mercli import config as configs
from mercli import presets
from mercli.config import Choice, EncoderRow, ExtractConfig, LocoConfig, Recipe
from mercli.config_compat import as_the_seed
from mercli.errors import ConfigError
from mercli.jobs.features import tuned
from mercli.registry import near

OVER = "@"
"""What stands between head and encoders in the name of a system, where a run has rows of encoders."""


def flags(given: Iterable[str] | None) -> dict[str, Any]:
    """Return the configuration key of rows of encoders, each told as a preset, a folder, or several joined by ``+``.

    A row is called as what it is made of. Raises ``ConfigError`` for what is neither an extract preset nor a folder,
    and for two rows of one name.
    """
    rows: dict[str, Any] = {}
    for told in given or ():
        parts = [told] if Path(told).expanduser().exists() else told.split("+")
        name = "+".join(map(_called, parts))
        if name in rows:
            raise ConfigError(f"'{told}' is a second row of encoders called '{name}'", "--encoders, each row once")
        rows[name] = _row(told, parts)
    return {"encoders": rows} if rows else {}


def _called(part: str) -> str:
    path = Path(part).expanduser()
    if path.is_dir():
        path = path.resolve()
        return (path.parent if path.name == "encoder" else path).name
    return path.stem if path.suffix in (".yaml", ".yml") else path.name


def _row(told: str, parts: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"tuned": {}}
    for part in parts:
        if Path(part).expanduser().is_dir():
            modality, choice = tuned.chosen(part)
            if modality in row["tuned"]:
                raise ConfigError(f"'{part}' is a second encoder of {modality} in '{told}'", "--encoders A B")
            row["tuned"][modality] = choice
        elif "recipe" in row:
            raise ConfigError(f"'{part}' is a second preset in '{told}'", "--encoders A B")
        else:
            row |= _preset(part)
    return row


def _preset(name: str) -> dict[str, Any]:
    """Return the recipe and modalities that ``mer extract --preset NAME`` has."""
    known = [own.removeprefix("extract/") for own in presets.names() if own.startswith("extract/")]
    if name.removeprefix("extract/") not in known and Path(name).suffix not in (".yaml", ".yml"):
        raise ConfigError(
            f"'{name}' is neither an extract preset nor a folder that mer finetune left{near(name, known)}",
            "mer list presets",
        )
    held = as_the_seed(configs.over_defaults(ExtractConfig, presets.load(name, "extract")))
    return {key: held[key] for key in ("recipe", "modalities") if key in held}


def systems(config: LocoConfig) -> dict[str, LocoConfig]:
    """Return the config of each system by its name: ``HEAD``, or ``HEAD@ROW`` where the run has rows of encoders.

    Raises ``ConfigError`` for a row that has none of the modalities that are asked for.
    """
    heads = config.heads or (config.head.name,)
    rows = {OVER + name: _over(config, name, row) for name, row in config.encoders.items()} or {"": config}
    return {head + name: _with_head(own, head) for name, own in rows.items() for head in heads}


def _over(config: LocoConfig, name: str, row: EncoderRow) -> LocoConfig:
    """Return the config with the encoders of a row; a folder is laid over the run's recipe as ``--encoder`` would."""
    own = {modality: choice.model_dump() for modality, choice in row.tuned.items()}
    recipe = presets.lay((row.recipe or config.recipe).model_dump(), {"encoders": own})
    modalities = tuple(modality for modality in config.modalities if modality in row.modalities)
    if not modalities:
        raise ConfigError(
            f"encoders '{name}' are of {', '.join(row.modalities)}, and {', '.join(config.modalities)} is asked for",
            f"--modalities {' '.join(row.modalities)}",
        )
    return config.model_copy(update={"recipe": Recipe.model_validate(recipe), "modalities": modalities})


def _with_head(config: LocoConfig, head: str) -> LocoConfig:
    """Return the config for one of its heads; options belong to the head that the config names itself."""
    return config if head == config.head.name else config.model_copy(update={"head": Choice(name=head)})


def parts(system: str) -> tuple[str, str | None]:
    """Return the head and the row of encoders of a system; no row where the run has none."""
    head, _, row = system.partition(OVER)
    return head, row or None


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return which systems are compared: the first head with each other over the same encoders, the first encoders
    with each other under the same head.
    """
    heads = list(dict.fromkeys(name.partition(OVER)[0] for name in names))
    rows = list(dict.fromkeys("".join(name.partition(OVER)[1:]) for name in names))
    beside = [(heads[0] + row, head + row) for row in rows for head in heads[1:]]
    return beside + [(head + rows[0], head + row) for head in heads for row in rows[1:]]
