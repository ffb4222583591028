"""Ready-made features in one table: a row a clip, found by its id, or by its number where the corpus is the table."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.errors import ConfigError, DataError, foreign
from mercli.features.readymade_arrays import READERS, chosen, fingerprint, parts

NUMBERED = re.compile(r"row(\d+)")
"""A clip of the corpus reader ``table``, which numbers rows from 0."""


class Table:
    """Rows of an .npz, or the cells of some columns put one after another; raises ``DataError`` for what is amiss."""

    def __init__(self, path: Path, key: str | None, columns: Sequence[str], ids: str | None, strip: str | None) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"option 'table' is '{path}', which is no file")
        ending = path.suffix.lower()
        if ending not in (".npz", *FRAMES):
            raise DataError(f"'{path}' is no table that can be read, expected .npz, {', '.join(FRAMES)}")
        self.fingerprint = fingerprint([(path.name, path)])
        self.rows, names = _npz(path, key, ids) if ending == ".npz" else _cells(path, columns, ids)
        self.index = None if names is None else self._index(names, strip)

    def _index(self, names: Sequence[str], strip: str | None) -> dict[str, int]:
        try:
            cut = re.compile(strip or "$^")
        except re.error as fault:
            raise ConfigError(f"option 'strip' is '{strip}', which is no regular expression: {fault}") from fault
        index: dict[str, int] = {}
        for row, name in enumerate(names):
            short = cut.sub("", name)
            if short in index:
                raise DataError(f"'{self.path}' has the id '{short}' in the rows {index[short]} and {row}, from 0")
            index[short] = row
        return index

    def get(self, identity: str) -> NDArray[Any] | None:
        """Return the row of a segment, or ``None``."""
        row = self._row(parts(identity))
        return None if row is None or row >= len(self.rows) else self.rows[row]

    def _row(self, of: Mapping[str, str]) -> int | None:
        if self.index is None:
            numbered = NUMBERED.fullmatch(of["clip"])
            return int(numbered[1]) if numbered else None
        # the last part alone is mostly a number in its clip, and names nothing
        names = (of["segment"], of["clip"], of["stem"], *([] if of["name"].isdigit() else [of["name"]]))
        return next((self.index[name] for name in names if name in self.index), None)

    def first(self) -> NDArray[Any]:
        """Return the first row."""
        return self.rows[0]


def _npz(path: Path, key: str | None, ids: str | None) -> tuple[NDArray[Any], list[str]]:
    try:
        held: Mapping[str, NDArray[Any]] = READERS[".npz"](path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as fault:
        raise DataError(f"'{path}' cannot be read as an .npz of arrays: {fault}") from fault
    if ids is None or ids not in held:
        raise ConfigError(
            f"option 'ids' is {ids!r}, expected the name of the ids among the arrays of '{path}': {', '.join(held)}",
            "mer list encoders --json",
        )
    rows = chosen(path, held, key)
    names = [str(name) for name in held[ids]]
    if rows.ndim != 2 or len(rows) != len(names):
        raise DataError(
            f"'{path}': '{key}' has the shape {rows.shape} and '{ids}' {len(names)} ids, expected a row each"
        )
    return rows, names


def _cells(path: Path, columns: Sequence[str], ids: str | None) -> tuple[NDArray[Any], list[str] | None]:
    frame = _frame(path)
    frame.columns = [str(column).strip() for column in frame.columns]
    for column in (*columns, *([ids] if ids else [])):
        if column not in frame.columns:
            raise DataError(f"'{path}' has no column '{column}'; it has {', '.join(frame.columns)}")
    if not columns:
        raise ConfigError(
            f"option 'columns' names none of the columns of '{path}': {', '.join(frame.columns)}",
            "mer extract --set recipe.encoders.audio.options.columns=V1,V3 ...",
        )
    blocks = [_block(path, column, frame[column].tolist()) for column in columns]
    return np.concatenate(blocks, 1), None if ids is None else [str(name) for name in frame[ids]]


def _frame(path: Path) -> Any:
    with foreign(f"'{path}' cannot be read as a table"):
        return FRAMES[path.suffix.lower()](path)


def _block(path: Path, column: str, cells: Sequence[Any]) -> NDArray[Any]:
    """Return a column's cells as float32 (N, D); empty cells are rows of NaN. Raises ``DataError`` for another D."""
    rows = [_vector(path, column, number, cell) for number, cell in enumerate(cells)]
    wide = next((len(row) for row in rows if row is not None), 0)
    if not wide:
        raise DataError(f"the column '{column}' of '{path}' holds no numbers")
    block = np.full((len(rows), wide), np.nan, np.float32)
    for number, row in enumerate(rows):
        if row is not None and len(row) != wide:
            raise DataError(f"row {number} of '{path}' has {len(row)} numbers in '{column}', others have {wide}")
        if row is not None:
            block[number] = row
    return block


def _vector(path: Path, column: str, number: int, cell: Any) -> NDArray[Any] | None:
    """Return the numbers in a cell: a list of parquet, one number, or numbers as text with or without brackets."""
    if cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and np.isnan(cell)):
        return None
    try:
        if not isinstance(cell, str):
            return np.atleast_1d(np.asarray(cell, np.float32)).ravel()
        # what stands around brackets is the name of an array's kind
        inside = cell[cell.find("[") : cell.rfind("]") + 1] if "[" in cell else cell
        return np.asarray([float(part) for part in re.findall(r"[^\s,;\[\]]+", inside)])
    except (ValueError, TypeError) as fault:
        cut = "; it was cut short when it was written" if "..." in str(cell) else ""
        raise DataError(f"row {number} of '{path}' holds no numbers in '{column}' ({str(cell)[:40]!r}){cut}") from fault


def _xlsx(path: Path) -> Any:
    import pandas

    return pandas.read_excel(path)


def _csv(path: Path) -> Any:
    import pandas

    return pandas.read_csv(path, dtype=str, keep_default_na=False)


def _parquet(path: Path) -> Any:
    import pandas

    return pandas.read_parquet(path)


FRAMES: Mapping[str, Callable[[Path], Any]] = {".xlsx": _xlsx, ".csv": _csv, ".parquet": _parquet}
