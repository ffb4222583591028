"""AFEW, the clips of films of the EmotiW challenges: a folder per split and class (Dhall et al. 2012)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.media import UNSPELLED, claim, kind, missing, spelled, walk
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

LABELS = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
SPLITS = {"train": "train", "val": "dev"}
SPLIT_FOLDER = re.compile(r"^(train|val|test)(?:ing|idation)?(?:_.*)?$", re.IGNORECASE)
DEPTH = 5
"""The folder of a split lies at most four below the root, its classes one further down."""


@plugin("corpora", "afew", scheme="afew", labels=LABELS)
def afew() -> CorpusReader:
    """AFEW (EmotiW): short clips of films, video with sound, seven emotions."""
    return Afew()


class Afew:
    """Reads the class from the folder's name; the cut-out faces that ship beside the clips are passed over."""

    scheme = LabelScheme("afew", "one-of", LABELS)
    facts = facts.load("afew")

    def __init__(self) -> None:
        self.layout = ""
        self.release = "emotiw2016"

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, what the splits are, and which folders were read."""
        return {
            "licence": "EULA of EmotiW: research only",
            "language": "en",
            "label_map": canonical_map("afew", LABELS),
            "policy": policy_name(),
            "splits": "official; dev is the validation set, which papers (SMIL) use as their test: test labels are "
            "withheld, and speakers are not named",
            "layout": self.layout,
            "expected": self.release,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the clips of both splits; raises ``DataError`` where no class folder holds any."""
        placed = [(path, *_place(path.relative_to(root))) for path in _videos(root)]
        folders = sorted({folder for _, folder, label in placed if label in LABELS and _split(folder)})
        if not folders:
            raise DataError(
                f"no AFEW clip under '{root}', expected Train_AFEW/Angry/*.avi and Val_AFEW/Angry/*.avi",
                "mer prepare --corpus afew --root DIR-ABOVE-TRAIN_AFEW",
            )
        self.layout = ", ".join(folders)
        self.release = "emotiw2016" if all(folder.lower().endswith("_afew") for folder in folders) else "older"
        held: dict[str, str] = {}
        for path, folder, label in placed:
            place = path.relative_to(root).as_posix()
            split = _split(folder)
            if split is None or label not in LABELS or not spelled(Path(path.name)):
                yield Excluded(place, _reason(folder, label))
                continue
            identity = f"{split}/{path.stem}"
            if claim([identity], place, held) is None:
                yield Excluded(place, f"its name is already that of '{held[identity]}'")
                continue
            yield from _clip(name, identity, split, label, path, place)


def _videos(root: Path) -> Iterator[Path]:
    for path in walk(root, DEPTH):
        parents = path.relative_to(root).parts[:-1]
        if kind(path) == "video" and not any(part.lower().startswith("alignedfaces") for part in parents):
            yield path


def _place(path: Path) -> tuple[str, str]:
    """Return the innermost folder of a split above a clip and its class; either is empty where it is not there."""
    parents = path.parts[:-1]
    number = next((i for i in reversed(range(len(parents))) if SPLIT_FOLDER.match(parents[i])), None)
    if number is None:
        return "", parents[-1] if parents else ""
    below = parents[number + 1 :]
    return parents[number], below[0].capitalize() if below else ""


def _split(folder: str) -> str | None:
    match = SPLIT_FOLDER.match(folder)
    return SPLITS.get(match[1].lower()) if match else None


def _reason(folder: str, label: str) -> str:
    if not folder:
        return "in no folder of a split, expected Train_AFEW or Val_AFEW"
    if _split(folder) is None:
        return "in the test set, whose labels are withheld"
    if label in LABELS:
        return UNSPELLED
    return f"unknown class '{label}', expected a folder {', '.join(LABELS)}"


def _clip(name: str, identity: str, split: str, label: str, path: Path, place: str) -> Iterator[Clip | Segment]:
    reason = missing(path)
    yield Clip(identity, name, video=None if reason else place)
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        language="en",
        masked={"audio": reason, "face": reason} if reason else {},
        labels={"afew": label},
        split=split,
    )
