"""A run opened again: the data it was made from, and each of its bundles with what tested it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mercli.config import FitConfig, LocoConfig, TrainConfig
from mercli.errors import DataError
from mercli.fusion import bundle as bundles
from mercli.jobs.fits import dataset, fitting, folding, rounds, systems
from mercli.jobs.reports.origin import settings

F = TypeVar("F", bound=FitConfig)


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
        return fitting.of_bundle(self.bundle)


def answering(run: Path, data: Path | None = None) -> Iterator[Tested]:
    """Yield each bundle of a run (that of the seed that was best on dev) with the parts that it was tested on.

    Raises ``DataError`` where the run has no bundle, or its features are not there as they were.
    """
    config = settings(run, data)
    found = _loco(run, config) if isinstance(config, LocoConfig) else _train(run, config)
    some = False
    for each in found:
        some = True
        bundles.check_keys(each.bundle.card, each.data.keys)
        yield each
    if not some:
        raise DataError(f"run '{run.name}' has stored no bundle (it is in progress, or was stopped)", f"ls '{run}'")


def _as_stored(folder: Path | None, config: F) -> F:
    """Return the config with the precision that a bundle was trained on: ``auto`` may find another by now."""
    if config.recipe.precision != "auto" or folder is None:
        return config
    told = {"precision": bundles.load(folder).card.recipe["precision"]}
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=told)})


def _loco(run: Path, config: LocoConfig) -> Iterator[Tested]:
    every = systems.systems(config)
    rounds.forget()
    for system, told in every.items():
        names = {c: f"without-{c}" if len(every) == 1 else f"{system}-without-{c}" for c in config.corpora}
        folders = {c: run / "bundle" / name for c, name in names.items() if (run / "bundle" / name).is_dir()}
        own = _as_stored(next(iter(folders.values()), None), told)
        for name, folder in folders.items():
            group = name if len(every) == 1 else f"{name}/{system}"
            bundle = bundles.load(folder)
            held = rounds.data(own, system).of(tuple(bundle.card.dims))
            yield Tested(folder.name, group, bundle, held, [rounds.target(own, held, name)])


def _train(run: Path, config: FitConfig) -> Iterator[Tested]:
    config = _as_stored(next((path.parent for path in sorted(run.glob("bundle/**/bundle.json"))), None), config)
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
