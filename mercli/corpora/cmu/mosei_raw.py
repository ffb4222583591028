"""CMU-MOSEI as first released: ``Raw/`` with transcripts, and labels as csd or as the single workers' ratings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mercli.contracts import Excluded
from mercli.corpora.cmu import csd
from mercli.corpora.cmu.mosei_labels import EMOTIONS, GRADED, graded
from mercli.corpora.cmu.release import SENTIMENT, Release, Utterance, timed
from mercli.corpora.csvs import decode, records, require

CSDS = ("cmu_mosei_labels.csd", "cmu_mosei_labelsemotions.csd")  # the newer holds sentiment too
DIMENSIONS = {7: ("sentiment", *EMOTIONS), 6: EMOTIONS}
# ids and texts may hold underscores, so a separator counts only between a clip number and two times
LINE = re.compile(r"^(.+?)___(\d+)___(-?[\d.]+(?:e-?\d+)?)___(-?[\d.]+(?:e-?\d+)?)___(.*)$")
ANSWERS = {
    **{f"Answer.{name}": name for name in ("sentiment", "anger", "disgust", "fear", "surprise")},
    "Answer.happiness": "happy",
    "Answer.sadness": "sad",
}


@dataclass(frozen=True)
class Line:
    """One line of a transcript: clip number, times in the video, text."""

    number: str
    start: float
    end: float
    text: str


def from_csd(files: Sequence[Path]) -> Release | None:
    """Return what a csd labels, with the transcripts' texts and clip numbers where they are; ``None`` without a csd."""
    found = {path.name.lower(): path for path in reversed(files)}
    path = next((found[name] for name in CSDS if name in found), None)
    if path is None:
        return None
    transcripts = _transcripts(files)
    labelled = csd.load(path, DIMENSIONS)
    videos = {video: list(_joined(video, rows, transcripts.get(video))) for video, rows in labelled.items()}
    schemes = (GRADED, SENTIMENT) if path.name.lower() == CSDS[0] else (GRADED,)
    layout = f"{path.name}, transcripts of {len(transcripts.keys() & labelled.keys())} of {len(labelled)} videos"
    return Release(layout, "nkululeko", schemes, videos, files)


def _transcripts(files: Sequence[Path]) -> dict[str, Path]:
    """Return the transcript in segments of each video; those of whole videos (``Full``) are passed over."""
    texts = [path for path in reversed(files) if path.suffix.lower() == ".txt"]
    return {path.stem: path for path in texts if "full" not in map(str.lower, path.parts[-3:-1])}


def transcript(path: Path) -> Iterator[Line]:
    """Yield the lines ``video___clip___start___end___text`` of one transcript; others are passed over."""
    for text in decode(path).split("\n"):
        match = LINE.match(text.strip())
        if match:
            yield Line(match[2], float(match[3]), float(match[4]), match[5].strip())


def _joined(video: str, rows: Sequence[csd.Row], path: Path | None) -> Iterator[Utterance | Excluded]:
    """Yield a video's labelled segments: each transcript line with the row of the same times, then rows without one."""
    left = list(rows)
    for line in transcript(path) if path else ():
        index = csd.at(left, line.start, line.end)
        if index is None:
            yield Excluded(f"{video}/{line.number}", f"no label at {line.start:.3f} to {line.end:.3f} s")
            continue
        yield _utterance(video, line.number, line.start, line.end, line.text, left.pop(index).values)
    for row in left:
        yield _utterance(video, None, row.start, row.end, None, row.values)


def _utterance(
    video: str, number: str | None, start: float, end: float, text: str | None, values: Mapping[str, float]
) -> Utterance | Excluded:
    try:
        labels, notes = graded(values)
    except ValueError as fault:
        return Excluded(f"{video}/{number or f'at{start:.3f}'}", str(fault))
    made = timed(Utterance(video, number, text=text, labels=labels, notes=tuple(notes)), start, end)
    if made.start is None and number is None:
        return Excluded(f"{video}/at{start:.3f}", made.notes[-1])
    return made


def from_workers(files: Sequence[Path]) -> Release | None:
    """Return the means of the workers' ratings (``Labels/*.csv``), with the transcripts; ``None`` without ratings."""
    ratings: dict[tuple[str, str], list[Mapping[str, float]]] = {}
    tables = [p for p in files if p.suffix.lower() == ".csv" and p.parent.name.lower() == "labels"]
    for path in tables:
        for key, answers in _answers(path):
            ratings.setdefault(key, []).append(answers)
    if not ratings:
        return None
    transcripts = _transcripts(files)
    videos: dict[str, list[Utterance | Excluded]] = {}
    lines = {video: {line.number: line for line in transcript(transcripts[video])} for video in
             {video for video, _ in ratings} & transcripts.keys()}  # fmt: skip
    for (video, number), rated in ratings.items():
        line = lines.get(video, {}).pop(number, None)
        videos.setdefault(video, []).append(_mean(video, number, rated, line))
    for video, rest in lines.items():
        videos[video] += [Excluded(f"{video}/{number}", "no worker rated it") for number in rest]
    layout = f"mean of the workers' ratings in {len(tables)} csvs, transcripts of {len(lines)} of {len(videos)} videos"
    return Release(layout, None, (GRADED, SENTIMENT), videos, files)


def _answers(path: Path) -> Iterator[tuple[tuple[str, str], Mapping[str, float]]]:
    """Yield the answers of each row, by (video, clip); a csv of something else yields nothing."""
    header, rows = records(path)
    if "Input.VIDEO_ID" not in header:
        return
    require(path, header, ("Input.CLIP", *ANSWERS))
    for _, row in rows:
        answers = {}
        for column, name in ANSWERS.items():
            try:
                answers[name] = float(row[column])
            except ValueError:
                continue  # a worker may leave an answer out
        yield (row["Input.VIDEO_ID"].strip().rpartition("/")[2], row["Input.CLIP"].strip()), answers


def _mean(video: str, number: str, rated: Sequence[Mapping[str, float]], line: Line | None) -> Utterance | Excluded:
    answers = {name: [one[name] for one in rated if name in one] for name in DIMENSIONS[7]}
    empty = [name for name, given in answers.items() if not given]
    if empty:
        return Excluded(f"{video}/{number}", f"no worker rated its {empty[0]}")
    values = {name: sum(given) / len(given) for name, given in answers.items()}
    if line:
        return _utterance(video, number, line.start, line.end, line.text, values)
    try:
        labels, notes = graded(values)
    except ValueError as fault:
        return Excluded(f"{video}/{number}", str(fault))
    return Utterance(video, number, labels=labels, notes=tuple(notes))
