"""What is to be predicted: clips, folders, paths on stdin, or the lines of a list; order is kept."""

from __future__ import annotations

import json
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
    """Yield an item per file, and per medium of a folder; raises ``DataError`` for a folder without media."""
    for given in paths:
        path = Path(given)
        if path.is_dir():
            yield from _of_folder(path)
        else:
            yield of_file(given, path)


def _of_folder(folder: Path) -> Iterator[Item]:
    files = [path for path in walk(folder, depth=16) if kind(path)]
    media_stems = {path.with_suffix("") for path in files if kind(path) != "text"}
    chosen = [path for path in files if kind(path) != "text" or path.with_suffix("") not in media_stems]
    if not chosen:
        raise DataError(f"folder '{folder}' has no media, expected video, audio, pictures or .txt", f"ls '{folder}'")
    yield from (of_file(str(path), path) for path in chosen)


def of_file(identity: str, path: Path) -> Item:
    """Return the item of one file; what it is, its ending says (anything unknown is tried as video)."""
    what = kind(path) or "video"
    if what != "text":
        return Item(identity, **{what: path})  # type: ignore[arg-type]
    try:
        return Item(identity, text=path.read_text(encoding="utf-8-sig").strip())
    except (OSError, UnicodeDecodeError) as fault:
        return Item(identity, error=f"'{identity}' cannot be read as text: {fault}")


def of_stdin(stream: Any, null: bool) -> Iterator[Item]:
    """Yield an item per path on stdin, one a line, or NUL-separated."""
    text = stream.read()
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="surrogateescape")
    yield from of_paths(part for part in (text.split("\0") if null else text.splitlines()) if part)


def of_list(path: Path) -> Iterator[Item]:
    """Yield an item per line of a JSON-lines list ``{id, video|audio|image|text, start?, end?, face?}``.

    Paths are relative to the list. A line that cannot be used becomes an item with its error.
    """
    try:
        lines = path.open(encoding="utf-8-sig")
    except OSError as fault:
        raise DataError(f"list '{path}' cannot be read: {fault.strerror}") from fault
    with lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _of_line(path, number, line)


def _of_line(path: Path, number: int, line: str) -> Item:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as fault:
        return Item(f"line {number}", error=f"'{path}' line {number} is not JSON: {fault.msg}")
    identity = str(row.get("id", f"line {number}")) if isinstance(row, dict) else f"line {number}"
    fault_found = _fault(row)
    if fault_found:
        return Item(identity, error=f"'{path}' line {number}: {fault_found}")
    files = {what: path.parent / row[what] for what in FILES if row.get(what)}
    text = row.get("text")
    if text and Path(text).suffix.lower() in TEXTS and "\n" not in text and (path.parent / text).is_file():
        text = (path.parent / text).read_text(encoding="utf-8-sig").strip()
    return Item(
        identity,
        text=text,
        start=float(row.get("start") or 0.0),
        end=_number(row.get("end")),
        face=row.get("face"),
        **files,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


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
        if row.get(key) is not None and (not isinstance(row[key], int | float) or row[key] < 0):
            return f"'{key}' is {row[key]!r}, expected seconds"
    if row.get("end") is not None and row["end"] <= (row.get("start") or 0):
        return f"'end' {row['end']} is not after 'start' {row.get('start') or 0}"
    if row.get("face") is not None and row["face"] not in FACES:
        return f"'face' is {row['face']!r}, expected {', '.join(FACES)}"
    return None
