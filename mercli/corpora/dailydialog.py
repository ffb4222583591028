"""DailyDialog: written everyday dialogues with an emotion a turn (Li et al. 2017), and RECCON's relabelled part."""

from __future__ import annotations

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
from mercli.corpora.splits import NAMES, SPELLINGS
from mercli.errors import DataError
from mercli.labels import SYNONYMS, canonical, canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

# by the release's codes; its readme calls 0 "no emotion", RECCON "neutral"
LABELS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
# other spellings in RECCON's files
WORDS = {
    **{word: label for label in LABELS for word in (label, *SYNONYMS[str(canonical(label))], str(canonical(label)))},
    "happines": "happiness",
    "happpines": "happiness",
}
TEXTS = re.compile(r"^dialogues_(?:(train|validation|test)|text)\.txt$", re.IGNORECASE)
CODES = re.compile(r"^dialogues_emotion(?:_(train|validation|test))?\.txt$", re.IGNORECASE)
RECCON = re.compile(r"^(?:dailydialog_)?(train|valid|test)\.(csv|csv\.gz|json)$", re.IGNORECASE)
COLUMNS = ("dialogue_id", "turn", "speaker", "text", "emotion")
END = "__eou__"


@plugin("corpora", "dailydialog", scheme="dailydialog", labels=LABELS)
def dailydialog() -> CorpusReader:
    """DailyDialog: written everyday dialogues, seven emotions; the release, or RECCON's part of it; text only."""
    return DailyDialog()


@dataclass(frozen=True)
class _Turn:
    """One utterance; ``number`` counts from 1 inside its dialogue, A and B take turns."""

    dialogue: str
    number: int
    speaker: str
    text: str
    label: str | None
    given: str
    split: str | None


Turns = Iterator[_Turn | Excluded]


class DailyDialog:
    """Reads the pairs of text and emotion files of the release, else RECCON's tables."""

    scheme = LabelScheme("dailydialog", "one-of", LABELS)
    facts = facts.load("dailydialog")

    def __init__(self) -> None:
        self.layout = ""
        self.expected: str | None = None

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, what the splits separate, and which release was read."""
        return {
            "licence": "CC BY-NC-SA 4.0",
            "language": "en",
            "label_map": canonical_map("dailydialog", LABELS),
            "policy": policy_name(),
            "splits": "official; separated by dialogue; speakers are A and B of each dialogue",
            "layout": self.layout,
            "expected": self.expected,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the turns split by split; raises ``DataError`` where neither release is found."""
        seen: set[str] = set()
        for turn in self._turns(root):
            if isinstance(turn, Excluded):
                yield turn
                continue
            identity = f"{turn.dialogue}_u{turn.number:02d}"
            if turn.label is None:
                yield Excluded(identity, f"unknown label '{turn.given}', expected 0 to 6 or one of {', '.join(LABELS)}")
            elif identity in seen:
                yield Excluded(identity, "a second row of this turn")
            else:
                seen.add(identity)
                yield from _utterance(name, identity, turn)

    def _turns(self, root: Path) -> Turns:
        pairs, tables = _find(root)
        if pairs:
            self.layout = "; ".join(f"{split or 'all'}: {text.name}" for split, (text, _) in pairs.items())
            self.expected = "release" if None not in pairs else None
            for split, (texts, codes) in pairs.items():
                yield from _dialogues(texts, codes, split)
        elif tables:
            self.layout = "RECCON; " + "; ".join(f"{split}: {path.name}" for split, path in tables.items())
            self.expected = "reccon"
            for split, path in tables.items():
                yield from _reccon_json(path, split) if path.suffix.lower() == ".json" else _reccon_csv(path, split)
        else:
            raise DataError(
                f"no DailyDialog under '{root}', expected train/dialogues_train.txt with "
                "dialogues_emotion_train.txt beside it, or RECCON's dailydialog_train.json",
                "mer prepare --corpus dailydialog --root DIR-OF-ijcnlp_dailydialog",
            )


def _find(root: Path) -> tuple[dict[str | None, tuple[Path, Path]], dict[str, Path]]:
    """Return the text and emotion file of each split (``None``: the whole in one file), and RECCON's tables."""
    texts: dict[str | None, Path] = {}
    codes: dict[str | None, Path] = {}
    tables: dict[str, Path] = {}
    for path in walk(root):
        for pattern, found in ((TEXTS, texts), (CODES, codes)):
            match = pattern.match(path.name)
            if match:
                found.setdefault(SPELLINGS[match[1].lower()] if match[1] else None, path)
        match = RECCON.match(path.name)
        if match:
            tables.setdefault(SPELLINGS[match[1].lower()], path)
    # the release holds every dialogue twice: in one file, and again in those of the splits
    order = [split for split in (*NAMES, None) if split in texts]
    order = order[:-1] if len(order) > 1 and None in texts else order
    lone = next((texts[split] for split in order if split not in codes), None)
    if lone:
        raise DataError(
            f"no file of emotions belongs to '{lone}', expected dialogues_emotion*.txt beside it",
            f"ls '{lone.parent}'",
        )
    return {s: (texts[s], codes[s]) for s in order}, {s: tables[s] for s in NAMES if s in tables}


def _dialogues(texts: Path, codes: Path, split: str | None) -> Turns:
    lines = [decode(path).rstrip("\r\n").split("\n") for path in (texts, codes)]
    if len(lines[0]) != len(lines[1]):
        raise DataError(f"'{texts}' has {len(lines[0])} dialogues and '{codes}' {len(lines[1])}, expected as many")
    for number, (line, given) in enumerate(zip(*lines, strict=True), start=1):
        dialogue = f"{split or 'all'}/{number}"
        said, labels = [text.strip() for text in line.strip().removesuffix(END).split(END)], given.split()
        if len(said) != len(labels):
            yield Excluded(dialogue, f"line {number}: {len(said)} turns and {len(labels)} emotions, expected as many")
            continue
        for turn, (text, code) in enumerate(zip(said, labels, strict=True), start=1):
            label = LABELS[int(code)] if code in "0123456" and len(code) == 1 else None
            yield _Turn(dialogue, turn, "AB"[(turn + 1) % 2], text, label, code, split)


def _reccon_csv(path: Path, split: str) -> Turns:
    header, rows = records(path)
    require(path, header, COLUMNS)
    for number, row in rows:
        if not row["turn"].strip().isdecimal():
            yield Excluded(f"{path.name}/row{number}", f"line {number}: turn '{row['turn']}' is no number")
            continue
        text, given, turn = row["text"].strip(), row["emotion"], int(row["turn"])
        yield _Turn(row["dialogue_id"], turn, row["speaker"], text, _label(given), given, split)


def _reccon_json(path: Path, split: str) -> Turns:
    try:
        for dialogue, (turns, *_) in json.loads(decode(path)).items():
            for row in turns:
                given, text = str(row["emotion"]), str(row["utterance"]).strip()
                yield _Turn(dialogue, int(row["turn"]), str(row["speaker"]), text, _label(given), given, split)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise DataError(
            f"'{path}' is not RECCON's json, expected dialogues with turn, speaker, utterance, emotion"
        ) from fault


def _label(given: str) -> str | None:
    return WORDS.get(given.strip().lower())


def _utterance(name: str, identity: str, turn: _Turn) -> Iterator[Clip | Segment]:
    yield Clip(identity, name)
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        speaker=f"{turn.dialogue}/{turn.speaker}",
        dialogue=turn.dialogue,
        turn=turn.number,
        text=turn.text or None,
        text_source="corpus" if turn.text else None,
        language="en",
        masked={} if turn.text else {"text": "the turn is empty"},
        labels={"dailydialog": str(turn.label)},
        split=turn.split,
    )
