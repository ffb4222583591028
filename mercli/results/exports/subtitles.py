"""SubRip and WebVTT: a cue a window, its most likely emotion above what is said."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from mercli.results.exports.tiers import ABSTAINED, Recording, Window, models, one_line, said, windows
from mercli.types import Prediction


def srt(predictions: Sequence[Prediction], recording: Recording) -> str:
    """Return a clip's answers as SubRip; an arrow between words is written as one character, for it has no escape."""
    cues = enumerate(_cues(predictions, recording), start=1)
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '→')}\n\n"
        for number, (start, end, text) in cues
    )


def vtt(predictions: Sequence[Prediction], recording: Recording) -> str:
    """Return a clip's answers as WebVTT."""
    cues = _cues(predictions, recording)
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{html.escape(text, quote=False)}\n\n"
        for start, end, text in cues
    )


def _cues(predictions: Sequence[Prediction], recording: Recording) -> Iterator[tuple[int, int, str]]:
    """Yield start and end in milliseconds and the lines; a window with neither answer nor words shows nothing."""
    cut = windows(predictions, recording.seconds)
    several = len(models(cut)) > 1
    for window in cut:
        lines = [*_answers(window, several), said(window)]
        shown = "\n".join(filter(None, lines))
        if shown:
            yield window.start, window.end, shown


def _answers(window: Window, several: bool) -> Iterator[str]:
    for name, prediction in window.answers.items():
        if prediction.scores:
            best = max(prediction.scores, key=lambda label: prediction.scores[label])
            text = f"{one_line(best)} {prediction.scores[best]:.0%}"
            text = text if prediction.label is not None else f"{ABSTAINED} (best: {text})"
            yield f"{name}: {text}" if several else text


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"
