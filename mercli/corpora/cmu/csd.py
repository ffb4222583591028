"""Computational sequences (csd): the HDF5 files in which CMU-MOSI and CMU-MOSEI publish their labels.

``<sequence>/data/<video>/{features (n, K), intervals (n, 2)}`` and ``<sequence>/metadata/dimension names``, a JSON list
(CMU-MultimodalSDK README).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.corpora.media import refuse_pointer
from mercli.errors import DataError

TOLERANCE = 1e-3
"""Seconds within which two times are equal: csds keep 32-bit floats, transcripts decimal text."""


@dataclass(frozen=True)
class Row:
    """What is known of one stretch of a video, ``[start, end)`` in seconds: a value per dimension."""

    start: float
    end: float
    values: Mapping[str, float]


def load(path: Path, dimensions: Mapping[int, tuple[str, ...]]) -> dict[str, list[Row]]:
    """Return the rows of each video, in the file's order; ``dimensions`` names the columns by their number.

    The file's own dimension names win where they are the same words in another order. Raises ``DataError`` for a file
    that is no csd, or whose features have another number of columns.
    """
    import h5py

    refuse_pointer(path)
    try:
        with h5py.File(path, "r") as file:
            sequence = next((g for g in file.values() if isinstance(g, h5py.Group) and "data" in g), None)
            if sequence is None:
                raise DataError(f"'{path}' holds no sequence, expected an HDF5 group with a group 'data'")
            return {video: list(_rows(path, video, sequence, dimensions)) for video in sequence["data"]}
    except (OSError, KeyError, ValueError) as fault:
        raise DataError(f"'{path}' cannot be read as csd (HDF5): {fault}") from fault


def _rows(path: Path, video: str, sequence: Any, dimensions: Mapping[int, tuple[str, ...]]) -> Iterator[Row]:
    features, intervals = sequence["data"][video]["features"][()], sequence["data"][video]["intervals"][()]
    if features.ndim != 2 or intervals.shape != (len(features), 2) or features.shape[1] not in dimensions:
        widths = " or ".join(map(str, sorted(dimensions)))
        raise DataError(
            f"'{path}': features {features.shape} and intervals {intervals.shape} of video '{video}', "
            f"expected (n, {widths}) and (n, 2)"
        )
    names = _names(sequence, dimensions[features.shape[1]])
    for (start, end), values in zip(intervals.tolist(), features.tolist(), strict=True):
        yield Row(start, end, dict(zip(names, values, strict=True)))


def _names(sequence: Any, usual: tuple[str, ...]) -> Sequence[str]:
    """Return the file's own names of the columns, else the usual ones."""
    if "metadata" not in sequence or "dimension names" not in sequence["metadata"]:
        return usual
    held = sequence["metadata"]["dimension names"][()]
    text = held if isinstance(held, bytes | str) else held.ravel()[0]
    try:
        own = [str(name).strip().lower() for name in json.loads(text)]
    except (TypeError, ValueError):
        return usual
    return own if sorted(own) == sorted(usual) else usual


def at(rows: Sequence[Row], start: float, end: float) -> int | None:
    """Return the index of the row with these times, or ``None``.

    Rows are never matched by their order: it differs between a csd and its transcripts (CMU-MultimodalSDK#168). A
    negative start equals 0, since some copies clamp it.
    """
    for index, row in enumerate(rows):
        if abs(max(row.start, 0.0) - max(start, 0.0)) <= TOLERANCE and abs(row.end - end) <= TOLERANCE:
            return index
    return None
