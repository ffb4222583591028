"""A table whose cells hold feature vectors: the corpus is its other columns, the vectors stay where they are.

The form of the text-guided cross-modal attention seed: ``Utterance, V1, V3, V4, A2, Emotion`` in an xlsx.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.csvs import records, require
from mercli.corpora.listed import listing
from mercli.corpora.media import refuse_pointer, walk
from mercli.corpora.splits import NAMES, SPELLINGS
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

ENDINGS = (".xlsx", ".csv", ".parquet")
KEPT = ("text", "label", "speaker", "split")
Rows = Iterator[tuple[int, Mapping[str, Any]]]


@plugin("corpora", "table")
def table(
    *,
    file: str | None = None,
    text: str = "Utterance",
    label: str = "Emotion",
    features: str = "V1,V3,V4,A2",
    speaker: str | None = None,
    split: str | None = None,
    language: str | None = None,
    licence: str = "unknown",
    identity: str | None = None,
    calm: str = DEFAULT_POLICY["calm"],
    excited: str = DEFAULT_POLICY["excited"],
    frustrated: str = DEFAULT_POLICY["frustrated"],
    boredom: str = DEFAULT_POLICY["boredom"],
    contempt: str = DEFAULT_POLICY["contempt"],
) -> CorpusReader:
    """Any table with feature vectors in its cells (xlsx, csv, parquet): options name its columns.

    ``features``: the columns of vectors, joined by commas; they are not copied, each clip notes table, row (from 0) and
    columns. ``identity``: which known corpus this is (meld ...), so that encoders trained on it are marked.
    """
    columns = {"text": text, "label": label, "speaker": speaker, "split": split}
    vectors = tuple(column.strip() for column in features.split(",") if column.strip())
    choices = policy(calm=calm, excited=excited, frustrated=frustrated, boredom=boredom, contempt=contempt)
    facts = {"licence": licence, "language": language, "identity": identity}
    return FeaturesTable(file, {key: column for key, column in columns.items() if column}, vectors, choices, facts)


@dataclass(frozen=True)
class _Row:
    """What is kept of a row: its number from 0, and the cells of the columns named by options."""

    number: int
    text: str
    label: str
    speaker: str
    split: str


class FeaturesTable:
    """Reads one row as one segment; vectors are never loaded."""

    scheme = LabelScheme("table", "one-of", ())
    facts = Facts()

    def __init__(
        self,
        file: str | None,
        columns: Mapping[str, str],
        vectors: Sequence[str],
        choices: Mapping[str, str],
        given: Mapping[str, str | None],
    ) -> None:
        self.file = file
        self.columns = columns
        self.vectors = vectors
        self.choices = choices
        self.given = given
        self.name = ""
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, identity, label policy and the table read; the labels are known once ``read`` has begun."""
        return {
            **self.given,
            "identity": self.given["identity"] or self.name,
            "label_map": canonical_map("table", self.scheme.names, self.choices),
            "policy": policy_name(self.choices),
            "splits": f"from the column '{self.columns['split']}'" if "split" in self.columns else "none",
            "layout": self.layout,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the rows; ``root`` is the table's folder, or the table.

        Raises ``DataError`` naming a missing column with the columns found.
        """
        path = self._table(root)
        rows = [self._row(number, row) for number, row in self._rows(path)]
        self.name, self.layout = name, f"{path.name}: {len(rows)} rows with {', '.join(self.vectors)}"
        self.scheme = LabelScheme("table", "one-of", tuple(sorted({row.label for row in rows if row.label})))
        if not self.scheme.names:
            raise DataError(f"no row of '{path}' has a label in the column '{self.columns['label']}'")
        place = path.relative_to(root if root.is_dir() else root.parent).as_posix()
        for row in rows:
            identity = f"row{row.number}"
            if not row.label or (row.split and row.split.lower() not in SPELLINGS):
                known = ", ".join(NAMES)
                reason = f"unknown split '{row.split}', expected {known}" if row.label else "no label"
                yield Excluded(identity, reason)
                continue
            meta = {"table": place, "row": row.number, "columns": list(self.vectors)}
            yield Clip(identity, name, meta=meta)
            yield self._segment(identity, row)

    def _table(self, root: Path) -> Path:
        found = (path for path in walk(root, depth=0) if path.suffix.lower() in ENDINGS)
        hint = "mer prepare --corpus table --set file=NAME.xlsx"
        return listing(root, self.file, found, "tables", hint, "one xlsx, csv or parquet")

    def _rows(self, path: Path) -> Rows:
        """Stream the rows by column, each with its number from 0; an xlsx's blank rows count."""
        readers = {".xlsx": _xlsx, ".csv": _csv, ".parquet": _parquet}
        reader = readers.get(path.suffix.lower())
        if reader is None or not path.is_file():
            raise DataError(f"'{path}' is no table that can be read, expected an xlsx, csv or parquet file")
        refuse_pointer(path)
        return reader(path, tuple(self.columns.values()), self.vectors)

    def _row(self, number: int, row: Mapping[str, Any]) -> _Row:
        cells = {key: row.get(self.columns[key]) if key in self.columns else None for key in KEPT}
        return _Row(number, **{key: "" if cell is None else str(cell).strip() for key, cell in cells.items()})

    def _segment(self, identity: str, row: _Row) -> Segment:
        return Segment(
            id=f"{self.name}/{identity}/0",
            clip_id=identity,
            start=0.0,
            speaker=row.speaker or None,
            text=row.text or None,
            text_source="corpus" if row.text else None,
            language=self.given["language"],
            labels={"table": row.label},
            split=SPELLINGS.get(row.split.lower()),
        )


def _check(path: Path, header: Sequence[str], wanted: Sequence[str], vectors: Sequence[str]) -> None:
    """Raise ``DataError`` naming a column the table lacks and the option that would name it."""
    require(path, header, wanted, "mer prepare --corpus table --set text=COLUMN --set label=COLUMN")
    require(path, header, vectors, "mer prepare --corpus table --set features=A,B")


def _xlsx(path: Path, wanted: Sequence[str], vectors: Sequence[str]) -> Rows:
    import zipfile

    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError) as fault:
        raise DataError(f"'{path}' is no xlsx file ({fault})") from fault
    with closing(book):
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = ["" if cell is None else str(cell).strip() for cell in next(rows, ())]
        _check(path, header, wanted, vectors)
        places = {column: header.index(column) for column in wanted}
        for number, row in enumerate(rows):
            if any(cell is not None for cell in row):
                yield number, {column: row[place] if place < len(row) else None for column, place in places.items()}


def _csv(path: Path, wanted: Sequence[str], vectors: Sequence[str]) -> Rows:
    header, rows = records(path)
    names = {column.strip(): column for column in header}
    _check(path, list(names), wanted, vectors)
    for number, (_, row) in enumerate(rows):
        yield number, {column: row[names[column]] for column in wanted}


def _parquet(path: Path, wanted: Sequence[str], vectors: Sequence[str]) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as fault:
        raise DataError(f"'{path}' is no parquet file ({fault})") from fault
    _check(path, file.schema_arrow.names, wanted, vectors)
    yield from enumerate(row for batch in file.iter_batches(columns=list(wanted)) for row in batch.to_pylist())
