"""MMSA's form of CMU-MOSI and CMU-MOSEI: ``label.csv`` beside ``Raw/<video>/<clip>.mp4`` (thuiar/MMSA)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mercli.contracts import Excluded
from mercli.corpora.cmu.release import Utterance
from mercli.corpora.csvs import records, require
from mercli.errors import DataError
from mercli.types import Label

TABLE = "label.csv"
COLUMNS = ("video_id", "clip_id", "text", "label")  # read by name: two orders are in use


def find(files: Sequence[Path], corpus: str) -> Path | None:
    """Return the corpus's ``label.csv``: where several lie below the root, the one in a folder of its name.

    Raises ``DataError`` where none of several does.
    """
    tables = [path for path in files if path.name.lower() == TABLE]
    own = [path for path in tables if any(part.lower() in (corpus, f"cmu-{corpus}") for part in path.parts[:-1])]
    if len(tables) > 1 and not own:
        raise DataError(
            f"{len(tables)} files are called {TABLE} ({', '.join(path.parent.name for path in tables)}), expected one",
            f"mer prepare --corpus {corpus} --root DIR-OF-ITS-label.csv",
        )
    return next(iter(own or tables), None)


def rows(
    path: Path, graded: Callable[[float], tuple[Mapping[str, Label], Sequence[str]]]
) -> dict[str, list[Utterance | Excluded]]:
    """Return each video's segments; ``graded`` gives a sentiment's labels and the notes on it.

    Raises ``DataError`` naming a missing column.
    """
    header, table = records(path)
    require(path, header, COLUMNS)
    videos: dict[str, list[Utterance | Excluded]] = {}
    for line, row in table:
        video, number = row["video_id"].strip(), row["clip_id"].strip()
        try:
            labels, notes = graded(float(row["label"]))
        except ValueError:
            fault = f"line {line}: label '{row['label']}' is no number, expected -3 to 3"
            videos.setdefault(video, []).append(Excluded(f"{video}/{number}", fault))
            continue
        utterance = Utterance(video, number, text=row["text"].strip(), labels=labels, notes=tuple(notes))
        videos.setdefault(video, []).append(utterance)
    return videos
