"""EmoryNLP: seven emotions of the feeling wheel over Friends (Zahiri & Choi 2018), two releases of its text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.csvs import decode, records, require
from mercli.corpora.media import walk
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

LABELS = ("Neutral", "Joyful", "Scared", "Mad", "Peaceful", "Powerful", "Sad")
SPLITS = {"train": "train", "trn": "train", "dev": "dev", "test": "test", "tst": "test"}
FORMS = {
    "csv": re.compile(r"^emorynlp_(train|dev|test)_final\.csv(?:\.gz)?$", re.IGNORECASE),
    "json": re.compile(r"^emotion-detection-(trn|dev|tst)\.json$", re.IGNORECASE),
}
COLUMNS = (
    "Utterance", "Speaker", "Emotion", "Scene_ID", "Utterance_ID", "Season", "Episode", "Start_Time", "End_Time",
)  # fmt: skip
NUMBERS = ("Season", "Episode", "Scene_ID", "Utterance_ID")
IDENTITY = re.compile(r"^(s\d+)_(e\d+)_(c\d+)_u(\d+)$")


@plugin("corpora", "emorynlp", scheme="emorynlp", labels=LABELS)
def emorynlp(*, calm: str = DEFAULT_POLICY["calm"]) -> CorpusReader:
    """EmoryNLP: transcripts of Friends with seven emotions; text only.

    ``calm``: what Peaceful becomes: neutral, own or drop. Powerful has no canonical class.
    """
    return EmoryNlp(policy(calm=calm))


@dataclass(frozen=True)
class _Row:
    """One utterance of either release; ``fault`` says why it cannot be used."""

    id: str
    split: str
    label: str
    text: str = ""
    speakers: tuple[str, ...] = ()
    seconds: float | None = None
    note: str = ""
    fault: str = ""


class EmoryNlp:
    """Reads the csvs of declare-lab/MELD, else the json of emorynlp/emotion-detection, which has 3117 rows more."""

    scheme = LabelScheme("emorynlp", "one-of", LABELS)
    facts = facts.load("emorynlp")

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.choices = choices
        self.form = ""
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, what the splits separate, and which release was read."""
        return {
            "licence": "Apache-2.0 (labels); transcripts of a television series, research use",
            "language": "en",
            "label_map": canonical_map("emorynlp", LABELS, self.choices),
            "policy": policy_name(self.choices),
            "splits": "official; separated by episode, not by speaker: the main cast is in all three",
            "layout": self.layout,
            "expected": self.form or None,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the utterances split by split; raises ``DataError`` where neither release is found."""
        found = _find(root)
        if not found:
            raise DataError(
                f"no EmoryNLP table under '{root}', expected emorynlp_train_final.csv or emotion-detection-trn.json",
                "mer prepare --corpus emorynlp --root DIR-OF-THE-CSVS",
            )
        self.form, tables = next(iter(found.items()))
        self.layout = "; ".join(f"{split}: {path.name}" for split, path in tables.items())
        read = _csv_rows if self.form == "csv" else _json_rows
        seen: set[str] = set()
        for split, path in tables.items():
            for row in read(path, split):
                fault = row.fault or _fault(row, seen)
                seen.add(row.id)
                if fault:
                    yield Excluded(row.id, fault)
                else:
                    yield from _utterance(name, row)


def _find(root: Path) -> dict[str, dict[str, Path]]:
    """Return the file of each split by release, csv first, the splits in order."""
    found: dict[str, dict[str, Path]] = {}
    for path in walk(root):
        for form, pattern in FORMS.items():
            match = pattern.match(path.name)
            if match:
                found.setdefault(form, {}).setdefault(SPLITS[match[1].lower()], path)
    order = ("train", "dev", "test")
    return {form: {s: found[form][s] for s in order if s in found[form]} for form in FORMS if form in found}


def _fault(row: _Row, seen: set[str]) -> str:
    if row.label not in LABELS:
        return f"unknown label '{row.label}', expected one of {', '.join(LABELS)}"
    return "a second row of this utterance" if row.id in seen else ""


def _csv_rows(path: Path, split: str) -> Iterator[_Row]:
    header, rows = records(path)
    require(path, header, COLUMNS)
    for number, row in rows:
        try:
            season, episode, scene, utterance = (int(row[column]) for column in NUMBERS)
            speakers = _speakers(row["Speaker"])
        except ValueError as fault:
            yield _Row(f"{split}/row{number}", split, "", fault=f"line {number}: {fault}")
            continue
        seconds, note = _duration(row["Start_Time"], row["End_Time"])
        identity = f"s{season:02d}_e{episode:02d}_c{scene:02d}_u{utterance:03d}"
        yield _Row(identity, split, row["Emotion"].strip(), row["Utterance"].strip(), speakers, seconds, note)


def _speakers(text: str) -> tuple[str, ...]:
    """Return the names of a list as Python writes it; raises ``ValueError`` for another form."""
    try:
        names = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"speaker {text!r} is no list of names such as ['Rachel Green']")
    return tuple(names)


def _duration(start: str, end: str) -> tuple[float | None, str]:
    """Return how long a row lasts by its times, or ``None`` and a note where they make no sense."""
    try:
        seconds = round(_seconds(end) - _seconds(start), 3)
    except ValueError:
        return None, f"times: '{start}' or '{end}' cannot be read"
    return (seconds, "") if seconds > 0 else (None, "times: the row's end does not lie behind its start")


def _seconds(stamp: str) -> float:
    hours, minutes, seconds = stamp.strip().replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _json_rows(path: Path, split: str) -> Iterator[_Row]:
    try:
        episodes = json.loads(decode(path))["episodes"]
        said = [row for episode in episodes for scene in episode["scenes"] for row in scene["utterances"]]
        rows = [(str(row["utterance_id"]), row) for row in said]
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(
            f"'{path}' is not the json of EmoryNLP ({fault}), expected episodes > scenes > utterances with utterance_id"
        ) from fault
    for identity, row in rows:
        strange = "" if IDENTITY.match(identity) else "utterance_id is not of the form s01_e02_c01_u002"
        text, speakers = str(row.get("transcript") or "").strip(), tuple(map(str, row.get("speakers") or ()))
        yield _Row(identity, split, str(row.get("emotion", "")), text, speakers, fault=strange)


def _utterance(name: str, row: _Row) -> Iterator[Clip | Segment]:
    season, episode, scene, number = IDENTITY.match(row.id).groups()  # type: ignore[union-attr]
    meta = {"seconds": row.seconds} if row.seconds else {"errata": [row.note]} if row.note else {}
    yield Clip(row.id, name, meta={"season": season, "episode": episode, **meta})
    yield Segment(
        id=f"{name}/{row.id}/0",
        clip_id=row.id,
        start=0.0,
        end=row.seconds,
        speaker=" and ".join(sorted(row.speakers)) or None,
        dialogue=f"{season}_{episode}_{scene}",
        turn=int(number),
        text=row.text or None,
        text_source="corpus" if row.text else None,
        language="en",
        masked={} if row.text else {"text": "the transcript is empty"},
        labels={"emorynlp": row.label},
        split=row.split,
    )
