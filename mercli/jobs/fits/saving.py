"""The bundle of a fitted head: its card, which tells what head and encoders have learned from, and its README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mercli import __version__, registry
from mercli.config import FitConfig
from mercli.fusion import bundle as bundles
from mercli.fusion import provenance
from mercli.jobs.features import nearby
from mercli.jobs.fits.dataset import Data
from mercli.jobs.fits.fitting import Fitted, Part
from mercli.jobs.fits.lessons import TEACHER


def save(folder: Path, config: FitConfig, data: Data, fitted: Fitted, train: Sequence[Part], facts: Any) -> None:
    """Write the bundle of a fitted head, with its card; it is named by what it is, so that twice is the same bytes."""
    used = _priors(data, [name for name, _ in train])
    card = bundles.BundleCard(
        name=f"{config.head.name}-on-{'+'.join(name for name, _ in train)}",
        scheme=data.scheme,
        policy=data.policy,
        recipe=nearby.portable(config.recipe, folder).model_dump() | {"precision": data.precision},
        keys=data.keys,
        dims=data.dims,
        head={
            "name": config.head.name,
            "version": registry.get("heads", config.head.name).version,
            "options": config.head.options,
        },
        temperature=1.0 if isinstance(fitted.temperature, tuple) else fitted.temperature,
        temperatures=fitted.temperature if isinstance(fitted.temperature, tuple) else (),
        priors={"train": np.mean(list(used.values()), 0).tolist(), **used} if used else {},
        trained_on=[*_learned_from(data, train), *_taught(data)],
        encoders_trained_on={m: [asdict(use) for use in data.trained_on.get(m, ())] for m in data.dims},
        facts={"mercli": __version__, **facts},
        held_prior=fitted.held_prior,
    )
    bundles.save(folder, card, fitted.head, fitted.stats, _readme(card, facts))


def _learned_from(data: Data, train: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Yield the parts by which corpora they are, whatever those are called here."""
    for name, split in train:
        yield {"corpus": data.corpora[name].identity, "split": split or "all"}


def _taught(data: Data) -> list[dict[str, Any]]:
    """Return what a teacher of the head has seen."""
    return [asdict(use) for use in data.trained_on.get(TEACHER, ())]


def _priors(data: Data, corpora: Sequence[str]) -> dict[str, list[float]]:
    """Return the class frequencies of these corpora, none where labels are no classes."""
    if data.scheme.kind != "one-of":
        return {}
    return {name: np.exp(data.corpora[name].log_prior(len(data.scheme.names))).tolist() for name in corpora}


def _readme(card: bundles.BundleCard, facts: Any) -> str:
    return (
        f"# {card.name}\n\n"
        f"Predicts {', '.join(card.scheme.names)} ({card.policy}) with the head `{card.head['name']}` over "
        f"{', '.join(card.dims)}.\n\n"
        f"The head was trained on {provenance.named(card.trained_on)}. Epoch and temperature were chosen on the dev "
        f"splits of the same corpora.\n\n"
        f"{provenance.of_encoders(card)}\n\n"
        f"    mer predict CLIP --model PATH-OF-THIS-FOLDER\n\n"
        f"Facts: `{facts}`\n"
    )
