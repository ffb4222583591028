"""Which segments have which modalities and classes: told before training, refused where nothing could be learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mercli import log
from mercli.errors import DataError
from mercli.jobs.fits.dataset import Data


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


def check_classes(data: Data, learn: Sequence[tuple[str, str | None]], ask: Sequence[tuple[str, str | None]]) -> None:
    """Raise ``DataError`` where what is asked has none of the classes that are learned."""
    known, asked = _classes(data, learn), _classes(data, ask)
    if known and asked and not known & asked:
        raise DataError(
            f"{_named(ask)} has the classes {_listed(data, asked)}, "
            f"and {_named(learn)} teaches {_listed(data, known)}: none in common",
            "mer report classes --help",
        )


def _classes(data: Data, parts: Iterable[tuple[str, str | None]]) -> set[int]:
    return {data.corpora[name].targets[row] for name, split in parts for row in data.corpora[name].rows(split)}


def _named(parts: Iterable[tuple[str, str | None]]) -> str:
    return ", ".join(f"'{name}' ({split or 'all'})" for name, split in parts)


def _listed(data: Data, classes: set[int]) -> str:
    return ", ".join(data.scheme.names[index] for index in sorted(classes))
