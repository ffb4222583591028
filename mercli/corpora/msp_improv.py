"""MSP-IMPROV as released: turns of six dyadic sessions, judged in one label file (Busso et al. 2017)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts, media
from mercli.corpora.csvs import decode
from mercli.corpora.dimensions import VAD, rated
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

CODES = {"A": "angry", "H": "happy", "S": "sad", "N": "neutral", "O": "other", "X": "undecided"}
LABELS = tuple(CODES.values())
SPLITS = {"5": "dev", "6": "test"}
# released under the first spelling; copies have both
FILES = ("evalution.txt", "evaluation.txt")
DEPTH = 6

TURN = re.compile(r"S(\d\d)([AHNS])-([FM])0([1-6])-([PRST])-([A-Z]{2}(\d{2,3}))", re.ASCII)
STEM = re.compile(r"^(?:MSP|UTD)-IMPROV-(.+)$", re.IGNORECASE)
SUMMARY = re.compile(r"^UTD-IMPROV-(\S+?)\.avi\s*;\s*(\w+)\s*;(.*)$", re.IGNORECASE)
RATING = re.compile(r"\b([AVDN])\s*:\s*([\w.+-]+)")
DIMENSIONS = {"V": "valence", "A": "arousal", "D": "dominance"}


@plugin("corpora", "msp_improv", scheme="msp_improv", labels=LABELS)
def msp_improv() -> CorpusReader:
    """MSP-IMPROV: turns of twelve actors in dialogs, with video, six labels and V/A/D; no transcripts."""
    return MspImprov()


@dataclass(frozen=True)
class _Row:
    """One summary line: the turn's name without its prefix, its label's code, the ratings by letter."""

    number: int
    turn: re.Match[str]
    label: str
    ratings: Mapping[str, str]


class MspImprov:
    """Reads the label file; videos and wavs are found by stem anywhere below the root."""

    scheme = LabelScheme("msp_improv", "one-of", LABELS)
    facts = facts.load("msp_improv")

    def __init__(self) -> None:
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, V/A/D's scheme and whose splits these are."""
        return {
            "licence": "MSP-IMPROV agreement of UT Dallas; research use, not to be passed on",
            "language": "en",
            "label_map": canonical_map("msp_improv", LABELS),
            "policy": policy_name(),
            "schemes": [VAD],
            "splits": "none official; sessions 1-4 train, 5 dev, 6 test (nkululeko's convention), disjoint by speaker",
            "layout": self.layout,
            "expected": "release",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the turns in the order of the label file; raises ``DataError`` where there is none."""
        table, videos, sounds = _find(root)
        if table is None:
            raise DataError(
                f"no MSP-IMPROV label file under '{root}', expected Evalution.txt or Evaluation.txt",
                "mer prepare --corpus msp_improv --root DIR-OF-MSP-IMPROV",
            )
        self.layout = f"{table.relative_to(root).as_posix()}; {len(videos)} videos, {len(sounds)} wavs"
        rows: dict[str, _Row] = {}
        refused: set[str] = set()
        for item in _rows(table):
            if isinstance(item, Excluded):
                refused.add(item.id)
                yield item
            elif item.turn[0] in rows:
                yield Excluded(_id(item.turn[0]), f"line {item.number}: labelled a second time")
            else:
                rows[item.turn[0]] = item
        if not rows:
            raise DataError(f"'{table}' has no summary line, expected UTD-IMPROV-S01A-F01-S-FM01.avi; N; A:3.0; ...")
        conditions = _conditions(Counter(row.turn[5] for row in rows.values()))
        for stem, row in rows.items():
            yield from _turn(name, row, conditions, (videos.get(stem), sounds.get(stem)), root)
        unlabelled = {_id(stem) for stem in {*videos, *sounds} - set(rows)} - refused
        yield from (Excluded(identity, "media without a label") for identity in sorted(unlabelled))


def _id(stem: str) -> str:
    return f"MSP-IMPROV-{stem}"


def _find(root: Path) -> tuple[Path | None, dict[str, Path], dict[str, Path]]:
    """Return the label file nearest to the root, and videos and wavs by the turn's name."""
    tables: list[Path] = []
    found: dict[str, dict[str, Path]] = {"video": {}, "audio": {}}
    for path in media.walk(root, DEPTH):
        match, kind = STEM.match(path.stem), media.kind(path)
        if path.name.lower() in FILES:
            tables.append(path)
        elif match and kind in found:
            found[kind].setdefault(match[1].upper(), path)
    return min(tables, key=lambda path: (len(path.parts), path), default=None), found["video"], found["audio"]


def _rows(table: Path) -> Iterator[_Row | Excluded]:
    """Yield the summary lines; the raters' lines between them are passed over."""
    for number, line in enumerate(decode(table).splitlines(), start=1):
        if not line.upper().startswith("UTD-IMPROV-"):
            continue
        match = SUMMARY.match(line)
        if match is None:
            yield Excluded(f"line {number}", f"unreadable: '{line[:60]}'")
            continue
        turn, code = TURN.fullmatch(match[1].upper()), match[2].upper()
        if turn is None:
            yield Excluded(_id(match[1]), f"line {number}: unknown form of name, expected as S01A-F01-S-FM01")
        elif code not in CODES:
            yield Excluded(_id(match[1]), f"line {number}: unknown label '{code}', expected one of {', '.join(CODES)}")
        else:
            yield _Row(number, turn, CODES[code], dict(RATING.findall(match[3])))


def _conditions(counts: Counter[str]) -> dict[str, str]:
    """Return what the letters of the conditions stand for.

    Readers differ on P and T; by the paper's table 3 the larger is what else was improvised (4381 turns), the smaller
    the natural interaction between recordings (2785). Equal counts tell nothing, and the letters stay.
    """
    known = {"R": "target-read", "S": "target-improvised"}
    larger, smaller = ("P", "T") if counts["P"] > counts["T"] else ("T", "P")
    if counts[larger] == counts[smaller] or not counts[smaller]:
        return known
    return {**known, larger: "other-improvised", smaller: "natural"}


def _turn(
    name: str, row: _Row, conditions: Mapping[str, str], found: tuple[Path | None, Path | None], root: Path
) -> Iterator[Clip | Segment]:
    sentence, target, sex, session, condition, turn, number = row.turn.groups()
    # the name's actor is the scene's; who speaks is the first letter of the turn, as in MF: he answers her
    who = turn[0] if turn[0] in "FM" else sex
    identity = _id(row.turn[0])
    no_video, no_sound = (media.missing(path) for path in found)
    video, sound = (
        None if path is None or reason else path.relative_to(root).as_posix()
        for path, reason in zip(found, (no_video, no_sound), strict=True)
    )
    ratings, notes = rated({DIMENSIONS[key]: text for key, text in row.ratings.items() if key in DIMENSIONS})
    meta = {
        "session": session,
        "condition": conditions.get(condition, condition),
        "sentence": sentence,
        "target": CODES[target],
        "turn": turn,
        **({"errata": notes} if notes else {}),
    }
    yield Clip(identity, name, video=video, audio=sound, meta=meta)
    # where there is no wav, the video's own sound serves
    silent = {"audio": no_sound} if no_sound and no_video else {}
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        speaker=f"MSP-{who}0{session}",
        sex=who.lower(),
        dialogue=identity.rsplit("-", 1)[0],
        turn=int(number),
        language="en",
        masked={**silent, **({"face": no_video} if no_video else {})},
        labels={"msp_improv": row.label, **({VAD.name: ratings} if ratings else {})},
        split=SPLITS.get(session, "train"),
    )
