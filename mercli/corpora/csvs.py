"""Csv files as corpora ship them: streamed, of mixed encodings, packed or not, line breaks inside quoted fields."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mercli.corpora.media import refuse_pointer
from mercli.errors import DataError

CHUNK = 1 << 20
SHOWN = 40
"""Columns named in a message, and letters of each: what is no csv at all has a header of any length."""
_STRAY = re.compile("[\x80-\x9f]")


def decode(path: Path) -> str:
    """Return a text file's content: UTF-8 or UTF-16, else cp1252; stray C1 controls are read through cp1252.

    Copies from a corpus's tar need the latter. A name that ends in ``.gz`` is unpacked. Raises ``DataError`` where the
    file cannot be read.
    """
    return "".join(lines(path))


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, ends kept, decoded as ``decode`` does; raises ``DataError`` as it does."""
    encoding = _encoding(path)
    with _opened(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        for line in text:
            yield _STRAY.sub(_repaired, line) if not line.isascii() else line


def require(path: Path, header: Sequence[str], columns: Iterable[str], hint: str | None = None) -> None:
    """Raise ``DataError`` for the first of ``columns`` that the header lacks, with the columns found."""
    absent = next((column for column in columns if column not in header), None)
    if absent is None:
        return
    found = [name if len(name) <= SHOWN else name[: SHOWN - 1] + "\u2026" for name in header[:SHOWN]]
    more = f" and {len(header) - SHOWN} more" if len(header) > SHOWN else ""
    raise DataError(f"'{path}' has no column '{absent}'; columns found: {', '.join(found) or 'none'}{more}", hint)


def records(path: Path, delimiter: str = ",") -> tuple[Sequence[str], Iterator[tuple[int, dict[str, str]]]]:
    """Return the header, and a stream of rows by column with the number of their last line; absent fields are empty.

    Raises ``DataError`` where the file cannot be read or is no csv.
    """
    reader = csv.reader(lines(path), delimiter=delimiter)
    rows = _rows(path, reader)
    names = tuple(next(rows, (0, ()))[1])
    return names, _records(names, rows)


def _records(names: Sequence[str], rows: Iterable[tuple[int, Sequence[str]]]) -> Iterator[tuple[int, dict[str, str]]]:
    empty = dict.fromkeys(names, "")
    for number, row in rows:
        record = dict(zip(names, row, strict=False))
        yield number, record if len(record) == len(empty) else empty | record


def _rows(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as fault:
        raise DataError(f"'{path}' line {reader.line_num}: no csv ({fault})") from fault


def _repaired(match: re.Match[str]) -> str:
    return match[0].encode("latin-1").decode("cp1252", errors="replace")


def _encoding(path: Path) -> str:
    """Return ``utf-16`` where the file begins as such, ``utf-8-sig`` where the whole file is UTF-8, else ``cp1252``."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path) as file:
        try:
            while chunk := file.read(CHUNK):
                if chunk.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    return "utf-16"  # these two bytes occur in no UTF-8
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8-sig"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        refuse_pointer(path)
        with path.open("rb") as file:
            if path.suffix.lower() == ".gz":
                with gzip.open(file) as unpacked:
                    yield unpacked  # type: ignore[misc]
            else:
                yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as fault:
        raise DataError(f"'{path}' is no whole gzip file ({fault})", f"gzip --test '{path}'") from fault
    except OSError as fault:
        raise DataError(f"'{path}' cannot be read: {fault.strerror or fault}") from fault
