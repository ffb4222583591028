"""GoEmotions: Reddit comments with 27 emotions and neutral (Demszky et al. 2020, arXiv 2005.00547)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.csvs import decode
from mercli.corpora.media import walk
from mercli.corpora.splits import NAMES, SPELLINGS
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

# the order of the release's emotions.txt: labels are places in it
EMOTIONS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
# the paper's grouping, as in the release's ekman_mapping.json
EKMAN = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": (
        "joy", "amusement", "approval", "excitement", "gratitude", "love", "optimism", "relief", "pride", "admiration",
        "desire", "caring",
    ),
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "neutral": ("neutral",),
}  # fmt: skip
GROUP_OF = {emotion: group for group, emotions in EKMAN.items() for emotion in emotions}
SEVERAL = "several"
LABELS = (*EKMAN, SEVERAL)
FINE = LabelScheme("goemotions-28", "many-of", EMOTIONS)
FILE = re.compile(r"^(train|dev|valid|validation|test)(?:\.tsv|\.tsv\.gz|-\d+-of-\d+\.parquet)$", re.IGNORECASE)
CODES = re.compile(r"^\d+(?:,\d+)*$")
HEADER = ("id", "text", "original")


@plugin("corpora", "goemotions", scheme="goemotions", labels=LABELS)
def goemotions() -> CorpusReader:
    """GoEmotions: Reddit comments in Ekman's six emotions and neutral, 28 fine labels beside them; text only.

    A comment whose labels fall into several of the seven groups is called ``several``: it has no canonical class.
    """
    return GoEmotions()


@dataclass(frozen=True)
class _Comment:
    """One row: the comment, its fine labels, and why it cannot be used."""

    id: str
    text: str
    emotions: tuple[str, ...]
    fault: str = ""


class GoEmotions:
    """Reads train, dev and test as tsv (with or without a header, plain or gzip) or as parquet of whole comments."""

    scheme = LabelScheme("goemotions", "one-of", LABELS)
    facts = facts.load("goemotions")

    def __init__(self) -> None:
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, the fine scheme, and which files were read."""
        return {
            "licence": "CC BY 4.0 (data), Apache-2.0 (repository)",
            "language": "en",
            "label_map": canonical_map("goemotions", LABELS),
            "policy": policy_name(),
            "schemes": [FINE],
            "splits": "official; drawn by comment: writers and threads are not kept apart",
            "layout": self.layout,
            "expected": "release",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the comments split by split; raises ``DataError`` where no table of the release is found."""
        tables = _find(root)
        if not tables:
            raise DataError(
                f"no GoEmotions table under '{root}', expected train.tsv, dev.tsv or test.tsv",
                "mer prepare --corpus goemotions --root DIR-OF-goemotions/data",
            )
        self.layout = "; ".join(f"{split}: {path.name}" for split, path in tables.items())
        seen: set[str] = set()
        for split, path in tables.items():
            for comment in _comments(path):
                fault = comment.fault or ("a second row of this comment" if comment.id in seen else "")
                seen.add(comment.id)
                if fault:
                    yield Excluded(comment.id, fault)
                else:
                    yield from _segment(name, split, comment)


def group(emotions: Iterable[str]) -> str:
    """Return the one of the seven groups that fine labels fall into, or ``several``."""
    groups = {GROUP_OF[emotion] for emotion in emotions}
    return groups.pop() if len(groups) == 1 else SEVERAL


def _find(root: Path) -> dict[str, Path]:
    """Return the table of each split, in order; the list of labels is compared with ours where it is there."""
    found: dict[str, Path] = {}
    for path in walk(root):
        match = FILE.match(path.name)
        if match and (path.suffix != ".parquet" or path.parent.name != "raw"):
            found.setdefault(SPELLINGS[match[1].lower()], path)
        elif path.name == "emotions.txt" and tuple(decode(path).split()) != EMOTIONS:
            raise DataError(
                f"'{path}' lists other labels than GoEmotions, expected {len(EMOTIONS)} from admiration to neutral"
            )
    return {split: found[split] for split in NAMES if split in found}


def _comments(path: Path) -> Iterator[_Comment]:
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    rows = csv.reader(io.StringIO(decode(path), newline=""), delimiter="\t")
    try:
        first = next(rows, None)
        if first and set(HEADER) <= set(first):
            yield from (_named(number, first, row) for number, row in enumerate(rows, start=2))
        elif first and len(first) == 3 and CODES.match(first[1]):
            yield _coded("row1", first)
            yield from (_coded(f"row{number}", row) for number, row in enumerate(rows, start=2))
        else:
            raise DataError(
                f"'{path}' is not of GoEmotions, expected rows of text, label codes and comment id, "
                f"or the columns {', '.join(HEADER)}; its first row is {str(first)[:80]}"
            )
    except csv.Error as fault:
        raise DataError(f"'{path}' line {rows.line_num + 1}: no tsv ({fault})") from fault


def _coded(place: str, row: Sequence[str]) -> _Comment:
    """Read a row of the release: text, codes joined by commas, comment id."""
    if len(row) != 3 or not CODES.match(row[1]):
        return _Comment(place, "", (), f"{len(row)} fields, expected text, label codes and comment id")
    text, codes, identity = row
    numbers = [int(code) for code in codes.split(",")]
    if max(numbers) >= len(EMOTIONS):
        return _Comment(identity, text, (), f"unknown label code '{codes}', expected 0 to {len(EMOTIONS) - 1}")
    return _Comment(identity, text, tuple(EMOTIONS[number] for number in numbers))


def _named(number: int, header: Sequence[str], row: Sequence[str]) -> _Comment:
    """Read a row whose labels are words joined by ``|``."""
    if len(row) != len(header):
        return _Comment(f"row{number}", "", (), f"{len(row)} fields, expected {len(header)}")
    given = dict(zip(header, row, strict=True))
    emotions = tuple(given["original"].split("|"))
    unknown = [emotion for emotion in emotions if emotion not in GROUP_OF]
    fault = f"unknown label '{unknown[0]}', expected those of emotions.txt" if unknown else ""
    # tables made from the release line by line carry its quotes inside their own
    text = next(csv.reader([given["text"]]))[0] if given["text"].startswith('"') else given["text"]
    return _Comment(given["id"], text, emotions, fault)


def _parquet_rows(path: Path) -> Iterator[_Comment]:
    import pyarrow
    import pyarrow.parquet

    try:
        batches = pyarrow.parquet.ParquetFile(path).iter_batches(columns=["text", "labels", "id"])
        for row in (row for batch in batches for row in batch.to_pylist()):
            yield _coded(str(row.get("id")), (row["text"], ",".join(map(str, row["labels"])), row["id"]))
    except (pyarrow.ArrowInvalid, KeyError) as fault:
        raise DataError(f"'{path}' is no parquet of GoEmotions, expected the columns text, labels, id") from fault


def _segment(name: str, split: str, comment: _Comment) -> Iterator[Clip | Segment]:
    text = comment.text.strip()
    yield Clip(comment.id, name)
    yield Segment(
        id=f"{name}/{comment.id}/0",
        clip_id=comment.id,
        start=0.0,
        text=text or None,
        text_source="corpus" if text else None,
        language="en",
        masked={} if text else {"text": "the comment is empty"},
        labels={"goemotions": group(comment.emotions), FINE.name: dict.fromkeys(comment.emotions, 1.0)},
        split=split,
    )
