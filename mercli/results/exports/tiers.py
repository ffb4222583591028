"""Answers on a time line without overlaps, in whole milliseconds: what every timed format is written from.

Windows may overlap, intervals of a tier may not. So each window owns the time that is nearer to its own middle than to
another's: where two overlap, the border is in the middle of what they share (with ``4/2``: a hop around each middle).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from mercli.types import MODALITIES, Prediction, Word

ABSTAINED = "abstained"
FUSED = "fused"
TRANSCRIPT = "transcript"
# control characters, halves of surrogate pairs and non-characters: no XML holds them
_ILLEGAL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True)
class Recording:
    """What a file is about: its medium, its length in seconds, and the folder that the file will lie in, if any."""

    media: Path
    seconds: float
    folder: Path | None = None


@dataclass(frozen=True)
class Mark:
    """An interval of a tier: ``[start, end)`` in milliseconds, what it says, and with which probability."""

    start: int
    end: int
    text: str
    probability: float | None = None


@dataclass(frozen=True)
class Tier:
    """Marks in order of time that do not overlap; ``emotion`` tells labels from words."""

    name: str
    marks: tuple[Mark, ...]
    emotion: bool = True


@dataclass(frozen=True)
class Window:
    """The time ``[start, end)`` in milliseconds that a window owns, the answer of each model, and what is said then."""

    start: int
    end: int
    answers: Mapping[str, Prediction]
    words: list[Word] = field(default_factory=list)


def one_line(text: str) -> str:
    """Return a text on one line, with U+FFFD for what no XML can hold."""
    return _ILLEGAL.sub("\ufffd", " ".join(text.split()))


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, rounded once and the same way everywhere."""
    return round(seconds * 1000)


def windows(predictions: Sequence[Prediction], seconds: float) -> list[Window]:
    """Return the windows of one clip in order of time, cut so that they do not overlap and end with the clip.

    What has no length (a still picture, a failure of the whole clip) is no window.
    """
    asked: dict[tuple[float, float], dict[str, Prediction]] = {}
    for prediction in predictions:
        if prediction.end is not None and prediction.start < seconds:
            answers = asked.setdefault((prediction.start, min(prediction.end, seconds)), {})
            answers[_unique(one_line(prediction.run), answers)] = prediction
    order = sorted(asked)
    starts = [milliseconds(start) for start, _ in order]
    ends = [milliseconds(end) for _, end in order]
    for index, (here, after) in enumerate(pairwise(order)):
        if after[0] < here[1]:
            starts[index + 1] = ends[index] = milliseconds((after[0] + here[1]) / 2)
    cut: list[Window] = []
    for start, end, answers in zip(starts, ends, map(asked.__getitem__, order), strict=True):
        start = max(start, cut[-1].end) if cut else start  # one that lies within another owns nothing of it
        if start < end:
            cut.append(Window(start, end, answers))
    _share_out(_words(predictions), cut)
    return cut


def _unique(name: str, taken: Mapping[str, object]) -> str:
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique


def _words(predictions: Sequence[Prediction]) -> list[Word]:
    """Return the timed words of all windows in order, each once although windows overlap."""
    seen = {(word.start, word.end, word.text): word for p in predictions for word in p.words if one_line(word.text)}
    return [seen[key] for key in sorted(seen)]


def _share_out(words: Sequence[Word], cut: Sequence[Window]) -> None:
    """Put each word to the window that owns its middle; what lies outside of all goes to the last one before it."""
    starts = [window.start for window in cut]
    for word in words if cut else ():
        place = bisect_right(starts, milliseconds((word.start + word.end) / 2)) - 1
        cut[max(0, place)].words.append(word)


def models(cut: Sequence[Window]) -> list[str]:
    """Return the models that answer, in their order."""
    return list(dict.fromkeys(name for window in cut for name in window.answers))


def labels(predictions: Sequence[Prediction]) -> list[str]:
    """Return what a tier of emotions may say: the classes of all models, and that none was given."""
    return list(dict.fromkeys([*(one_line(name) for p in predictions for name in p.scores), ABSTAINED]))


def tiers(predictions: Sequence[Prediction], seconds: float) -> list[Tier]:
    """Return the tiers of one clip: a model's fused answer, each of its modalities alone, and the transcript.

    A window without an answer leaves a gap, as a modality does where it is missing.
    """
    cut = windows(predictions, seconds)
    names = models(cut)
    found = []
    for name in names:
        own = [(window, window.answers[name]) for window in cut if name in window.answers]
        prefix = f"{name}: " if len(names) > 1 else ""
        found.append(Tier(prefix + FUSED, tuple(_fused(w, p) for w, p in own if p.scores)))
        for modality in MODALITIES:
            if any(modality in p.modalities or modality in p.missing for _, p in own):
                found.append(Tier(prefix + modality, tuple(_alone(own, modality))))
    return [*found, Tier(TRANSCRIPT, tuple(_transcript(cut, milliseconds(seconds))), emotion=False)]


def _fused(window: Window, prediction: Prediction) -> Mark:
    text = ABSTAINED if prediction.label is None else one_line(prediction.label)
    return Mark(window.start, window.end, text, max(prediction.scores.values()))


def _alone(own: Sequence[tuple[Window, Prediction]], modality: str) -> Iterator[Mark]:
    for window, prediction in own:
        scores = (prediction.alone or {}).get(modality)
        if scores:
            best = max(scores, key=lambda name: scores[name])
            yield Mark(window.start, window.end, one_line(best), scores[best])


def _transcript(cut: Sequence[Window], end: int) -> list[Mark]:
    """Return a mark a word, or where words have no times, the text of each window (the same text once)."""
    words = [word for window in cut for word in window.words]
    if words:
        return _in_turn(words, end)
    marks: list[Mark] = []
    for window in cut:
        text = said(window)
        if marks and text == marks[-1].text and marks[-1].end == window.start:
            marks[-1] = replace(marks[-1], end=window.end)
        elif text:
            marks.append(Mark(window.start, window.end, text))
    return marks


def said(window: Window) -> str:
    """Return what is said in a window on one line: its words, else the text of its answers."""
    if window.words:
        return " ".join(one_line(word.text) for word in window.words)
    return next((one_line(p.text) for p in window.answers.values() if p.text and not p.words), "")


def _in_turn(words: Sequence[Word], end: int) -> list[Mark]:
    """Return words as marks: one begins where the last has ended, and joins it where no time is left."""
    marks: list[Mark] = []
    for word in words:
        text = one_line(word.text)
        start = max(milliseconds(word.start), marks[-1].end if marks else 0)
        stop = min(milliseconds(word.end), end)
        if start < stop:
            marks.append(Mark(start, stop, text))
        elif marks:
            marks[-1] = replace(marks[-1], text=f"{marks[-1].text} {text}")
        else:
            marks.append(Mark(0, max(1, stop), text))
    return marks
