"""What is to be predicted: clips, folders, paths on stdin, or the lines of a list; order is kept."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.corpora.media import kind, walk
from mercli.errors import DataError

FILES = ("video", "audio", "image")
TEXTS = (".txt", ".srt", ".vtt")
KEYS = (*FILES, "id", "text", "start", "end", "face")
FACES = ("speaker", "largest", "all", "whole")


@dataclass(frozen=True)
class Item:
    """One thing to predict: media files, or text, or both; ``error`` where the list's line cannot be used."""

    id: str
    video: Path | None = None
    audio: Path | None = None
    image: Path | None = None
    text: str | None = None
    start: float = 0.0
    end: float | None = None
    face: str | None = None
    error: str | None = None

    @property
    def media(self) -> tuple[tuple[str, Path], ...]:
        """The item's files with what they are."""
        return tuple((what, path) for what in FILES if (path := getattr(self, what)) is not None)

    @property
    def clip(self) -> str:
        """The item's main file as it was given, else its id."""
        return str(self.media[0][1]) if self.media else self.id


def of_paths(paths: Iterable[str]) -> Iterator[Item]:
    """Yield an item per file, and per medium of a folder; what cannot be used becomes an item with its error."""
    for given in paths:
        path = Path(given)
        try:
            if given == "-":
                raise DataError("'-' reads stdin and stands alone")
            found = _of_folder(path) if path.is_dir() else [of_file(given, path)]
        except DataError as fault:
            found = [Item(given, error=fault.message)]
        except OSError as fault:
            found = [Item(given, error=f"'{given}' cannot be read: {fault.strerror}")]
        yield from found


def _of_folder(folder: Path) -> list[Item]:
    files = [path for path in walk(folder, depth=16) if kind(path)]
    media_stems = {path.with_suffix("") for path in files if kind(path) != "text"}
    chosen = [path for path in files if kind(path) != "text" or path.with_suffix("") not in media_stems]
    if not chosen:
        raise DataError(f"folder '{folder}' has no media, expected video, audio, pictures or .txt")
    return [of_file(str(path), path) for path in chosen]


def of_file(identity: str, path: Path) -> Item:
    """Return the item of one file; what it is, its ending says (anything unknown is tried as video)."""
    if path.suffix.lower() not in TEXTS:
        return Item(identity, **{kind(path) or "video": path})  # type: ignore[arg-type]
    try:
        return Item(identity, text=_read(path))
    except DataError as fault:
        return Item(identity, error=fault.message)


def _read(path: Path) -> str:
    """Return the words of a text or subtitle file; raises ``DataError`` for all that is no regular file of words."""
    from mercli.streams.sidecar import read_sidecar

    try:
        mode = path.stat().st_mode
    except OSError as fault:
        raise DataError(f"text '{path}' cannot be read: {fault.strerror}") from fault
    if not stat.S_ISREG(mode):
        raise DataError(f"text '{path}' is no regular file")
    found = read_sidecar(path)
    if found is None:
        raise DataError(f"text '{path}' holds no words")
    return found.text


def of_stdin(stream: Any, null: bool) -> Iterator[Item]:
    """Yield an item per path on stdin, one a line, or NUL-separated."""
    text = stream.read()
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="surrogateescape")
    parts = text.split("\0") if null else (line.removesuffix("\r") for line in text.split("\n"))
    yield from of_paths(part for part in parts if part)


def of_list(path: Path) -> Iterator[Item]:
    """Yield an item per line of a JSON-lines list ``{id, video|audio|image|text, start?, end?, face?}``.

    Paths are relative to the list. A line that cannot be used becomes an item with its error.
    """
    try:
        lines = path.open("rb")
    except OSError as fault:
        raise DataError(f"list '{path}' cannot be read: {fault.strerror}") from fault
    with lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _of_line(path, number, line)


def _of_line(path: Path, number: int, line: bytes) -> Item:
    identity = f"line {number}"
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if isinstance(row, dict) and row.get("id") is not None:
            identity = str(row["id"])
        return _of_row(path.parent, identity, row)
    except DataError as fault:
        reason = fault.message
    except UnicodeDecodeError:
        reason = "is not utf-8"
    except (ValueError, RecursionError) as fault:
        reason = f"is not JSON: {fault}"
    return Item(identity, error=f"'{path}' line {number}: {reason}")


def _of_row(folder: Path, identity: str, row: Any) -> Item:
    """Return the item of a list's row; raises ``DataError`` with the reason why it cannot be used."""
    fault = _fault(row)
    if fault:
        raise DataError(fault)
    text = row.get("text")
    return Item(
        identity,
        text=_read(folder / text) if text and _names_text(folder, text) else text,
        start=float(row.get("start") or 0.0),
        end=None if row.get("end") is None else float(row["end"]),
        face=row.get("face"),
        **{what: folder / row[what] for what in FILES if row.get(what)},
    )


def _names_text(folder: Path, text: str) -> bool:
    """Tell whether a text is the name of a text file that is there, and not the words themselves."""
    if Path(text).suffix.lower() not in TEXTS or "\n" in text:
        return False
    try:
        return (folder / text).exists()
    except OSError:  # a long sentence that happens to end like a file
        return False


def _fault(row: Any) -> str | None:
    """Return why a line of the list cannot be used, or ``None``."""
    if not isinstance(row, Mapping):
        return "is no JSON object"
    unknown: Sequence[str] = [key for key in row if key not in KEYS]
    if unknown:
        return f"unknown key '{unknown[0]}', expected {', '.join(KEYS)}"
    if not any(row.get(key) for key in (*FILES, "text")):
        return "has none of video, audio, image, text"
    for key in (*FILES, "text"):
        if row.get(key) is not None and not isinstance(row[key], str):
            return f"'{key}' is {row[key]!r}, expected text"
    for key in ("start", "end"):
        if row.get(key) is not None and not _is_seconds(row[key]):
            return f"'{key}' is {row[key]!r}, expected seconds"
    if row.get("end") is not None and row["end"] <= (row.get("start") or 0):
        return f"'end' {row['end']} is not after 'start' {row.get('start') or 0}"
    if row.get("face") is not None and row["face"] not in FACES:
        return f"'face' is {row['face']!r}, expected {', '.join(FACES)}"
    return None


def _is_seconds(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= sys.float_info.max
