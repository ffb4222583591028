"""Which segments have which modalities and classes: told before training, refused where nothing could be learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mercli import log
from mercli.errors import DataError
from mercli.jobs.fits.dataset import Data

Part = tuple[str, str | None]
"""A split of a corpus; ``None`` is all of it."""


def tell(data: Data) -> None:
    """Log how many labelled segments of each corpus have each modality; raise ``DataError`` for one that none has."""
    for name, corpus in data.corpora.items():
        having = ", ".join(f"{modality} {corpus.having[modality]}" for modality in data.dims)
        left = f", {corpus.incomplete} of them left out for lack of one" if corpus.incomplete else ""
        log.logger.info("%s: %d labelled segments with features (%s)%s", name, corpus.featured, having, left)
    held = [m for m in data.dims if any(corpus.having[m] for corpus in data.corpora.values())]
    for modality in data.dims:
        if modality not in held:
            names = ", ".join(data.corpora)
            raise DataError(f"no segment of {names} has the modality '{modality}'", f"--modalities {' '.join(held)}")


def summary(data: Data) -> dict[str, dict[str, Any]]:
    """Return per corpus how many segments are used, which labels were dropped, and what has which features."""
    return {
        name: {
            "segments": len(corpus.segments),
            "dropped_labels": dict(corpus.dropped),
            "without_features": corpus.without_features,
            "modalities": {modality: corpus.having[modality] for modality in data.dims},
            "incomplete": corpus.incomplete,
        }
        for name, corpus in data.corpora.items()
    }


def check_tests(rounds: Iterable[Data]) -> None:
    """Raise ``DataError`` where a round of training tests a corpus none of whose classes it learns."""
    for data in rounds:
        for name in data.corpora:
            check_classes(data, [(each, "train") for each in data.corpora], [(name, "test")])


def check_parts(data: Data, learn: Sequence[Part], choose: Sequence[Part]) -> None:
    """Raise ``DataError`` where a part to learn from or to choose by is empty, or teaches nothing."""
    for name, split in (*learn, *choose):
        if not data.corpora[name].rows(split):
            raise DataError(f"corpus '{name}' has no {split} split", "mer prepare ... --split speaker:0.8/0.1/0.1")
    taught = _classes(data, learn)
    if len(taught) < 2:
        told = f"class only: '{_listed(data, taught)}'" if data.scheme.kind == "one-of" else f"{data.scheme.name} only"
        raise DataError(f"the training part has one {told}")
    check_classes(data, learn, choose)


def check_asked(data: Data, learn: Sequence[Part], ask: Part) -> None:
    """Raise ``DataError`` where a part has no segment with what is learned: none of its modalities, or its classes."""
    if not data.corpora[ask[0]].rows(ask[1]):
        raise DataError(f"no segment of {_named([ask])} has {' or '.join(data.dims)}, which the others teach")
    check_classes(data, learn, [ask])


def check_classes(data: Data, learn: Sequence[Part], ask: Sequence[Part]) -> None:
    """Raise ``DataError`` where what is asked has none of the classes that are learned, if they are classes."""
    if data.scheme.kind != "one-of":
        return
    known, asked = _classes(data, learn), _classes(data, ask)
    if known and asked and not known & asked:
        raise DataError(
            f"{_named(ask)} has the classes {_listed(data, asked)}, "
            f"and {_named(learn)} teaches {_listed(data, known)}: none in common",
            "mer report classes --help",
        )


def _classes(data: Data, parts: Iterable[Part]) -> set[Any]:
    return {data.corpora[name].targets[row] for name, split in parts for row in data.corpora[name].rows(split)}


def _named(parts: Iterable[Part]) -> str:
    return ", ".join(f"'{name}' ({split or 'all'})" for name, split in parts)


def _listed(data: Data, classes: set[Any]) -> str:
    return ", ".join(data.scheme.names[index] for index in sorted(classes))
