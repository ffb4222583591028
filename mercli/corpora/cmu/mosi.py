"""CMU-MOSI (Zadeh et al. 2016): film reviews by one speaker each, with the sentiment of every opinion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.cmu import csd, mmsa
from mercli.corpora.cmu.release import DEPTH, SENTIMENT, Release, Utterance, clipped, described, items, timed
from mercli.corpora.csvs import decode
from mercli.corpora.media import kind, walk
from mercli.errors import DataError
from mercli.labels import CANONICAL, policy_name
from mercli.registry import plugin
from mercli.types import Clip, Label, LabelMap, LabelScheme, Segment

LABELS = ("negative", "neutral", "positive")
CSD = "cmu_mosi_opinion_labels.csd"
TRANSCRIPT = ".annotprocessed"
LINE = re.compile(r"^(\d+)_(?:DELIM_)?(.*)$")


@plugin("corpora", "mosi", scheme="sentiment-3", labels=LABELS)
def mosi() -> CorpusReader:
    """CMU-MOSI: opinions in film reviews with transcripts and sentiment, no emotions."""
    return Mosi()


class Mosi:
    """Reads the csd with transcripts, or MMSA's label.csv; media are whole videos or cuts."""

    scheme = LabelScheme("sentiment-3", "one-of", LABELS)
    facts = facts.load("mosi")

    def __init__(self) -> None:
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, splits and layout; no sentiment is an emotion, so every label maps to none."""
        return {
            "licence": "no licence for the videos, which belong to their makers; research use",
            "language": "en",
            # not by name: `neutral` here is a sentiment of 0, which says nothing of emotion
            "label_map": LabelMap(self.scheme.name, CANONICAL.name, dict.fromkeys(LABELS)),
            "policy": policy_name(),
            "schemes": [SENTIMENT],
            "splits": "standard folds of the CMU-MultimodalSDK, separated by video",
            "layout": self.layout,
            "expected": "standard",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream CMU-MOSI video by video; raises ``DataError`` where no labels are found."""
        files = list(walk(root, DEPTH))
        release = _from_csd(files) or _mmsa(files)
        if release is None:
            raise DataError(
                f"no CMU-MOSI labels under '{root}', expected CMU_MOSI_Opinion_Labels.csd or MMSA's label.csv",
                "mer prepare --corpus mosi --root DIR-WITH-Raw-AND-CMU_MOSI_Opinion_Labels.csd",
            )
        self.layout = described(release, "mosi")
        yield from items(release, "mosi", name, root)


def graded(value: float) -> tuple[dict[str, Label], list[str]]:
    """Return the labels of a sentiment: its value in -3..3 and its sign; raises ``ValueError`` where not finite."""
    values, notes = clipped({SENTIMENT.name: value}, -3.0, 3.0)
    inside = values[SENTIMENT.name]
    sign = LABELS[(inside > 0) - (inside < 0) + 1]
    return {Mosi.scheme.name: sign, **values}, notes


def _mmsa(files: Sequence[Path]) -> Release | None:
    path = mmsa.find(files, "mosi")
    if path is None:
        return None
    media = [file for file in files if file.is_relative_to(path.parent)]
    return Release(f"MMSA's {path.name}", "standard", (SENTIMENT,), mmsa.rows(path, graded), media)


def _from_csd(files: Sequence[Path]) -> Release | None:
    """Return what the csd labels: a video's k-th opinion in time is its clip k, as MOSI's segments are numbered."""
    path = next((path for path in files if path.name.lower() == CSD), None)
    if path is None:
        return None
    transcripts = {path.stem: path for path in reversed(files) if path.suffix.lower() == TRANSCRIPT}
    highest = _highest(files)
    labelled = csd.load(path, {1: (SENTIMENT.name,)})
    videos = {
        video: list(_joined(video, rows, transcripts.get(video), highest.get(video, 0)))
        for video, rows in labelled.items()
    }
    layout = f"{path.name}, transcripts of {len(transcripts.keys() & labelled.keys())} of {len(labelled)} videos"
    return Release(layout, "standard", (SENTIMENT,), videos, files)


def _highest(files: Sequence[Path]) -> dict[str, int]:
    """Return the highest clip number among each video's cuts."""
    highest: dict[str, int] = {}
    for path in files:
        video, _, number = path.stem.rpartition("_")
        if kind(path) in ("video", "audio") and number.isdecimal():
            highest[video] = max(highest.get(video, 0), int(number))
    return highest


def transcript(path: Path) -> dict[int, str]:
    """Return the text of each clip number; segments may have no line."""
    matches = (LINE.match(line.strip()) for line in decode(path).split("\n"))
    return {int(match[1]): match[2].strip() for match in matches if match}


def _joined(video: str, rows: Sequence[csd.Row], path: Path | None, highest: int) -> Iterator[Utterance | Excluded]:
    """Yield a video's opinions in time; where clip numbers go beyond the rows, neither text nor cuts can be joined."""
    texts = transcript(path) if path else {}
    last = max(highest, *texts, 0)
    fits = last <= len(rows)
    notes = () if fits else (f"{len(rows)} labels and clips up to {last}: text and cuts cannot be told apart",)
    for number, row in enumerate(sorted(rows, key=lambda row: (row.start, row.end)), start=1):
        try:
            labels, more = graded(row.values[SENTIMENT.name])
        except ValueError as fault:
            yield Excluded(f"{video}/{number}", str(fault))
            continue
        text = texts.get(number) if fits else None
        bare = Utterance(video, str(number) if fits else None, text=text, labels=labels, notes=(*notes, *more))
        yield timed(bare, row.start, row.end)
