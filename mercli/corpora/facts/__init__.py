"""What is known of each release beside its files, one YAML file a corpus: counts, errata, folds, known overlaps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from mercli import presets
from mercli.contracts import Erratum, Expected, Facts, Folds


@cache
def load(name: str) -> Facts:
    """Return the facts of the built-in corpus ``name``.

    Other keys of its file are passed over: ``get`` and ``read`` are what ``docs/corpora.md`` tells of the release.
    """
    path = Path(__file__).parent / f"{name}.yaml"
    given = presets.parse(path.read_text(encoding="utf-8"), path.name)
    return Facts(
        separates=tuple(given.get("separates", ())),
        known=tuple(given.get("known", ())),
        errata=tuple(
            Erratum(row["kind"], tuple(row["ids"]), row["note"], tuple(row.get("mask", ())), row.get("by", "clip"))
            for row in given.get("errata", ())
        ),
        expected={key: Expected(**row) for key, row in given.get("expected", {}).items()},
        folds={key: _folds(row) for key, row in given.get("folds", {}).items()},
    )


def _folds(row: dict[str, Any]) -> Folds:
    parts = [{split: tuple(groups) for split, groups in fold.items()} for fold in row["folds"]]
    return Folds(row["group"], tuple(parts), row.get("note", ""))
