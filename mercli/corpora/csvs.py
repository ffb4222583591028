"""Csv files as corpora ship them: read whole, of mixed encodings, with line breaks inside quoted fields."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

from mercli.errors import DataError


def decode(path: Path) -> str:
    """Return a csv's text: UTF-8, else cp1252; stray C1 controls are read through cp1252 as the tar's copies need.

    A name that ends in ``.gz`` is unpacked. Raises ``DataError`` where the file cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as fault:
        raise DataError(f"'{path}' cannot be read: {fault.strerror}") from fault
    if path.suffix.lower() == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as fault:
            raise DataError(f"'{path}' is no whole gzip file ({fault})", f"gzip --test '{path}'") from fault
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    return re.sub("[\x80-\x9f]", lambda m: m[0].encode("latin-1").decode("cp1252", errors="replace"), text)


def records(path: Path, delimiter: str = ",") -> tuple[Sequence[str], list[tuple[int, dict[str, str]]]]:
    """Return the header, and each row by column with the number of its last line; absent fields are empty.

    Raises ``DataError`` where the file cannot be read or is no csv.
    """
    reader = csv.DictReader(io.StringIO(decode(path), newline=""), delimiter=delimiter)
    try:
        header = tuple(reader.fieldnames or ())
        rows = [(reader.line_num, {column: row[column] or "" for column in header}) for row in reader]
    except csv.Error as fault:
        raise DataError(f"'{path}' line {reader.line_num + 1}: no csv ({fault})") from fault
    return header, rows
