"""Files and folders that a bundle's recipe names: from the working directory, else from a folder above the bundle."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mercli.config import Choice, Recipe
from mercli.errors import DataError
from mercli.fusion.bundle import BundleCard
from mercli.jobs.features.encoding import PLACES

OPTIONS = (*PLACES, "weights")
"""Options of encoders that may name a file or folder."""
HUB = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
"""What can be the name of a model of the Hugging Face hub; a folder called so is written with ``./`` before it."""


def recipe(card: BundleCard, bundle: Path) -> Recipe:
    """Return the recipe of the bundle that lies at ``bundle``, with what it names where it was found."""
    return _renamed(Recipe.model_validate(card.recipe), lambda option, place: _found(option, place, bundle))


def portable(given: Recipe, bundle: Path) -> Recipe:
    """Return a recipe for the card of a bundle at ``bundle``, from which what it names is found wherever both lie.

    What shares no folder with the bundle but the root stays as it was named.
    """
    return _renamed(given, lambda option, place: _portable(option, place, bundle))


def outside(card: BundleCard) -> list[tuple[str, str]]:
    """Return the modalities whose encoders lie in files or folders beside the bundle, and what names these."""
    return [
        (modality, str(value))
        for modality, choice in Recipe.model_validate(card.recipe).encoders.items()
        for option in OPTIONS
        if modality in card.dims and _is_path(option, value := choice.options.get(option))
    ]


@contextmanager
def explained(card: BundleCard) -> Iterator[None]:
    """Have the ``DataError`` of an encoder that was found nowhere say what the bundle needs, and where to put it."""
    try:
        yield
    except DataError as fault:
        for modality, place in outside(card):
            if not Path(place).is_absolute() and any(f"'{name}'" in fault.message for name in (place, Path(place))):
                raise DataError(
                    f"bundle '{card.name}' needs its {modality} encoder '{place}' (features {card.keys[modality]}), "
                    "which lies neither in the working directory nor in a folder above the bundle",
                    f"run mer in the folder that holds '{place}', or copy that, by the same path, to beside the bundle",
                ) from fault
        raise


def _renamed(given: Recipe, rename: Callable[[str, str], str]) -> Recipe:
    encoders = {
        modality: Choice(
            name=choice.name,
            options={
                option: rename(option, value) if option in OPTIONS and isinstance(value, str) else value
                for option, value in choice.options.items()
            },
        )
        for modality, choice in given.encoders.items()
    }
    return given.model_copy(update={"encoders": encoders})


def _is_path(option: str, value: object) -> bool:
    """Tell whether an option names a file or folder, and no model of the hub."""
    return isinstance(value, str) and not (option == "model" and HUB.fullmatch(value))


def _found(option: str, place: str, bundle: Path) -> str:
    if not _is_path(option, place) or Path(place).expanduser().exists():
        return place
    return next((str(up / place) for up in bundle.resolve().parents if (up / place).exists()), place)


def _portable(option: str, place: str, bundle: Path) -> str:
    here = Path(os.path.abspath(place)).resolve()
    if not here.exists():
        return place
    above = bundle.resolve().parents
    name = Path(place)
    if name.is_absolute() or not any((up / name).resolve() == here for up in above):
        shared = next((up for up in above if here.is_relative_to(up)), above[-1])
        if shared == above[-1]:
            return place
        name = here.relative_to(shared)
    told = name.as_posix()
    return f"./{told}" if option == "model" and HUB.fullmatch(told) else told
