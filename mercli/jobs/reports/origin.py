"""What a run was made from: its configuration, and the prepared corpora where they still lie."""

from __future__ import annotations

from pathlib import Path

import yaml

from mercli import config as configs
from mercli import rundir
from mercli.config import FitConfig, LocoConfig, TrainConfig
from mercli.corpora import manifest
from mercli.errors import ConfigError, DataError

TUNED = "finetune"
"""The command whose runs hold an encoder: what reports read they have not."""


def refuse_tuned(run: Path) -> None:
    """Raise ``DataError`` for a run of ``mer finetune``."""
    if rundir.made_by(run) == TUNED:
        card = run / "encoder" / "card.json"
        raise DataError(f"run '{run.name}' is one of mer {TUNED}, and reports are of train and loco", f"cat '{card}'")


def settings(run: Path, data: Path | None = None) -> FitConfig:
    """Return what a run of ``train`` or ``loco`` was told, with ``data`` in the place of its own.

    Raises ``DataError`` for another run, and where its data lie there no more.
    """
    path = run / "config.yaml"
    try:
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        model = LocoConfig if "matrix" in held else TrainConfig
        config = configs.validate(model, held, f"run '{run.name}'")
    except (OSError, TypeError, yaml.YAMLError) as fault:
        raise DataError(f"run '{run.name}' has no configuration that can be read: {fault}", f"ls '{run}'") from fault
    except ConfigError as fault:
        raise DataError(f"{fault.message} (it was made by another version of mer)", fault.hint) from fault
    config = config if data is None else config.model_copy(update={"data": str(data)})
    for name in config.corpora:
        if not (Path(config.data) / name / "corpus.yaml").is_file():
            raise DataError(
                f"run '{run.name}' was made of the corpus '{name}', which is not under '{config.data}'", "--data DIR"
            )
    return config


def manifests(run: Path, data: Path | None = None) -> dict[str, manifest.Manifest]:
    """Return the prepared corpora of a run by name; raises ``DataError`` where one is not there."""
    config = settings(run, data)
    return {name: manifest.load(Path(config.data), name) for name in config.corpora}
