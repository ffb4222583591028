"""CREMA-D: twelve sentences by 91 actors, as acted or as raters perceived them (Cao et al. 2014)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.csvs import records, require
from mercli.corpora.media import kind, missing, walk
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

Labels = Literal["acted", "voice", "face", "multimodal"]

LABELS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
TIE = "tie"
LETTERS = {code[0]: code for code in LABELS}
COLUMNS = {"voice": "Voice", "face": "Face", "multimodal": "MultiModal"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
FIXED = "fixed sentence: it carries no emotion"
ACTOR = r"10(?:0[1-9]|[1-8]\d|9[01])"
STEM = re.compile(rf"^({ACTOR}_(?:{'|'.join(SENTENCES)})_(?:{'|'.join(LABELS)}))_(LO|MD|HI|XX?)$", re.IGNORECASE)
RANKS = {".wav": 0, ".mp3": 2, ".mp4": 0}
"""Which file of a clip is read: the maintainer advises wav over mp3 (CREMA-D#13); endings not named come between."""


@plugin("corpora", "cremad", scheme="cremad", labels=LABELS)
def cremad(*, crema_labels: Labels = "acted") -> CorpusReader:
    """CREMA-D: twelve fixed sentences by 91 actors, video and audio, six emotions.

    ``crema_labels``: acted (the file's name), or what raters perceived by voice, by face or by both (multimodal).
    """
    return Cremad(crema_labels)


@dataclass
class _Release:
    """What was found: media by clip, the tables of votes and actors, and media that are no clip's."""

    media: dict[str, list[Path]] = field(default_factory=dict)
    strange: list[Excluded] = field(default_factory=list)
    votes: Path | None = None
    actors: Path | None = None


@dataclass(frozen=True)
class _Utterance:
    """One clip as read: its label, the file of each kind, the actor's sex, and the raters' vote with its level."""

    id: str
    label: str
    media: Mapping[str, Path]
    sex: str | None
    rated: Mapping[str, str]


class Cremad:
    """Reads the files' names, and the table of votes where it is there; a clip without media stays as a row."""

    facts = facts.load("cremad")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.scheme = LabelScheme("cremad", "one-of", LABELS if labels == "acted" else (*LABELS, TIE))
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, split convention and which media and labels were read."""
        return {
            "licence": "ODbL 1.0",
            "language": "en",
            "label_map": canonical_map("cremad", self.scheme.names),
            "policy": policy_name(),
            "splits": "convention, none is official: folds 'actor', train 1-3, dev 4, test 5",
            "layout": self.layout,
            "expected": self.labels,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the clips of the media and of the table of votes; raises ``DataError`` where neither is found."""
        release = _find(root)
        if not release.media and release.votes is None:
            raise DataError(
                f"no CREMA-D clip under '{root}', expected AudioWAV/1001_IEO_NEU_XX.wav, VideoFlash/*.flv or "
                "processedResults/summaryTable.csv",
                "mer prepare --corpus cremad --root DIR-OF-CREMA-D",
            )
        votes, broken = _votes(release.votes, self.labels)
        sexes = _sexes(release.actors)
        self.layout = f"labels as {self.labels}; {_counted(release)}"
        for identity in sorted({*release.media, *votes}):
            row = votes.get(identity)
            if row is None and self.labels != "acted":
                yield Excluded(identity, f"no row in '{release.votes}', so its {self.labels} label is not known")
                continue
            label = _label(identity, row, self.labels)
            if label is None:
                yield Excluded(identity, f"unknown vote '{_vote(row, self.labels)}', expected letters of NHDFAS")
                continue
            media, twins = _chosen(release.media.get(identity, []))
            utterance = _Utterance(identity, label, media, sexes.get(identity[:4]), _rated(row, self.labels))
            yield from _read(utterance, name, root)
            yield from (Excluded(path.relative_to(root).as_posix(), f"a second file of '{identity}'") for path in twins)
        yield from (*broken, *release.strange)


def clip_id(stem: str) -> str | None:
    """Return a clip's id from a file's stem, a lone trailing X doubled, or ``None`` for another name."""
    match = STEM.match(stem.strip())
    if match is None:
        return None
    level = match[2].upper()
    return f"{match[1].upper()}_{'XX' if level == 'X' else level}"


def default_split(actor: str) -> str:
    """Return ``dev`` for the actors that fold 4 tests, ``test`` for those of fold 5, else ``train``."""
    *_, fourth, fifth = Cremad.facts.folds["actor"].folds
    return "dev" if actor in fourth["test"] else "test" if actor in fifth["test"] else "train"


def _find(root: Path) -> _Release:
    release = _Release()
    for path in walk(root):
        if re.search(r"summarytable\.csv(\.gz)?$", path.name.lower()):
            release.votes = release.votes or path
        elif path.name.lower() == "videodemographics.csv":
            release.actors = release.actors or path
        elif kind(path) in ("video", "audio"):
            identity = clip_id(path.stem)
            if identity:
                release.media.setdefault(identity, []).append(path)
            else:
                place = path.relative_to(root).as_posix()
                release.strange.append(Excluded(place, "name is not that of a clip, such as 1001_IEO_NEU_XX"))
    return release


def _counted(release: _Release) -> str:
    kinds = [{kind(path) for path in paths} for paths in release.media.values()]
    tables = [path.name for path in (release.votes, release.actors) if path]
    return ", ".join(
        [*(f"{sum(what in one for one in kinds)} clips with {what}" for what in ("audio", "video")), *tables]
    )


def _rows(table: Path, *needed: str) -> list[tuple[int, dict[str, str]]]:
    header, rows = records(table)
    require(table, header, needed, "mer prepare --corpus cremad --root DIR-OF-CREMA-D")
    return list(rows)


def _votes(table: Path | None, labels: Labels) -> tuple[dict[str, dict[str, str]], list[Excluded]]:
    """Return the table's row of each clip, and the rows that are no clip's or its second."""
    if table is None:
        if labels == "acted":
            return {}, []
        raise DataError(
            f"crema_labels={labels} needs the table of votes, expected processedResults/summaryTable.csv",
            "mer prepare --corpus cremad --set crema_labels=acted",
        )
    needed = () if labels == "acted" else (f"{COLUMNS[labels]}Vote",)
    votes: dict[str, dict[str, str]] = {}
    broken = []
    for number, row in _rows(table, "FileName", *needed):
        identity = clip_id(row["FileName"])
        if identity is None or identity in votes:
            reason = "name is not that of a clip" if identity is None else "a second row of this clip"
            broken.append(Excluded(row["FileName"] or f"row{number}", f"line {number}: {reason}"))
        else:
            votes[identity] = row
    return votes, broken


def _sexes(table: Path | None) -> dict[str, str]:
    """Return ``f`` or ``m`` for each actor of the table, where it says Female or Male."""
    rows = _rows(table, "ActorID", "Sex") if table else []
    given = {row["ActorID"].strip(): row["Sex"].strip().lower()[:1] for _, row in rows}
    return {actor: sex for actor, sex in given.items() if sex in ("f", "m")}


def _vote(row: Mapping[str, str] | None, labels: Labels) -> str:
    return row[f"{COLUMNS[labels]}Vote"].strip() if row and labels != "acted" else ""


def _rated(row: Mapping[str, str] | None, labels: Labels) -> dict[str, str]:
    if row is None or labels == "acted":
        return {}
    return {"vote": _vote(row, labels), "vote_level": row.get(f"{COLUMNS[labels]}Level", "").strip()}


def _label(identity: str, row: Mapping[str, str] | None, labels: Labels) -> str | None:
    """Return a clip's label, ``tie`` where several emotions share the most votes, ``None`` where it cannot be read."""
    if labels == "acted":
        return identity.split("_")[2]
    letters = _vote(row, labels).split(":")
    if not all(letter in LETTERS for letter in letters):
        return None
    return LETTERS[letters[0]] if len(letters) == 1 else TIE


def _chosen(paths: Sequence[Path]) -> tuple[dict[str, Path], list[Path]]:
    """Return the best file of each kind, one that is there before its pointer, and further files of one ending."""
    ranked = sorted(paths, key=lambda p: (missing(p) is not None, RANKS.get(p.suffix.lower(), 1), p.as_posix()))
    media: dict[str, Path] = {}
    endings: set[str] = set()
    twins = []
    for path in ranked:
        media.setdefault(str(kind(path)), path)
        if path.suffix.lower() in endings:
            twins.append(path)
        endings.add(path.suffix.lower())
    return media, twins


def _masked(media: Mapping[str, Path]) -> dict[str, str]:
    """Return why a modality must not be used: the video's own sound serves where no audio file is."""
    picture, sound = media.get("video"), media.get("audio")
    masked = {"text": FIXED}
    if not media or (picture and missing(picture)):
        masked["face"] = str(missing(picture))
    if all(missing(path) for path in (picture, sound)):
        masked["audio"] = str(missing(sound or picture))
    return masked


def _read(utterance: _Utterance, name: str, root: Path) -> Iterator[Clip | Segment]:
    identity, media = utterance.id, utterance.media
    actor, sentence, acted, level = identity.split("_")
    places = {what: path.relative_to(root).as_posix() for what, path in media.items() if missing(path) is None}
    meta = {"level": level, "acted": acted, **utterance.rated}
    yield Clip(identity, name, video=places.get("video"), audio=places.get("audio"), meta=meta)
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        speaker=actor,
        sex=utterance.sex,
        text=SENTENCES[sentence],
        text_source="corpus",
        language="en",
        masked=_masked(media),
        labels={"cremad": utterance.label},
        split=default_split(actor),
    )
