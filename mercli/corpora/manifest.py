"""The manifest: what ``prepare`` leaves and every later stage reads, streamed line by line.

``data/<corpus>/{corpus.yaml, clips.jsonl, segments.jsonl, excluded.jsonl}``; ``corpus.yaml`` is written last, so a
folder that has it is whole. Media paths are relative to the corpus root, which stands in ``corpus.yaml``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mercli import presets
from mercli.contracts import Excluded
from mercli.errors import DataError
from mercli.rundir import atomic, json_line, plain, read_lines, write_text
from mercli.types import Clip, LabelMap, LabelScheme, Segment, Word

FILES = {Clip: "clips.jsonl", Segment: "segments.jsonl", Excluded: "excluded.jsonl"}
REPEATED = ("id", "speaker", "sex", "dialogue", "text_source", "language", "split")
T = TypeVar("T")


@dataclass(frozen=True)
class Manifest:
    """A prepared corpus: its card, and its clips and segments as streams."""

    folder: Path
    card: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The corpus's name: the folder's."""
        return self.folder.name

    @property
    def root(self) -> Path:
        """Where the raw corpus lies."""
        return Path(self.card["root"])

    @property
    def scheme(self) -> LabelScheme:
        """The corpus's own labels."""
        return _scheme(self.card["scheme"])

    @property
    def schemes(self) -> tuple[LabelScheme, ...]:
        """Every scheme that its segments have labels in: its own, then those beside it."""
        return (self.scheme, *map(_scheme, self.card.get("schemes") or ()))

    @property
    def label_map(self) -> LabelMap | None:
        """Its labels in the canonical classes under the policy of ``prepare``, where it has one."""
        table = self.card.get("label_map")
        return LabelMap(self.scheme.name, str(table["target"]), dict(table["table"])) if table else None

    def clips(self) -> Iterator[Clip]:
        """Stream the clips in the order of the manifest."""
        return (_build(Clip, row, self.folder / FILES[Clip]) for row in read_lines(self.folder / FILES[Clip]))

    def segments(self) -> Iterator[Segment]:
        """Stream the segments; those of one clip stand together, in the clips' order.

        What repeats among them (a million segments have few speakers and labels) is held once.
        """
        path = self.folder / FILES[Segment]
        tables: dict[str, dict[str, Any]] = {}
        for row in read_lines(path):
            row["words"] = tuple(_build(Word, word, path) for word in row.get("words", ()))
            row |= {key: sys.intern(row[key]) for key in REPEATED if isinstance(row.get(key), str)}
            for key in ("labels", "masked"):
                table = row.get(key) or {}
                if all(isinstance(value, str) for value in table.values()):
                    row[key] = tables.setdefault(repr(table), table)
            yield _build(Segment, row, path)


def _scheme(told: Mapping[str, Any]) -> LabelScheme:
    return LabelScheme(**{**told, "names": tuple(told["names"])})


def _build(kind: type[T], row: Mapping[str, Any], path: Path) -> T:
    try:
        return kind(**row)
    except TypeError as fault:
        raise DataError(f"'{path}' has a row of another form: {fault}", "mer prepare again") from fault


def _row(item: Clip | Segment | Excluded) -> dict[str, Any]:
    """Return a row without the fields that hold nothing: manifests are read by people, too."""
    held = {field.name: getattr(item, field.name) for field in fields(item)}
    return {key: value for key, value in held.items() if value or value == 0}


def write(folder: Path, card: Mapping[str, Any], items: Iterable[Clip | Segment | Excluded]) -> None:
    """Write a manifest from a reader's stream; nothing is left behind when the stream fails.

    Raises ``DataError`` for an id that occurs twice.
    """
    seen: set[int] = set()  # hashes, since a corpus may have a million ids
    segments = 0
    with ExitStack() as stack:
        parts = {kind: stack.enter_context(atomic(folder / name)) for kind, name in FILES.items()}
        # bytes of names that are no UTF-8 become JSON's own escapes
        handles = {
            kind: stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace"))
            for kind, part in parts.items()
        }
        refused: Excluded | None = None
        for item in items:
            key = hash((type(item), item.id))
            if key in seen:
                raise DataError(f"the id '{item.id}' occurs twice, expected unique {type(item).__name__.lower()} ids")
            if isinstance(item, Excluded):
                refused = refused or item
            else:
                seen.add(key)
            segments += isinstance(item, Segment)
            handles[type(item)].write(json_line(_row(item)) + "\n")
        if not segments:
            why = f"; left out was '{refused.id}': {refused.reason}" if refused else ""
            raise DataError(f"the corpus has no segment with a label{why}")
        for handle in handles.values():
            handle.flush()
        (folder / "corpus.yaml").unlink(missing_ok=True)
    write_text(folder / "corpus.yaml", yaml.safe_dump(plain(card), sort_keys=False, allow_unicode=True))


def load(data: Path, corpus: str) -> Manifest:
    """Return a prepared corpus; raises ``DataError`` where it is not there or not whole."""
    folder = data / corpus
    path = folder / "corpus.yaml"
    if not path.is_file():
        made = sorted(p.parent.name for p in data.glob("*/corpus.yaml"))
        known = f"prepared: {', '.join(made)}" if made else "nothing is prepared there"
        close = get_close_matches(corpus, made, 1)
        raise DataError(
            f"corpus '{corpus}' is not prepared under '{data}'; {known}",
            f"--corpora {close[0]}" if close else f"mer prepare --corpus {corpus} --root DIR",
        )
    return Manifest(folder, presets.parse(path.read_text(encoding="utf-8"), str(path)))
