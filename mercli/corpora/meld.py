"""MELD as released: three csvs and one folder of mp4s per split (declare-lab/MELD; Poria et al. 2019)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from functools import cache
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.csvs import records, require
from mercli.corpora.media import missing, walk
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, Label, LabelScheme, Segment

LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
SPLITS = ("train", "dev", "test")
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID", "StartTime", "EndTime")
RECUT = 132
MEDIUM = re.compile(r"^(final_videos_test)?dia(\d+)_utt(\d+)\.mp4$", re.IGNORECASE)


SENTIMENT = LabelScheme("sentiment-3", "one-of", ("neutral", "positive", "negative"))
ALIASES = {
    "Dr. Leedbetter": "Dr. Ledbetter",
    "A Waiter": "The Waiter",
    "Phoebe Sr": "Phoebe Sr.",
}


@plugin("corpora", "meld", scheme="meld", labels=LABELS)
def meld() -> CorpusReader:
    """MELD: utterances of Friends with video, transcript and seven emotions."""
    return Meld()


class Meld:
    """Reads the csvs; media are found at any depth <= 4, and a missing one leaves the row as text only."""

    scheme = LabelScheme("meld", "one-of", LABELS)
    facts = facts.load("meld")

    def __init__(self) -> None:
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, and what MELD's splits separate."""
        return {
            "licence": "GPL-3.0 (labels); clips of a television series, research use",
            "language": "en",
            "label_map": canonical_map("meld", LABELS),
            "policy": policy_name(),
            "schemes": [SENTIMENT],
            "splits": "official; separated by dialogue, not by speaker: the main cast is in all three",
            "layout": self.layout,
            "expected": "csv",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream MELD's utterances split by split; raises ``DataError`` where no csv is found."""
        tables, media = _find(root)
        if not tables:
            raise DataError(
                f"no MELD csv under '{root}', expected train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv",
                "mer prepare --corpus meld --root DIR-OF-MELD.Raw",
            )
        folders = {
            split: sorted({found.path.parent.name for key, found in media.items() if key[0] == split})
            for split in SPLITS
        }
        self.layout = "; ".join(f"{split}: {', '.join(names) or 'no media'}" for split, names in folders.items())
        if folders["test"]:
            recut = sum(found.recut for found in media.values())
            self.layout += f" ({recut} of {RECUT} final_videos_test* clips, which replace wrong ones)"
        for split in SPLITS:
            if split in tables:
                yield from _read_split(name, split, tables[split], media, root)


@dataclass(frozen=True)
class _Medium:
    path: Path
    recut: bool


def _find(root: Path) -> tuple[dict[str, Path], dict[tuple[str, int, int], _Medium]]:
    """Return the csv of each split, and the medium of each (split, dialogue, utterance)."""
    tables: dict[str, Path] = {}
    media: dict[tuple[str, int, int], _Medium] = {}
    for path in walk(root):
        name = path.name.lower()
        if name in {f"{split}_sent_emo.csv" for split in SPLITS}:
            tables.setdefault(name.split("_")[0], path)
            continue
        match = MEDIUM.match(path.name)
        split = _split_of(path.relative_to(root)) if match else None
        if match is None or split is None:
            continue
        key = (split, int(match[2]), int(match[3]))
        recut = match[1] is not None
        # 132 test clips were cut anew as final_videos_test*; their plain-named twins show another scene
        if key not in media or (recut and not media[key].recut):
            media[key] = _Medium(path, recut)
    return tables, media


def _split_of(path: Path) -> str | None:
    for part in reversed(path.parts[:-1]):
        for split in SPLITS:
            if split in part.lower():
                return split
    return None


@cache
def speaker(name: str) -> str:
    """Return one name for each speaker: known misspellings, and couples in either order, are merged."""
    whole = " ".join(name.split())
    if " and " in whole:
        return " and ".join(sorted(ALIASES.get(one, one) for one in whole.split(" and ")))
    return ALIASES.get(whole, whole)


def _seconds(stamp: str) -> float:
    """Return the seconds of ``HH:MM:SS,mmm``; raises ``ValueError`` for another form."""
    stamp = stamp.strip()
    at = time.fromisoformat(stamp if stamp[2:3] == ":" else f"0{stamp}")
    return at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6


def _read_split(
    name: str, split: str, table: Path, media: Mapping[tuple[str, int, int], _Medium], root: Path
) -> Iterator[Clip | Segment | Excluded]:
    header, rows = records(table)
    require(table, header, COLUMNS)
    unlabelled = {key for key in media if key[0] == split}
    seen: set[str] = set()
    for number, row in rows:
        identity = f"{split}/dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
        label = row["Emotion"].strip().lower()
        if label not in LABELS:
            yield Excluded(identity, f"line {number}: unknown label '{label}', expected one of {', '.join(LABELS)}")
            continue
        try:
            key = (split, int(row["Dialogue_ID"]), int(row["Utterance_ID"]))
            seconds = round(_seconds(row["EndTime"]) - _seconds(row["StartTime"]), 3)
        except ValueError as fault:
            yield Excluded(identity, f"line {number}: a number or time cannot be read ({fault})")
            continue
        if identity in seen:
            yield Excluded(identity, f"line {number}: its ids are already those of another row")
            continue
        seen.add(identity)
        unlabelled.discard(key)
        found = media.get(key)
        reason = missing(found.path if found else None)
        path = None if found is None or reason else found.path.relative_to(root).as_posix()
        meta: dict[str, Any] = {"seconds": seconds}
        if seconds <= 0:
            meta = {"errata": ["times: the row's end lies before its start"]}
        if found and found.recut:
            meta["recut"] = True
        yield Clip(identity, name, video=path, meta=meta)
        end = seconds if reason and seconds > 0 else None
        yield _segment(f"{name}/{identity}/0", identity, key, row, label, end, reason)
    for _, dialogue, turn in sorted(unlabelled):
        yield Excluded(f"{split}/dia{dialogue}_utt{turn}", "media without a row in the csv")


def _segment(
    id: str,  # noqa: A002 - named as the field
    identity: str,
    key: tuple[str, int, int],
    row: Mapping[str, str],
    label: str,
    end: float | None,
    reason: str | None,
) -> Segment:
    labels: dict[str, Label] = {"meld": label}
    sentiment = row.get("Sentiment", "").strip().lower()
    if sentiment in SENTIMENT.names:
        labels[SENTIMENT.name] = sentiment
    return Segment(
        id=id,
        clip_id=identity,
        start=0.0,
        end=end,
        speaker=speaker(row["Speaker"]),
        dialogue=f"{key[0]}/dia{key[1]}",
        turn=key[2],
        text=row["Utterance"].strip(),
        text_source="corpus",
        language="en",
        masked={"audio": reason, "face": reason} if reason else {},
        labels=labels,
        split=key[0],
    )
