"""The feature store: immutable safetensors segments that several writers add to without locks.

``data/<corpus>/features/<modality>/<encoder>-<key>/*.safetensors`` and ``spec.json``. One writer writes one segment,
under a temporary name, fsync, rename: a kill loses at most the segment being written. What a segment holds stands in
its header, so resuming is a set difference over ids. Readers map the files.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mercli.errors import DataError
from mercli.rundir import atomic, plain, write_text
from mercli.types import Feature

FORMAT = 1
ROW_BITS = 32
ROW_MASK = (1 << ROW_BITS) - 1


def feature_key(
    encoder: str,
    version: str,
    options: Mapping[str, Any],
    streams: Mapping[str, Any],
    weights: str,
    precision: str,
) -> str:
    """Return the 12 hex digits that name features made in exactly one way.

    ``streams``: how the encoder's input is made: its stream settings, whose face is taken, who transcribes.
    """
    made = {
        "encoder": encoder,
        "version": version,
        "options": plain(options),
        "streams": plain(streams),
        "weights": weights,
        "precision": precision,
    }
    canonical = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class Store:
    """Features of one corpus by one encoder; ids are segment ids.

    ``prints`` {id: fingerprint} of the manifest as it is now: what was made of a segment that has changed since (other
    times, text, media) is passed over, so that it is made again.
    """

    def __init__(self, folder: Path, prints: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.prints = prints
        self._trust: dict[str, float] = {}
        # the number of a feature's file and its row among the file's offsets, in one: a corpus may have a million
        self._places: dict[str, int] = {}
        self._files: list[tuple[Mapping[str, np.ndarray], array[int]]] = []
        self._missing: dict[str, str] = {}
        self._read: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Read the headers of segments that other writers have added since."""
        for path in sorted(self.folder.glob("*.safetensors")):
            if path.name not in self._read:
                self._read.add(path.name)
                self._open(path)

    def _open(self, path: Path) -> None:
        arrays, meta = read_segment(path)
        first = len(self._files) << ROW_BITS
        self._files.append((arrays, array("q", arrays["offsets"].tobytes())))
        for row, identity in enumerate(meta["ids"]):
            if self._current(identity, meta):
                self._places[sys.intern(identity)] = first + row
        self._missing.update({i: why for i, why in meta["missing"].items() if self._current(i, meta)})
        self._trust.update({i: trust for i, trust in meta["trust"].items() if self._current(i, meta)})

    def _current(self, identity: str, meta: Mapping[str, Any]) -> bool:
        return self.prints is None or self.prints.get(identity) == meta["prints"].get(identity)

    def __contains__(self, identity: str) -> bool:
        return identity in self._places or identity in self._missing

    def __len__(self) -> int:
        return len(self._places)

    def ids(self) -> Iterator[str]:
        """Yield the ids that have a feature, in the order of the segments."""
        yield from self._places

    def missing(self, identity: str) -> str | None:
        """Return why a segment has no feature here, or ``None``."""
        return self._missing.get(identity)

    def get(self, identity: str) -> Feature | None:
        """Return a segment's feature as views of the mapped file, or ``None`` where it has none."""
        place = self._places.get(identity)
        if place is None:
            return None
        arrays, offsets = self._files[place >> ROW_BITS]
        row = place & ROW_MASK
        rows = slice(offsets[row], offsets[row + 1])
        # a frozen dataclass checks each field it sets: its __init__ would take as long as all the rest
        found = object.__new__(Feature)
        fields = found.__dict__
        fields["values"] = arrays["values"][rows]
        fields["times"] = arrays["times"][rows]
        fields["valid"] = arrays["valid"][rows]
        return found

    def trust(self, identity: str) -> float | None:
        """Return how far the transcript behind a text feature can be trusted, ``None`` where nobody said."""
        return self._trust.get(identity)

    def append(
        self, features: Mapping[str, Feature], missing: Mapping[str, str], trust: Mapping[str, float] | None = None
    ) -> None:
        """Write one new segment with these features, the reasons of the missing ones, and transcripts' trust."""
        if not features and not missing:
            return
        lengths = [len(feature.values) for feature in features.values()]
        arrays = {
            "values": _stack([f.values for f in features.values()], np.float32),
            "times": _stack([f.times for f in features.values()], np.float32, (0, 2)),
            "valid": _stack([f.valid for f in features.values()], np.bool_, (0,)),
            "offsets": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        }
        prints = {i: self.prints[i] for i in (*features, *missing) if self.prints and i in self.prints}
        tables = {"ids": list(features), "missing": dict(missing), "prints": prints, "trust": dict(trust or {})}
        meta = {"format": str(FORMAT), **{name: json.dumps(table) for name, table in tables.items()}}
        name = hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.safetensors"
        with atomic(path) as part:
            part.write_bytes(_serialized(arrays, meta))  # the library's writer tells a full disk as no OSError
        self._read.add(path.name)
        self._open(path)

    def describe(self, spec: Mapping[str, Any]) -> None:
        """Write ``spec.json`` once: how these features were made."""
        if not (self.folder / "spec.json").is_file():
            write_text(self.folder / "spec.json", json.dumps(plain(spec), indent=2, ensure_ascii=False) + "\n")


class Stored(Mapping[str, Feature | None]):
    """A segment's features by modality, taken from their stores when they are asked for.

    Views of a feature of one row weigh more than many a feature does.
    """

    __slots__ = ("_id", "_stores")

    def __init__(self, stores: Mapping[str, Store], identity: str) -> None:
        self._stores = stores
        self._id = identity

    def __getitem__(self, modality: str) -> Feature | None:
        return self._stores[modality].get(self._id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._stores)

    def __len__(self) -> int:
        return len(self._stores)


def _serialized(arrays: dict[str, np.ndarray], meta: dict[str, str]) -> bytes:
    """Return a segment's file: the library's, with the header in order, for it draws another each time."""
    from safetensors.numpy import save

    made = save(arrays, meta)
    length = int.from_bytes(made[:8], "little")
    header = json.dumps(json.loads(made[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # arrays begin at a multiple of 8 bytes
    return len(header).to_bytes(8, "little") + header + made[8 + length :]


def _stack(arrays: list[np.ndarray], kind: Any, empty: tuple[int, ...] = (0, 0)) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(arrays)).astype(kind) if arrays else np.zeros(empty, kind)


DTYPES = {"F32": np.float32, "I64": np.int64, "BOOL": np.bool_}


def read_segment(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return a segment's arrays as views of the mapped file, and its ids and missing reasons.

    Raises ``DataError`` for a file that is no whole segment of this format.
    """
    hint = f"rm '{path}' and run mer extract again"
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            header = json.loads(handle.read(length)) if 0 < length <= size else {}
        meta = header.pop("__metadata__", {})
        if meta.get("format") != str(FORMAT):
            raise DataError(f"'{path}' has store format {meta.get('format')!r}, expected '{FORMAT}'", hint)
        mapped = np.memmap(path, np.uint8, "r", offset=8 + length) if size > 8 + length else np.zeros(0, np.uint8)
        body = mapped.view(np.ndarray)  # a slice of a memmap costs ten times that of an array
        arrays = {}
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            if last > body.size:
                raise DataError(f"'{path}' is cut short, expected {last} bytes of data and found {body.size}", hint)
            arrays[name] = body[first:last].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
        ends = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if ends < body.size:
            raise DataError(f"'{path}' goes on after its data, by {body.size - ends} bytes", hint)
        return arrays, {name: json.loads(meta[name]) for name in ("ids", "missing", "prints", "trust")}
    except (OSError, ValueError, KeyError) as fault:
        raise DataError(f"'{path}' is no segment of the feature store: {fault}", hint) from fault
