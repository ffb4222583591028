"""A table of clips: a csv whose columns are named by options, for corpora that nobody wrote a reader for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.csvs import records, require
from mercli.corpora.listed import listing
from mercli.corpora.media import claim, clip, is_pointer, kind, walk
from mercli.corpora.splits import NAMES, SPELLINGS
from mercli.errors import ConfigError, DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
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
    identity: str | None = None,
    calm: str = DEFAULT_POLICY["calm"],
    excited: str = DEFAULT_POLICY["excited"],
    frustrated: str = DEFAULT_POLICY["frustrated"],
    boredom: str = DEFAULT_POLICY["boredom"],
    contempt: str = DEFAULT_POLICY["contempt"],
) -> CorpusReader:
    """Any corpus listed in a csv: each option names the column to read.

    ``identity``: which known corpus this is (ravdess, emodb, fer2013 ...), so that encoders trained on it are marked.
    """
    columns = {
        "path": path, "label": label, "id": id, "text": text, "speaker": speaker,
        "dialogue": dialogue, "split": split, "start": start, "end": end,
    }  # fmt: skip
    choices = policy(calm=calm, excited=excited, frustrated=frustrated, boredom=boredom, contempt=contempt)
    facts = {"licence": licence, "language": language, "identity": identity}
    return Table(file, columns, _delimiter(delimiter), choices, facts)


def _delimiter(given: str) -> str:
    found = "\t" if given in ("tab", "\\t") else given
    if len(found) != 1 or found in '"\r\n':
        raise ConfigError(f"delimiter='{given}' cannot be used, expected one character or tab", "--set delimiter=tab")
    return found


class Table:
    """Reads one row as one segment; rows of one medium share its clip. Label is required, and path or text."""

    scheme = LabelScheme("csv", "one-of", ())
    facts = Facts()

    def __init__(
        self,
        file: str | None,
        columns: Mapping[str, str],
        delimiter: str,
        choices: Mapping[str, str],
        given: Mapping[str, str | None],
    ) -> None:
        self.file = file
        self.columns = columns
        self.delimiter = delimiter
        self.choices = choices
        self.given = given

    def card(self) -> Mapping[str, Any]:
        """Return licence, identity and label policy; the labels are known once ``read`` has begun."""
        return {
            **self.given,
            "label_map": canonical_map("csv", self.scheme.names, self.choices),
            "policy": policy_name(self.choices),
            "splits": f"from the column '{self.columns['split']}' where it is",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the rows; ``root`` is the corpus's folder, or its csv, whose folder then is the root.

        Raises ``DataError`` naming a missing column with the columns found.
        """
        file = self._table(root)
        # read twice, so that a million rows are never held at once: the labels must be known before the first segment
        self.scheme = LabelScheme("csv", "one-of", tuple(sorted({r["label"] for _, r in self._rows(file)} - {""})))
        if not self.scheme.names:
            raise DataError(f"no row of the csv under '{root}' has a label")
        base = root if root.is_dir() else root.parent
        held: dict[str, str] = {}
        turns: dict[str, int] = {}
        for number, row in self._rows(file):
            medium = base / row["path"] if row.get("path") else None
            names = _names(row, number)
            fault = _fault(row, medium)
            identity = None if fault else claim(names, Path(row.get("path", "")).as_posix(), held)
            if identity is None:
                other = f"its id is already that of '{held.get(names[0])}'"
                yield Excluded(names[0], f"line {number}: {fault or other}")
                continue
            turn = turns[identity] = turns.get(identity, -1) + 1
            if turn == 0:
                yield clip(identity, name, medium, base) if medium else Clip(identity, name)
            yield self._segment(f"{name}/{identity}/{turn}", identity, row)

    def _table(self, root: Path) -> Path:
        found = (path for path in walk(root, depth=0) if path.suffix.lower() in (".csv", ".tsv"))
        return listing(root, self.file, found, "csvs", "mer prepare --set file=NAME.csv")

    def _rows(self, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield each row with its line, by the names of the options; columns that the csv lacks are absent."""
        header, rows = records(path, self.delimiter)
        needed = [self.columns["label"]]
        if self.columns["path"] not in header:
            needed.append(self.columns["text"])
        require(path, header, needed, "mer prepare --set label=COLUMN --set path=COLUMN")
        kept = {key: column for key, column in self.columns.items() if column in header}
        for number, row in rows:
            yield number, {key: row[column].strip() for key, column in kept.items()}

    def _segment(self, identity: str, clip_id: str, row: Mapping[str, str]) -> Segment:
        return Segment(
            id=identity,
            clip_id=clip_id,
            start=float(row.get("start") or 0),
            end=float(row["end"]) if row.get("end") else None,
            speaker=row.get("speaker") or None,
            dialogue=row.get("dialogue") or None,
            text=row.get("text") or None,
            text_source="corpus" if row.get("text") else None,
            language=self.given["language"],
            labels={"csv": row["label"]},
            split=SPELLINGS.get(row.get("split", "").lower()),
        )


def _names(row: Mapping[str, str], number: int) -> Sequence[str]:
    """Return the ids a row may have, the best first: a file's whole name serves where its stem is taken."""
    if row.get("id"):
        return (row["id"],)
    if not row.get("path"):
        return (f"row{number}",)
    path = Path(row["path"])
    return (path.with_suffix("").as_posix() if path.name else row["path"], path.as_posix())


def _fault(row: Mapping[str, str], medium: Path | None) -> str | None:
    """Return why a row cannot be used, or ``None``."""
    if not row.get("label"):
        return "no label"
    if row.get("split") and row["split"].lower() not in SPELLINGS:
        return f"unknown split '{row['split']}', expected {', '.join(NAMES)}"
    if medium is None and not row.get("text"):
        return "neither path nor text"
    return _fault_of_times(row) or (_fault_of_medium(medium) if medium else None)


def _fault_of_times(row: Mapping[str, str]) -> str | None:
    given = [row[key] for key in ("start", "end") if row.get(key)]
    try:
        finite = all(math.isfinite(float(text)) for text in given)
    except ValueError:
        finite = False
    if not finite:
        return f"start '{row.get('start', '')}' or end '{row.get('end', '')}' is no number"
    start, end = float(row.get("start") or 0), float(row.get("end") or "inf")
    return None if 0 <= start < end else f"start {start} and end {end} are reversed or negative"


def _fault_of_medium(medium: Path) -> str | None:
    try:
        if not medium.is_file():
            return f"'{medium.name}' not found"
        pointer = is_pointer(medium)
    except OSError as fault:
        return f"'{medium.name}' cannot be read: {fault.strerror}"
    if kind(medium) not in ("video", "audio", "image"):
        return f"'{medium.name}' is no medium by its ending"
    return "media is a git-lfs pointer" if pointer else None
