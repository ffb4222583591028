"""``mer bundle show | verify | pack``: what a bundle says of itself, whether it works here, and one file of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mercli.config import Recipe
from mercli.errors import ConfigError, DataError, MerError, MissingExtra
from mercli.fusion import bundle as bundles
from mercli.fusion import packed
from mercli.jobs.features import encoding, graphs, nearby
from mercli.jobs.predict import bundle_folder
from mercli.log import logger


@dataclass(frozen=True)
class Checked:
    """What ``verify`` found: faults of the bundle itself, and what keeps it from being used on this machine.

    ``encoders`` {modality: {name, key, usable, why, hint}}.
    """

    bundle: str
    name: str | None
    faults: tuple[str, ...]
    obstacles: tuple[str, ...]
    encoders: Mapping[str, Mapping[str, Any]]


def show(name: str) -> dict[str, Any]:
    """Return a bundle's card, and its files with their sizes, checksums and whether they are as they were written."""
    path = bundle_folder(name)
    files = packed.read(path)
    broken = bundles.damaged(path, files)
    card = asdict(bundles.read_card(path, files))
    table = {
        file: {"bytes": len(content), "sha256": bundles.sha256(content), "whole": file not in broken}
        for file, content in sorted(files.items())
    }
    return {"bundle": name, **card, "bytes": sum(map(len, files.values())), "files": table}


def verify(name: str) -> Checked:
    """Check a bundle: files, card, head and weights, numbers, encoders and the keys of their features.

    Raises ``DataError`` where there is no bundle at all.
    """
    path = bundle_folder(name)
    files = packed.read(path)
    faults = [f"'{file}' is not the file that was written" for file in bundles.damaged(path, files)]
    obstacles = []
    try:
        card = bundles.read_card(path, files)
        if not faults:
            faults += _numbers(bundles.load(path))
    except MissingExtra as fault:
        obstacles.append(f"head: {fault.message}")
    except MerError as fault:
        return Checked(name, None, (*faults, fault.message), (), {})
    recipe = nearby.recipe(card, path)
    encoders = {m: _encoder(card, recipe, m, files.get(f"{m}{packed.GRAPH}")) for m in card.dims}
    obstacles += [f"{m}: {found['why']}" for m, found in encoders.items() if not found["usable"]]
    return Checked(name, card.name, tuple(faults), tuple(obstacles), encoders)


def _numbers(bundle: bundles.Bundle) -> Iterator[str]:
    """Yield what is wrong with the numbers of a bundle whose files and shapes are right."""
    for name, tensor in bundle.head.state_dict().items():
        if not bool(tensor.isfinite().all()):
            yield f"the weight '{name}' has NaN or infinite values"
    for kind, table in (("mean", bundle.stats.mean), ("std", bundle.stats.std)):
        for modality, values in table.items():
            if not np.isfinite(values).all() or (kind == "std" and not (values > 0).all()):
                yield f"the {kind} of {modality} features has values that nothing can be scaled by"
    for temperature in (bundle.card.temperature, *bundle.card.temperatures):
        if not 0 < temperature < float("inf"):
            yield f"the temperature is {temperature}, expected a number above 0"
    for name, prior in bundle.card.priors.items():
        values = np.asarray(prior)
        if values.shape != (len(bundle.card.scheme.names),) or not (values > 0).all() or abs(values.sum() - 1) > 1e-3:
            yield f"the prior '{name}' is no distribution over {len(bundle.card.scheme.names)} classes"


def _encoder(card: bundles.BundleCard, recipe: Recipe, modality: str, graph: bytes | None) -> dict[str, Any]:
    """Return whether one encoder of the recipe can be built here and makes the features the head was trained on.

    ``graph``: what an ONNX bundle has in the place of its network.
    """
    choice = recipe.encoders.get(modality)  # type: ignore[call-overload]
    found = {"name": choice.name if choice else None, "key": card.keys.get(modality), "usable": False, "hint": None}
    try:
        with nearby.explained(card):
            built = encoding.build(recipe, [modality])
        if choice is None:
            raise DataError("the recipe names no encoder")
        bundles.check_keys(replace(card, keys={modality: card.keys.get(modality, "")}), built.keys)
        dim = built.encoders[modality].dim
        if dim != card.dims[modality]:
            raise DataError(f"'{choice.name}' makes {dim} numbers, and the head takes {card.dims[modality]}")
        if graph is not None:
            graphs.installed(built, {modality: graph})
    except MerError as fault:
        return {**found, "why": fault.message, "hint": fault.hint}
    return {**found, "usable": True, "why": None}


def pack(name: str, target: Path | None) -> Path:
    """Write a bundle as one ``.mer`` file, the same bytes every time; return its path.

    By default it is named by the bundle and lies in the folder where the command runs. Encoders that lie in folders of
    their own are named in a warning: they are not packed. Raises ``DataError`` for a damaged bundle, ``ConfigError``
    where the file exists.
    """
    path = bundle_folder(name)
    card = bundles.load(path).card
    target = target or Path(f"{card.name.replace('/', '-')}{packed.SUFFIX}")
    if target.is_dir():
        raise ConfigError(
            f"'{target}' is a folder, expected the name of a file", f"mer bundle pack ... -o x{packed.SUFFIX}"
        )
    if target.exists():
        raise ConfigError(f"'{target}' exists, expected a new file name", f"rm '{target}'")
    packed.write(target, packed.read(path))
    if needed := nearby.outside(card):
        places = ", ".join(f"'{place}' ({modality})" for modality, place in needed)
        logger.warning("not in the file: %s; take it along by the same path, beside '%s' or above", places, target.name)
    return target
