"""A run opened again: its configuration, the data it was made from, and each of its bundles with what tested it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from mercli import config as configs
from mercli.config import FitConfig, LocoConfig, TrainConfig
from mercli.corpora import manifest
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.jobs import loco
from mercli.jobs.fits import dataset, fitting, folding


@dataclass(frozen=True, eq=False)
class Tested:
    """One bundle of a run and the data that it had not seen: the group is the corpus, with the head where several."""

    name: str
    group: str
    bundle: bundles.Bundle
    data: dataset.Data
    parts: list[fitting.Part]

    @property
    def others(self) -> list[fitting.Part]:
        """The test splits of the corpora that are not in ``parts``."""
        own = {name for name, _ in self.parts}
        return [(name, "test") for name, held in self.data.corpora.items() if name not in own and held.rows("test")]

    @property
    def fitted(self) -> fitting.Fitted:
        """The bundle's head as it left its training."""
        card = self.bundle.card
        return fitting.Fitted(self.bundle.head, self.bundle.stats, card.temperature, [], "cpu", tuple(card.held_prior))


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
        raise DataError(f"run '{run.name}' has no configuration that can be read: {fault}", f"ls {run}") from fault
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


def answering(run: Path, data: Path | None = None) -> Iterator[Tested]:
    """Yield each bundle of a run (that of the seed that was best on dev) with the parts that it was tested on.

    Raises ``DataError`` where the run has no bundle, or its features are not there as they were.
    """
    config = _as_stored(run, settings(run, data))
    found = _loco(run, config) if isinstance(config, LocoConfig) else _train(run, config)
    some = False
    for each in found:
        some = True
        bundles.check_keys(each.bundle.card, each.data.keys)
        yield each
    if not some:
        raise DataError(f"run '{run.name}' has stored no bundle (it is in progress, or was stopped)", f"ls {run}")


def _as_stored(run: Path, config: FitConfig) -> FitConfig:
    """Return the config with the precision that its bundles were trained on: ``auto`` may find others by now."""
    folder = next((path.parent for path in sorted(run.glob("bundle/**/bundle.json"))), None)
    if config.recipe.precision != "auto" or folder is None:
        return config
    told = {"precision": bundles.load(folder).card.recipe["precision"]}
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=told)})


def _loco(run: Path, config: LocoConfig) -> Iterator[Tested]:
    held = dataset.load(config)
    heads = config.heads or (config.head.name,)
    for head in heads:
        for name in config.corpora:
            folder = run / "bundle" / (f"without-{name}" if len(heads) == 1 else f"{head}-without-{name}")
            if folder.is_dir():
                group = name if len(heads) == 1 else f"{name}/{head}"
                yield Tested(folder.name, group, bundles.load(folder), held, [loco.target(config, held, name)])


def _train(run: Path, config: FitConfig) -> Iterator[Tested]:
    held = dataset.load(config)
    folds = config.folds if isinstance(config, TrainConfig) else "official"
    rounds = [held] if folds == "official" else list(folding.folded(held, folds, config.seed))
    for number, part in enumerate(rounds, start=1):
        folder = run / "bundle" / f"fold-{number}" if len(rounds) > 1 else run / "bundle"
        if folder.is_dir():
            own = bundles.load(folder)
            for name in config.corpora:
                if part.corpora[name].rows("test"):
                    yield Tested(folder.name, name, own, part, [(name, "test")])
