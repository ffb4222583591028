"""Prepared corpora whose features are random numbers of any width, written straight into the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from mercli import config, registry
from mercli.corpora import manifest
from mercli.jobs.extract import stores
from mercli.jobs.features import encoding
from mercli.labels import CANONICAL
from mercli.types import Clip, Feature, Segment

PLUGIN = Path(__file__).with_name("given_encoders.py")
SHARD = 5_000
"""Segments that one file of the store holds."""


def recipe(dims: Mapping[str, int]) -> list[str]:
    """Return the settings (``key=value``) by which a command takes features of these widths."""
    return [
        f"recipe.encoders.{modality}.{setting}"
        for modality, dim in dims.items()
        for setting in (f"name=given-{modality}", f"options.dim={dim}")
    ]


def make(data: Path, corpora: Sequence[str], count: int, dims: Mapping[str, int]) -> list[str]:
    """Write corpora of ``count`` segments each, 8 of 10 for training; return the options of commands that use them."""
    if PLUGIN.resolve() not in registry.loaded_files():
        registry.load_file(PLUGIN)
    told = config.resolve(config.ExtractConfig, {"corpora": tuple(corpora)}, sets=recipe(dims))
    draw = np.random.default_rng(0)
    classes = len(CANONICAL.names)
    centres = {m: draw.standard_normal((classes, dim), np.float32) / 4 for m, dim in dims.items()}
    for name in corpora:
        labels = draw.integers(0, classes, count)
        manifest.write(data / name, card(data), segments(name, labels))
        held = manifest.load(data, name)
        for modality, store in stores(held, encoding.build(told.recipe, tuple(dims))).items():
            for first in range(0, count, SHARD):
                own = labels[first : first + SHARD]
                rows = draw.standard_normal((len(own), dims[modality]), np.float32) + centres[modality][own]
                store.append({f"{name}/c{first + row:06}/0": feature(rows[row]) for row in range(len(rows))}, {})
    return ["--plugin", str(PLUGIN), "--data", str(data), *(part for one in recipe(dims) for part in ("--set", one))]


def card(data: Path) -> dict[str, object]:
    """Return the card of a corpus that is labelled with the canonical classes."""
    names = list(CANONICAL.names)
    own = {"name": "own", "kind": "one-of", "names": names}
    table = {"source": "own", "target": CANONICAL.name, "table": {name: name for name in names}}
    return {"reader": "made", "made": True, "root": str(data), "scheme": own, "label_map": table}


def segments(corpus: str, labels: np.ndarray) -> Iterator[Clip | Segment]:
    """Yield a clip and its segment per label, by 50 speakers."""
    for row, label in enumerate(labels):
        clip = f"{corpus}/c{row:06}"
        yield Clip(clip, corpus, f"{row}.mp4", duration=3.0)
        said = {"speaker": f"s{row % 50}", "text": f"{corpus} says sentence number {row}", "text_source": "corpus"}
        split = ("train", "dev", "test")[max(0, row % 10 - 7)]
        yield Segment(f"{clip}/0", clip, 0.0, 3.0, **said, labels={"own": CANONICAL.names[label]}, split=split)


def feature(row: np.ndarray) -> Feature:
    """Return a feature of one row."""
    return Feature(row[None], np.zeros((1, 2), np.float32), np.ones(1, np.bool_))
