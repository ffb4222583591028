"""IEMOCAP's own files: how utterances are named, when they are said, how they were judged, and their words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mercli.contracts import Excluded
from mercli.corpora.csvs import decode
from mercli.corpora.dimensions import VAD, rated

LABELS = ("neu", "hap", "sad", "ang", "exc", "fru", "sur", "fea", "dis", "oth", "xxx")
KINDS = {"impro": "improvised", "script": "scripted"}

NAME = re.compile(r"Ses0([1-5])([FM])_(impro|script)(\d{2}[ab]?)(?:_(\d[ab]?))?_([FM])(\d{3}|XX\d)", re.ASCII)
NUMBER = r"(-?\d+(?:\.\d+)?)"
SUMMARY = re.compile(rf"^\[\s*{NUMBER}\s*-\s*{NUMBER}\s*\]\s+(\S+)\s+(\S+)\s+\[([^\]]*)\]\s*$")
SPOKEN = re.compile(r"^(\S+) \[[\d.]+\s*-\s*[\d.]+\]:(.*)$")


@dataclass(frozen=True)
class Name:
    """The parts of an utterance's name, as ``Ses01F_script01_2b_M003``.

    ``marker`` is the actor who wore the motion-capture markers in that recording; who speaks is told by ``letter``.
    """

    session: str
    marker: str
    scene: str
    number: str
    part: str
    letter: str
    turn: str

    def __str__(self) -> str:
        return f"{self.dialogue}_{self.letter}{self.turn}"

    @property
    def dialogue(self) -> str:
        """The recording it belongs to."""
        part = f"_{self.part}" if self.part else ""
        return f"Ses0{self.session}{self.marker}_{self.scene}{self.number}{part}"

    @property
    def speaker(self) -> str:
        """One of the ten speakers, ``S1F`` to ``S5M``."""
        return f"S{self.session}{self.letter}"

    @property
    def region(self) -> str:
        """The half of the dialog's picture that shows the speaker: the marker's actor sits on the left."""
        return "left" if self.letter == self.marker else "right"

    @property
    def overlap(self) -> bool:
        """Whether it stands for both speaking at once, which nobody labelled."""
        return self.turn.startswith("XX")


def named(text: str) -> Name | None:
    """Return the parts of an utterance's name, or ``None`` where it has another form."""
    match = NAME.fullmatch(text)
    return Name(*(part or "" for part in match.groups())) if match else None


@dataclass(frozen=True)
class Utterance:
    """One summary line: ``start`` and ``end`` in seconds of the dialog, the raters' label, V/A/D of 1 to 5."""

    name: Name
    start: float
    end: float
    label: str
    ratings: dict[str, float]
    notes: tuple[str, ...] = ()


def utterances(path: Path) -> Iterator[Utterance | Excluded]:
    """Yield the utterances of one label file; raters' lines between the summaries are passed over.

    Raises ``DataError`` where the file cannot be read.
    """
    for number, line in enumerate(decode(path).splitlines(), start=1):
        if line.startswith("["):
            yield _utterance(line, f"{path.stem} line {number}")


def _utterance(line: str, place: str) -> Utterance | Excluded:
    match = SUMMARY.match(line)
    if match is None:
        return Excluded(place, "unreadable, expected [START - END], name, label and [V, A, D]")
    identity, label = match[3], match[4].lower()
    name = named(identity)
    if name is None:
        return Excluded(identity, f"{place}: unknown form of name, expected as Ses01F_impro01_F000")
    if label not in LABELS:
        return Excluded(identity, f"{place}: unknown label '{label}', expected one of {', '.join(LABELS)}")
    given, end = float(match[1]), float(match[2])
    start = max(given, 0.0)
    if end <= start:
        return Excluded(identity, f"{place}: its end {end} does not lie after its start {given}")
    ratings, notes = rated(dict(zip(VAD.names, match[5].split(","), strict=False)))
    early = [] if start == given else [f"times: the start {given} was set to 0"]
    return Utterance(name, start, end, label, ratings, (*early, *notes))


def words(path: Path) -> dict[str, str]:
    """Return what is said by utterance; lines without an utterance's name are passed over."""
    found = (SPOKEN.match(line.strip()) for line in decode(path).splitlines())
    return {match[1]: match[2].strip() for match in found if match and named(match[1])}
