"""A table of clips: a csv whose columns are named by options, for corpora that nobody wrote a reader for."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora.media import clip, is_pointer, kind, walk
from mercli.corpora.meld import decode
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment


@plugin("corpora", "csv")
def table(
    *,
    file: str | None = None,
    path: str = "path",
    label: str = "label",
    id: str = "id",  # noqa: A002 - the option is named as the column
    text: str = "text",
    speaker: str = "speaker",
    dialogue: str = "dialogue",
    split: str = "split",
    start: str = "start",
    end: str = "end",
    delimiter: str = ",",
    language: str | None = None,
    licence: str = "unknown",
) -> CorpusReader:
    """Any corpus listed in a csv: each option names the column to read."""
    columns = {
        "path": path, "label": label, "id": id, "text": text, "speaker": speaker,
        "dialogue": dialogue, "split": split, "start": start, "end": end,
    }  # fmt: skip
    return Table(file, columns, delimiter, language, licence)


class Table:
    """Reads one row as one segment; rows of one medium share its clip. Label is required, and path or text."""

    scheme = LabelScheme("csv", "one-of", ())

    def __init__(
        self, file: str | None, columns: Mapping[str, str], delimiter: str, language: str | None, licence: str
    ) -> None:
        self.file = file
        self.columns = columns
        self.delimiter = delimiter
        self.language = language
        self.licence = licence

    def card(self) -> Mapping[str, Any]:
        """Return licence and label policy; the labels are known once ``read`` has begun."""
        return {
            "licence": self.licence,
            "language": self.language,
            "label_map": canonical_map("csv", self.scheme.names),
            "policy": policy_name(),
            "splits": f"from the column '{self.columns['split']}' where it is",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the rows; raises ``DataError`` naming a missing column with the columns found."""
        rows = self._rows(self._table(root))
        self.scheme = LabelScheme("csv", "one-of", tuple(sorted({r["label"] for r in rows if r.get("label")})))
        if not self.scheme.names:
            raise DataError(f"no row of the csv under '{root}' has a label")
        seen: dict[str, int] = {}
        for number, row in enumerate(rows, start=2):
            yield from self._read_row(root, name, row, number, seen)

    def _table(self, root: Path) -> Path:
        if self.file is not None:
            return root / self.file
        found = [root] if root.is_file() else [p for p in walk(root, depth=0) if p.suffix.lower() in (".csv", ".tsv")]
        if len(found) != 1:
            names = ", ".join(p.name for p in found) or "none"
            raise DataError(
                f"'{root}' holds {len(found)} csvs ({names}), expected one", "mer prepare --set file=NAME.csv"
            )
        return found[0]

    def _rows(self, path: Path) -> list[dict[str, str]]:
        try:
            reader = csv.DictReader(decode(path).splitlines(keepends=True), delimiter=self.delimiter)
        except OSError as fault:
            raise DataError(f"'{path}' cannot be read: {fault.strerror}") from fault
        header = reader.fieldnames or ()
        needed = [self.columns["label"]]
        if self.columns["path"] not in header:
            needed.append(self.columns["text"])
        for column in needed:
            if column not in header:
                raise DataError(
                    f"'{path}' has no column '{column}'; columns found: {', '.join(header) or 'none'}",
                    "mer prepare --set label=COLUMN --set path=COLUMN",
                )
        return [
            {key: (row.get(column) or "").strip() for key, column in self.columns.items() if column in header}
            for row in reader
        ]

    def _read_row(
        self, root: Path, name: str, row: Mapping[str, str], number: int, seen: dict[str, int]
    ) -> Iterator[Clip | Segment | Excluded]:
        base = root if root.is_dir() else root.parent
        medium = base / row["path"] if row.get("path") else None
        identity = row.get("id") or (Path(row["path"]).with_suffix("").as_posix() if medium else f"row{number}")
        fault = _fault(row, medium)
        if fault:
            yield Excluded(identity, f"line {number}: {fault}")
            return
        key = identity if row.get("id") or medium is None else row["path"]
        turn = seen.get(key, 0)
        seen[key] = turn + 1
        if turn == 0:
            yield clip(identity, name, medium, base) if medium else Clip(identity, name)
        yield Segment(
            id=f"{name}/{identity}/{turn}",
            clip_id=identity,
            start=float(row.get("start") or 0),
            end=float(row["end"]) if row.get("end") else None,
            speaker=row.get("speaker") or None,
            dialogue=row.get("dialogue") or None,
            text=row.get("text") or None,
            text_source="corpus" if row.get("text") else None,
            language=self.language,
            labels={"csv": row["label"]},
            split=row.get("split") or None,
        )


def _fault(row: Mapping[str, str], medium: Path | None) -> str | None:
    """Return why a row cannot be used, or ``None``."""
    if not row.get("label"):
        return "no label"
    if medium is None:
        return None if row.get("text") else "neither path nor text"
    if not medium.is_file():
        return f"'{medium.name}' not found"
    if kind(medium) is None:
        return f"'{medium.name}' is no medium by its ending"
    if is_pointer(medium):
        return "media is a git-lfs pointer"
    try:
        start, end = float(row.get("start") or 0), float(row.get("end") or "inf")
    except ValueError:
        return f"start '{row.get('start')}' or end '{row.get('end')}' is no number"
    return None if 0 <= start < end else f"start {start} and end {end} are reversed or negative"
