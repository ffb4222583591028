"""``mer store``: what features lie where, whether they are whole, and taking them away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mercli.errors import DataError
from mercli.features.store import read_segment


@dataclass(frozen=True)
class Shelf:
    """The features of one corpus by one encoder, made in one way."""

    corpus: str
    modality: str
    encoder: str
    key: str
    segments: int
    missing: int
    rows: int
    dim: int
    megabytes: float
    faults: tuple[str, ...] = ()


def shelves(data: Path, corpora: Sequence[str], *, verify: bool = False) -> list[Shelf]:
    """Return what is stored, by corpus, modality and encoder; with ``verify`` every number is read.

    Raises ``DataError`` where a corpus named has no features.
    """
    found = []
    for folder in _folders(data, corpora):
        found.append(_shelf(folder, verify))
    return found


def remove(data: Path, corpora: Sequence[str], encoder: str | None, *, damaged: bool) -> list[Path]:
    """Remove the features of ``encoder`` (a name, or ``name-key``), or with ``damaged`` the files that are not whole.

    Return what was removed.
    """
    removed = []
    for folder in _folders(data, corpora):
        name, _, key = folder.name.rpartition("-")
        if encoder not in (None, name, f"{name}-{key}"):
            continue
        if damaged:
            for path in sorted(folder.glob("*.safetensors")):
                if _fault(path):
                    path.unlink()
                    removed.append(path)
        else:
            shutil.rmtree(folder)
            removed.append(folder)
    return removed


def _folders(data: Path, corpora: Sequence[str]) -> Iterator[Path]:
    if not data.is_dir():
        raise DataError(f"'{data}' does not exist, expected the folder that mer prepare wrote into", "--data DIR")
    for name in corpora:
        if not (data / name / "features").is_dir():
            raise DataError(f"no features of '{name}' under '{data}'", f"mer extract --corpora {name} --data '{data}'")
    names = corpora or sorted(path.parent.name for path in data.glob("*/features"))
    for name in names:
        yield from sorted(path for path in (data / name / "features").glob("*/*") if path.is_dir())


def _shelf(folder: Path, verify: bool) -> Shelf:
    name, _, key = folder.name.rpartition("-")
    segments: set[str] = set()
    missing: set[str] = set()
    faults, rows, dim, size = [], 0, 0, 0
    for path in sorted(folder.glob("*.safetensors")):
        size += path.stat().st_size
        fault = _fault(path) if verify else None
        if fault:
            faults.append(fault)
            continue
        try:
            arrays, meta = read_segment(path)
        except DataError as broken:
            faults.append(broken.message)
            continue
        segments |= set(meta["ids"])
        missing |= set(meta["missing"])
        rows += len(arrays["values"])
        dim = max(dim, arrays["values"].shape[1])
    corpus, modality = folder.parents[2].name, folder.parent.name
    gone = len(missing - segments)
    return Shelf(corpus, modality, name, key, len(segments), gone, rows, dim, round(size / 1e6, 3), tuple(faults))


def _fault(path: Path) -> str | None:
    """Return what is wrong with one file of the store: not whole, offsets that do not fit, or numbers that are none."""
    import numpy as np

    try:
        arrays, meta = read_segment(path)
    except DataError as broken:
        return broken.message
    offsets, values, valid = arrays["offsets"], arrays["values"], arrays["valid"]
    if len(offsets) != len(meta["ids"]) + 1 or (np.diff(offsets) < 0).any() or offsets[-1] != len(values):
        return f"'{path}' lists {len(meta['ids'])} segments, and its offsets do not fit them"
    if not np.isfinite(values[valid]).all():
        return f"'{path}' has NaN or infinite values"
    return None


def spec_of(data: Path, shelf: Shelf) -> dict[str, object]:
    """Return how a shelf's features were made, as ``extract`` wrote it down; empty where nothing was."""
    path = data / shelf.corpus / "features" / shelf.modality / f"{shelf.encoder}-{shelf.key}" / "spec.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
