"""CMU-MOSEI as nkululeko cuts it to sound: one csv of all segments, or one csv a split (felixbur/nkululeko)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from mercli.contracts import Excluded
from mercli.corpora.cmu.mosei_labels import EMOTIONS, SIGN, SINGLE
from mercli.corpora.cmu.release import SENTIMENT, Release, Utterance, clipped, timed
from mercli.corpora.csvs import records, require
from mercli.types import Label

WHOLE = re.compile(r"^cmu_mosei_labels\.csv(\.gz)?$", re.IGNORECASE)
SPLIT = re.compile(r"^mosei_(train|dev|test)\.csv(\.gz)?$", re.IGNORECASE)
CODES = {str(code): name for code, name in enumerate(EMOTIONS)}  # the order of the csd's columns
WORDS = {"hap": "happy", "sad": "sad", "ang": "anger", "sur": "surprise", "dis": "disgust", "fea": "fear"}
SUSPICION = "every row has an emotion, so rows without any are probably called happy"


def from_whole(files: Sequence[Path]) -> Release | None:
    """Return the segments of ``CMU_MOSEI_Labels.csv``, their times and dominant emotions; ``None`` where it is not."""
    path = next((path for path in files if WHOLE.match(path.name)), None)
    if path is None:
        return None
    videos: dict[str, list[Utterance | Excluded]] = {}
    for line, row in _table(path, ("file", "index", "start", "end", "label6", "label7")):
        video, number = row["file"].strip(), row["index"].strip()
        videos.setdefault(video, []).append(_told(line, video, number, row, _of_whole))
    return Release(f"{path.name} ({SUSPICION})", "table", (SENTIMENT,), videos, files)


def from_splits(files: Sequence[Path]) -> Release | None:
    """Return the segments of ``mosei_train.csv`` and its like, without times; ``None`` where there is none."""
    tables: dict[str, Path] = {}
    for path in files:
        match = SPLIT.match(path.name)
        if match:
            tables.setdefault(match[1].lower(), path)
    videos: dict[str, list[Utterance | Excluded]] = {}
    for path in tables.values():
        for line, row in _table(path, ("file", "sentiment", "emotion")):
            video, _, number = Path(row["file"].strip()).stem.rpartition("_")
            videos.setdefault(video, []).append(_told(line, video, number, row, _of_split))
    layout = f"{', '.join(path.name for path in tables.values())} ({SUSPICION})"
    return Release(layout, "split-tables", (SIGN,), videos, files) if tables else None


def _table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    header, rows = records(path)
    require(path, header, columns)
    yield from rows


def _told(
    line: int,
    video: str,
    number: str,
    row: Mapping[str, str],
    read: Callable[[Utterance, Mapping[str, str]], Utterance],
) -> Utterance | Excluded:
    try:
        return read(Utterance(video, number), row)
    except ValueError as fault:
        return Excluded(f"{video}/{number}", f"line {line}: {fault}")


def _of_whole(bare: Utterance, row: Mapping[str, str]) -> Utterance:
    emotion = _one_of(row["label6"], CODES)
    sentiment, notes = clipped({SENTIMENT.name: float(row["label7"])}, -3.0, 3.0)
    labels: dict[str, Label] = {SINGLE.name: emotion, **sentiment}
    made = Utterance(bare.video, bare.number, labels=labels, notes=tuple(notes))
    return timed(made, float(row["start"]), float(row["end"]))


def _of_split(bare: Utterance, row: Mapping[str, str]) -> Utterance:
    emotion = _one_of(row["emotion"], WORDS)
    sign = _one_of(row["sentiment"], {name: name for name in SIGN.names})
    return Utterance(bare.video, bare.number, labels={SINGLE.name: emotion, SIGN.name: sign})


def _one_of(text: str, words: Mapping[str, str]) -> str:
    word = text.strip().lower()
    if word not in words:
        raise ValueError(f"unknown label '{word}', expected one of {', '.join(words)}")
    return words[word]
