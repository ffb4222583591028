"""CK+: posed faces from neutral to the peak of an emotion (Lucey et al. 2010), the release and its 48 x 48 cuts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts, unpacking
from mercli.corpora.media import kind, missing, refuse_pointer, walk
from mercli.errors import ConfigError, DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

# by the codes of the release's emotion files
LABELS = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
ALIASES = {"angry": "anger", "sad": "sadness", "happiness": "happy"}
FRAME = re.compile(r"^(S\d{3})_(\d{3})_\d+$", re.IGNORECASE)
EMOTION = re.compile(r"^(S\d{3})_(\d{3})_\d+_emotion\.txt$", re.IGNORECASE)
DEPTH = 7
"""Folders below the root: the release's own three (images, subject, sequence) at most four further down."""


@plugin("corpora", "ckplus", scheme="ckplus", labels=LABELS)
def ckplus(*, frames: int = 3, unpack: str | None = None, contempt: str = DEFAULT_POLICY["contempt"]) -> CorpusReader:
    """CK+: posed faces of 118 subjects, seven emotions with contempt; pictures only.

    ``frames``: how many at the end of a labelled sequence are read (the release only); ``unpack``: folder outside the
    corpus for the pictures of an npz, which otherwise has none; ``contempt``: drop, disgust or own.
    """
    if frames < 1:
        raise ConfigError(f"frames={frames} cannot be used, expected 1 or more", "mer prepare --set frames=3")
    return CkPlus(frames, unpack, policy(contempt=contempt))


@dataclass(frozen=True)
class _Frame:
    """One picture: the name it is released under, its label, and its file or (in ``table``) its pixels and row."""

    name: str
    label: str
    path: Path | None = None
    pixels: Any = None
    table: str = ""
    row: int = 0

    @property
    def subject(self) -> str:
        """The person: the first part of the name."""
        return self.name.split("_")[0]


@dataclass
class _Release:
    """What was found: pictures by name, emotion files by sequence, tables, and pictures of other names."""

    frames: dict[str, list[Path]] = field(default_factory=dict)
    emotions: dict[str, Path] = field(default_factory=dict)
    tables: list[Path] = field(default_factory=list)
    strange: list[Path] = field(default_factory=list)


class CkPlus:
    """Reads labelled sequences of the release, else a folder per class (CK+48), else an npz (images, emotion, id)."""

    scheme = LabelScheme("ckplus", "one-of", LABELS)
    facts = facts.load("ckplus")

    def __init__(self, frames: int, unpack: str | None, choices: Mapping[str, str]) -> None:
        self.frames = frames
        self.unpack = unpack
        self.choices = choices
        self.layout = ""
        self.expected: str | None = None

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, split convention and the form that was read."""
        return {
            "licence": "research use by agreement: do not redistribute",
            "language": None,
            "label_map": canonical_map("ckplus", LABELS, self.choices),
            "policy": policy_name(self.choices),
            "splits": "convention, none is official: of the labelled subjects in order, every fifth is test, the first "
            "of each five dev, the other three train",
            "layout": self.layout,
            "expected": self.expected,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the pictures; raises ``DataError`` where no form of CK+ is found or ``unpack`` lies inside it."""
        folder = unpacking.target(self.unpack, root)
        items = list(self._frames(root, _find(root)))
        splits = default_splits({item.subject for item in items if isinstance(item, _Frame)})
        seen: set[str] = set()
        for item in items:
            if isinstance(item, Excluded):
                yield item
            elif item.name in seen:
                yield Excluded(item.name, "a second picture of this name")
            else:
                seen.add(item.name)
                yield from _face(name, item, splits[item.subject], folder, root)

    def _frames(self, root: Path, found: _Release) -> Iterator[_Frame | Excluded]:
        for path in found.strange:
            reason = "name is not that of a released picture, such as S010_004_00000017.png"
            yield Excluded(path.relative_to(root).as_posix(), reason)
        classes = any(_word(path.parent.name) for paths in found.frames.values() for path in paths)
        if found.emotions and found.frames:
            self.layout, self.expected = f"release: last {self.frames} frames", "last3" if self.frames == 3 else None
            yield from _sequences(found, self.frames)
        elif classes:
            self.layout, self.expected = "class folders", "last3"
            yield from _class_folders(found.frames)
        elif found.tables:
            self.layout = f"npz: {found.tables[0].name}"
            yield from _table(found.tables[0], root)
        else:
            gone = "; pictures are there, but no *_emotion.txt of Emotion_labels" if found.frames else ""
            raise DataError(
                f"no CK+ under '{root}', expected cohn-kanade-images with Emotion, CK+48/anger/*.png or an npz{gone}",
                "mer prepare --corpus ckplus --root DIR-OF-cohn-kanade-images-AND-Emotion",
            )


def default_splits(subjects: Iterable[str]) -> dict[str, str]:
    """Return the split of each subject by its place in their order: dev, train, train, train, test, and again."""
    cycle = ("dev", "train", "train", "train", "test")
    return {subject: cycle[place % len(cycle)] for place, subject in enumerate(sorted(set(subjects)))}


def _word(folder: str) -> str | None:
    word = folder.strip().lower()
    word = ALIASES.get(word, word)
    return word if word in LABELS else None


def _find(root: Path) -> _Release:
    found = _Release()
    for path in walk(root, DEPTH):
        emotion = EMOTION.match(path.name)
        if emotion:
            found.emotions.setdefault(f"{emotion[1]}_{emotion[2]}".upper(), path)
        elif path.suffix.lower() == ".npz":
            found.tables.append(path)
        elif kind(path) == "image" and FRAME.match(path.stem):
            found.frames.setdefault(path.stem.upper(), []).append(path)
        elif kind(path) == "image":
            found.strange.append(path)
    return found


def _sequences(found: _Release, count: int) -> Iterator[_Frame | Excluded]:
    """Yield the last frames of each labelled sequence; those of unlabelled ones are not part of the emotion set."""
    frames: dict[str, list[_Frame]] = {}
    for name, paths in sorted(found.frames.items()):
        # small cuts in class folders may lie beside the release
        whole = next((path for path in paths if not _word(path.parent.name)), None)
        if whole:
            frames.setdefault(name.rpartition("_")[0], []).append(_Frame(name, "", whole))
    for sequence, file in sorted(found.emotions.items()):
        label = _code(file)
        if sequence not in frames:
            yield Excluded(sequence, "an emotion without pictures")
        elif label is None:
            yield Excluded(sequence, f"'{file.name}' holds no code of 0 to {len(LABELS) - 1}")
        else:
            yield from (replace(frame, label=label) for frame in frames[sequence][-count:])
    bare = sorted(set(frames) - set(found.emotions))
    yield from (Excluded(sequence, "the release has no emotion for this sequence") for sequence in bare)


def _code(file: Path) -> str | None:
    """Return the label of an emotion file: one number, written as a float."""
    try:
        number = float(file.read_text(encoding="ascii", errors="replace"))
    except (OSError, ValueError):
        return None
    return LABELS[int(number)] if number.is_integer() and 0 <= number < len(LABELS) else None


def _class_folders(frames: Mapping[str, Sequence[Path]]) -> Iterator[_Frame | Excluded]:
    for name, paths in sorted(frames.items()):
        for path in paths:
            label = _word(path.parent.name)
            if label is None:
                reason = f"folder '{path.parent.name}' is no label, expected one of {', '.join(LABELS)}"
                yield Excluded(name, reason)
            else:
                yield _Frame(name, label, path)


def _table(path: Path, root: Path) -> Iterator[_Frame | Excluded]:
    import zipfile

    import numpy as np

    refuse_pointer(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            images, emotions, names = (file[key] for key in ("images", "emotion", "id"))
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as fault:
        raise DataError(f"'{path}' is no npz of CK+, expected images, emotion, id ({fault})") from fault
    if images.dtype != np.uint8 or images.ndim != 3 or not len(images) == len(emotions) == len(names):
        raise DataError(f"'{path}' holds images {images.dtype} {images.shape}, expected uint8 (N, H, W)")
    table = path.relative_to(root).as_posix()
    for row, (pixels, given, name) in enumerate(zip(images, map(str, emotions), map(str, names), strict=True)):
        label = _word(given)
        if label is None or not FRAME.match(name):
            yield Excluded(f"row{row}", f"unknown label '{given}' or id '{name}'")
        else:
            yield _Frame(name.upper(), label, pixels=pixels, table=table, row=row)


def _face(name: str, frame: _Frame, split: str, folder: Path | None, root: Path) -> Iterator[Clip | Segment]:
    image, reason = None, unpacking.INSIDE
    if frame.path:
        reason = missing(frame.path) or ""
        image = None if reason else frame.path.relative_to(root).as_posix()
    elif folder:
        image, reason = unpacking.put(folder, f"{frame.name}.png", unpacking.png(frame.pixels)), ""
    meta = {"table": frame.table, "row": frame.row} if frame.table else {}
    yield Clip(frame.name, name, image=image, meta={"sequence": frame.name.rpartition("_")[0], **meta})
    yield Segment(
        id=f"{name}/{frame.name}/0",
        clip_id=frame.name,
        start=0.0,
        speaker=frame.subject,
        masked={"face": reason} if reason else {},
        labels={"ckplus": frame.label},
        split=split,
    )
