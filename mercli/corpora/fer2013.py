"""FER2013: 48 x 48 grey faces from web search (Goodfellow et al. 2013, ICML challenge on Kaggle), in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts, unpacking
from mercli.corpora.csvs import records, require
from mercli.corpora.media import kind, missing, refuse_pointer, walk
from mercli.errors import DataError
from mercli.labels import SYNONYMS, canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
WORDS = {
    **{str(code): label for code, label in enumerate(LABELS)},
    **{word: label for label in LABELS for word in (label, *SYNONYMS[label])},
}
USAGES = {"Training": "train", "PublicTest": "dev", "PrivateTest": "test"}
NAME = re.compile(r"^(Training|PublicTest|PrivateTest)_\d+$")
TWICE = ("Training_8475486", "Training_52789098")
"""Two names that each stand for two pictures, in folders of different classes."""
COLUMNS = ("emotion", "pixels", "usage")
TABLES = ("fer2013.csv", "icml_face_data.csv")
SIDE = 48


@plugin("corpora", "fer2013", scheme="fer2013", labels=LABELS)
def fer2013(*, unpack: str | None = None) -> CorpusReader:
    """FER2013: 35 887 grey faces of 48 x 48 pixels, seven emotions; pictures only.

    ``unpack``: folder outside the corpus for the pictures of a csv or parquet; without it their rows have no picture.
    """
    return Fer2013(unpack)


@dataclass(frozen=True)
class _Picture:
    """One face: ``path`` where it is a file, else its row in ``table`` with ``pixels`` as text or ``jpeg``."""

    name: str
    given: str
    path: Path | None = None
    pixels: str = ""
    jpeg: bytes = b""
    table: str = ""
    row: int = 0


@dataclass
class _Release:
    """What was found: picture files, and the tables that hold pictures."""

    pictures: list[Path] = field(default_factory=list)
    parquets: list[Path] = field(default_factory=list)
    csvs: list[Path] = field(default_factory=list)


class Fer2013:
    """Reads class folders of pictures named by their usage, else parquets (id, label, jpeg), else Kaggle's csv."""

    scheme = LabelScheme("fer2013", "one-of", LABELS)
    facts = facts.load("fer2013")

    def __init__(self, unpack: str | None) -> None:
        self.unpack = unpack
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, whose splits these are, and the form that was read."""
        return {
            "licence": "none stated (pictures from web search): research use, do not redistribute",
            "language": None,
            "label_map": canonical_map("fer2013", LABELS),
            "policy": policy_name(),
            "splits": "official: Training, PublicTest (dev), PrivateTest (test); persons are not known",
            "layout": self.layout,
            "expected": "release",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the pictures; raises ``DataError`` where no form of FER2013 is found or ``unpack`` lies inside it."""
        folder = unpacking.target(self.unpack, root)
        seen: set[str] = set()
        for picture in self._pictures(root, _find(root), unpacked=folder is not None):
            if isinstance(picture, Excluded):
                yield picture
                continue
            label = WORDS.get(picture.given)
            identity = f"{picture.name}_{label}" if picture.name in TWICE else picture.name
            fault = _fault(picture, label, folder)
            if identity in seen:
                fault = "a second picture of this name"
            seen.add(identity)
            if fault:
                yield Excluded(identity, fault)
            else:
                yield from _face(name, identity, picture, str(label), folder, root)

    def _pictures(self, root: Path, found: _Release, unpacked: bool) -> Iterator[_Picture | Excluded]:
        if any(NAME.match(path.stem) for path in found.pictures):
            self.layout = "class folders"
            yield from _from_folders(found.pictures, root)
        elif found.parquets:
            self.layout = f"parquet: {', '.join(path.name for path in found.parquets)}"
            for path in found.parquets:
                yield from _from_parquet(path, root, unpacked)
        elif found.csvs:
            self.layout = f"csv: {found.csvs[0].name}"
            yield from _from_csv(found.csvs[0], root)
        else:
            others = f"; {len(found.pictures)} pictures have other names" if found.pictures else ""
            raise DataError(
                f"no FER2013 under '{root}', expected fer2013.csv, train/angry/Training_1.jpg or train.parquet{others}",
                "mer prepare --corpus folder --set identity=fer2013 --root DIR",
            )


def _find(root: Path) -> _Release:
    found = _Release()
    for path in walk(root):
        if kind(path) == "image":
            found.pictures.append(path)
        elif path.suffix.lower() == ".parquet":
            found.parquets.append(path)
        elif path.name.lower() in TABLES:
            found.csvs.append(path)
    return found


def _from_folders(paths: Sequence[Path], root: Path) -> Iterator[_Picture | Excluded]:
    for path in paths:
        if NAME.match(path.stem):
            yield _Picture(path.stem, path.parent.name.lower(), path)
        else:
            reason = "name is not that of a released picture, such as Training_1.jpg or PublicTest_1.jpg"
            yield Excluded(path.relative_to(root).as_posix(), reason)


def _from_csv(path: Path, root: Path) -> Iterator[_Picture | Excluded]:
    """Read Kaggle's csv row by row; the challenge's own copy has blanks before its column names."""
    table = path.relative_to(root).as_posix()
    header, rows = records(path)
    names = {column.strip().lower(): column for column in header}
    require(path, list(names), COLUMNS)
    for number, (line, row) in enumerate(rows):
        label, pixels, usage = (row[names[column]].strip() for column in COLUMNS)
        if usage in USAGES:
            yield _Picture(f"{usage}_{number}", label, pixels=pixels, table=table, row=number)
        else:
            yield Excluded(f"row{number}", f"line {line}: not emotion, pixels and a known usage")


def _from_parquet(path: Path, root: Path, unpacked: bool) -> Iterator[_Picture | Excluded]:
    """Read a parquet batch by batch; the pictures themselves only where they are unpacked."""
    import pyarrow
    import pyarrow.parquet

    refuse_pointer(path)
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as fault:
        raise DataError(f"'{path}' is no parquet file ({fault})") from fault
    require(path, file.schema_arrow.names, ("id", "label", "jpeg"))
    table, columns = path.relative_to(root).as_posix(), ["id", "label", *(["jpeg"] if unpacked else [])]
    rows = (row for batch in file.iter_batches(512, columns=columns) for row in batch.to_pylist())
    for number, row in enumerate(rows):
        if not NAME.match(str(row["id"])):
            yield Excluded(f"{table}/row{number}", f"id '{row['id']}' is not of the form Training_1")
            continue
        yield _Picture(row["id"], str(row["label"]), jpeg=row.get("jpeg") or b"", table=table, row=number)


def _fault(picture: _Picture, label: str | None, folder: Path | None) -> str | None:
    """Return why a picture cannot be used, or ``None``."""
    if label not in LABELS:
        return f"unknown label '{picture.given}', expected 0 to 6 or one of {', '.join(LABELS)}"
    if folder and not picture.path and not picture.jpeg and _pixels(picture.pixels) is None:
        return f"its pixels are not {SIDE} x {SIDE} numbers of 0 to 255"
    return None


def _pixels(text: str) -> Any:
    """Return the pixels as uint8 (48, 48), or ``None`` where they are something else."""
    import numpy as np

    numbers = text.split()
    if len(numbers) != SIDE * SIDE or not all(one.isdecimal() and int(one) < 256 for one in numbers):
        return None
    return np.array(numbers, dtype=np.int64).astype(np.uint8).reshape(SIDE, SIDE)


def _face(
    name: str, identity: str, picture: _Picture, label: str, folder: Path | None, root: Path
) -> Iterator[Clip | Segment]:
    image, reason = None, unpacking.INSIDE
    if picture.path:
        reason = missing(picture.path) or ""
        image = None if reason else picture.path.relative_to(root).as_posix()
    elif folder:
        content = picture.jpeg or unpacking.png(_pixels(picture.pixels))
        image, reason = unpacking.put(folder, f"{identity}.{'jpg' if picture.jpeg else 'png'}", content), ""
    meta = {"table": picture.table, "row": picture.row} if picture.table else {}
    yield Clip(identity, name, image=image, meta=meta)
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        masked={"face": reason} if reason else {},
        labels={"fer2013": label},
        split=USAGES[picture.name.split("_")[0]],
    )
