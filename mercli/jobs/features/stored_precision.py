"""Which precision stored features have where a recipe says ``auto``: that of the store, wherever it was filled.

``mer extract`` resolves ``auto`` on the device it runs on; ``train`` and ``loco`` may run on another.
"""

from __future__ import annotations

from collections.abc import Sequence

from mercli.config import Recipe
from mercli.corpora.manifest import Manifest
from mercli.errors import ConfigError
from mercli.jobs.features import encoding

PRECISIONS = ("fp32", "bf16", "fp16")


def of_store(recipe: Recipe, encoders: encoding.EncoderSet, held: Sequence[Manifest]) -> encoding.EncoderSet:
    """Return the encoders with the keys of what is stored: in the recipe's precision, or in the one that is there.

    Raises ``ConfigError`` where ``auto`` finds features in several precisions, and says which.
    """
    if recipe.precision != "auto":
        return encoding.made_in(encoders, recipe, recipe.precision)
    every = {precision: encoding.made_in(encoders, recipe, precision) for precision in PRECISIONS}
    found = {precision: places for precision, made in every.items() if (places := _places(made, held))}
    if len(found) > 1:
        told = "; ".join(f"{precision}: {', '.join(places)}" for precision, places in found.items())
        raise ConfigError(
            f"precision 'auto' finds features in {len(found)} precisions ({told}), expected one",
            f"--set recipe.precision={next(iter(found))}",
        )
    return every[next(iter(found), PRECISIONS[0])]


def _places(encoders: encoding.EncoderSet, held: Sequence[Manifest]) -> list[str]:
    """Return which modalities of which corpora have features of these keys, of encoders that precision changes."""
    return [
        f"{modality} of {one.name}"
        for one in held
        for modality, encoder in encoders.encoders.items()
        if encoding.is_large(encoder) and any(encoding.shelf(one.folder, encoders, modality).glob("*.safetensors"))
    ]
