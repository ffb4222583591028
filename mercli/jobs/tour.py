"""``mer tour``: the whole way on made corpora as command lines, and what of it is done in a folder."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.corpora import manifest
from mercli.errors import DataError

MARK = "tour.json"
CLIPS = 70
"""Utterances of each corpus: enough for figures that are no chance, few enough for two minutes on two cores."""
CORPORA = ("mosei", "meld", "iemocap", "afew")
LIKE = {
    "mosei": "as CMU-MOSEI: long videos, labels and words in computational sequences of the CMU SDK.",
    "meld": "as MELD: a clip per utterance, dialogues and words in tables.",
    "iemocap": "as IEMOCAP: five sessions of two people, transcripts, three raters an utterance.",
    "afew": "as AFEW: clips of films in a folder per class, without words.",
}


@dataclass(frozen=True)
class Stop:
    """One stop of the tour: what its command does, what to look at in what it says, the command, what it leaves.

    ``{to}`` is the tour's folder, ``{clips}`` how many utterances; ``{model}``, ``{clip}``, ``{text}`` and ``{label}``
    are the bundle that was trained and the clip that it answers. ``made`` are patterns below the folder.
    """

    what: str
    look: str
    line: str
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A stop in a folder: its number from 1, what is said of it, the words after ``mer``, and its key in the state."""

    number: int
    what: str
    look: str
    words: tuple[str, ...]
    key: str

    @property
    def command(self) -> str:
        """The command as it is typed."""
        return shlex.join(["mer", *self.words])


@dataclass(frozen=True)
class Walked:
    """A step that is done: how long it took, whether that was in an earlier call, and the paths that it left."""

    step: Step
    seconds: float
    before: bool
    made: tuple[Path, ...]

    def row(self) -> dict[str, Any]:
        """Return the step for ``--json``."""
        step = self.step
        told = {"number": step.number, "what": step.what, "look": step.look, "command": step.command}
        return {**told, "seconds": round(self.seconds, 2), "done_before": self.before, "made": list(self.made)}


def _prepare(name: str) -> Stop:
    first = name == CORPORA[0]
    look = "how many segments each class has in train, dev and test" if first else "the labels are this corpus's own"
    return Stop(
        f"Make a corpus of small clips (a tone, a tilted face, words), laid out {LIKE[name]}",
        f"{look}; data/{name} is the manifest that every later step reads.",
        f"prepare --corpus made --set like={name} --set clips={{clips}} "
        f"--root {{to}}/corpora/{name} --data {{to}}/data",
        (f"corpora/{name}", f"data/{name}"),
    )


STOPS = (
    *map(_prepare, CORPORA),
    Stop(
        "Look for what the splits and the corpora share: a leak is refused by train and loco.",
        "no row is a leak; the notes tell what is known of the corpora that these are like.",
        "audit --data {to}/data",
    ),
    Stop(
        "Decode every clip once; sound, face and words become features, by encoders that have no weights.",
        "how many segments have each modality, and why the others do not: AFEW tells no words.",
        f"extract --corpora {' '.join(CORPORA)} --preset weightless --data {{to}}/data --offline",
        ("data/*/features/*/*",),
    ),
    Stop(
        "Train a fusion head on one corpus and test it at home.",
        "UAR (chance: 1/7) and its 95 % interval, drawn by speaker; the bundle is all that predict needs.",
        "train --corpora meld --preset weightless --data {to}/data --runs {to}/runs",
        ("runs/*-train-late",),
    ),
    Stop(
        "Leave each corpus out in turn: train on the other three, score the one never seen, with two seeds.",
        "UAR away from home beside the others' test UAR at home, and how well features tell the corpus.",
        f"loco --corpora {' '.join(CORPORA)} --preset weightless --seeds 2 --data {{to}}/data --runs {{to}}/runs",
        ("runs/*-loco-late",),
    ),
    Stop(
        "Write all that applies to the newest run on one page: figures, pictures, mistakes.",
        "open it in a browser; it fetches nothing. mer report KIND gives each part as files.",
        "report page --runs {to}/runs -o {to}/report.html",
        ("report.html",),
    ),
    Stop(
        "Ask the model that was trained on MELD about one of its test clips.",
        "the clip's own label is {label}; each modality's exact share in the answer, in points.",
        "predict {clip} --text {text} --model {model} --explain --offline",
    ),
)
NEXT = (
    ("mer prepare --corpus meld --root DIR --check", "readers: mer list corpora"),
    ("mer extract --corpora meld iemocap", "encoders: mer list presets"),
    ("mer loco --corpora meld iemocap --seeds 5", "then mer report page"),
    ("mer predict YOUR.mp4 --explain", "--model BUNDLE: your own"),
)
"""What to type with data of one's own, and what it is for."""


def opened(folder: Path) -> dict[str, float]:
    """Return what is done in a folder: the seconds of each stop; raises ``DataError`` for one that is no tour."""
    mark = folder / MARK
    if mark.is_file():
        try:
            held: dict[str, float] = json.loads(mark.read_text(encoding="utf-8"))["seconds"]
        except (ValueError, KeyError, TypeError) as fault:
            raise DataError(f"'{mark}' cannot be read as a tour: {fault}", f"rm '{mark}'") from fault
        return held
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"'{folder}' is not empty and no tour, expected a new folder", "mer tour --to ANOTHER-DIR")
    return {}


def tour(
    folder: Path, begin: Callable[[Step], None], run: Callable[[Sequence[str]], None], again: bool = False
) -> Iterator[Walked]:
    """Walk the stops in a folder; ``begin`` is told each step, ``run`` does what its words say.

    What was done there before is passed over, unless ``again``. A step that raises is not done: the next call begins
    with it. Raises ``DataError`` for a folder that holds anything but a tour.
    """
    done = opened(folder)
    if again:
        done = {}
    rundir.write_text(folder / MARK, _state(done))
    for number, stop in enumerate(STOPS, start=1):
        step = _step(number, stop, folder)
        begin(step)
        before = step.key in done and all(map(any, (folder.glob(pattern) for pattern in stop.made)))
        if not before:
            started = time.perf_counter()
            run(step.words)
            done[step.key] = time.perf_counter() - started
            rundir.write_text(folder / MARK, _state(done))
        yield Walked(step, done[step.key], before, tuple(_made(folder, stop)))


def _state(done: dict[str, float]) -> str:
    return json.dumps({"seconds": done}, indent=1) + "\n"


def _step(number: int, stop: Stop, folder: Path) -> Step:
    values = {"to": folder, "clips": CLIPS, **(_asked(folder) if "{model}" in stop.line else {})}
    words = tuple(word.format_map(values) for word in shlex.split(stop.line))
    return Step(number, stop.what, stop.look.format_map(values), words, stop.line.replace("{clips}", str(CLIPS)))


def _asked(folder: Path) -> dict[str, Any]:
    """Return the trained bundle and the first happy clip of MELD's test split, with its words and label."""
    held = manifest.load(folder / "data", "meld")
    said = next(each for each in held.segments() if each.split == "test" and each.labels["meld"] == "joy")
    clip = next(each for each in held.clips() if each.id == said.clip_id)
    model = rundir.find(folder / "runs", "train-late") / "bundle"
    return {"model": model, "clip": folder / "corpora/meld" / str(clip.video), "text": said.text, "label": "joy"}


def _made(folder: Path, stop: Stop) -> Iterator[Path]:
    """Yield what a stop left; of several runs the newest."""
    for pattern in stop.made:
        found = sorted(folder.glob(pattern))
        yield from found[-1:] if pattern.startswith("runs/") else found
