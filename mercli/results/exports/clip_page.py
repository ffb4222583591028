"""A page a clip: the medium beside its answers over time, which fetches nothing but the medium itself."""

from __future__ import annotations

import mimetypes
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from mercli.results.exports.tiers import ABSTAINED, Recording, Window, models, said, windows
from mercli.results.html import environment, ink
from mercli.results.section import Table
from mercli.results.style import palette
from mercli.types import MODALITIES, Prediction

WIDE, HIGH = 1000.0, 100.0
"""The units of a curve's drawing, which is stretched to the page."""
STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
TICKS = 6
Timed = Sequence[tuple[Window, Prediction]]


class Stretch(NamedTuple):
    """A time of one answer; ``left`` and ``width`` in per cent of the clip."""

    label: str
    colour: str
    left: float
    width: float


@dataclass(frozen=True)
class Model:
    """One model's answers on a page.

    ``classes``: (name, colour); ``curves``: (colour, path); ``lanes``: (who answers, what when).
    ``windows``: what the script needs of each window: start, end and middle in seconds, scores, and what is said.
    """

    name: str
    classes: list[tuple[str, str]]
    curves: list[tuple[str, str]]
    lanes: list[tuple[str, list[Stretch]]]
    windows: list[tuple[float, float, float, list[float] | None, str, str, str]]
    first: Prediction


def page(predictions: Sequence[Prediction], recording: Recording) -> str:
    """Return the page; its medium is named relative to the folder that the page will lie in, if that is known."""
    cut = windows(predictions, recording.seconds)
    kind = (mimetypes.guess_type(recording.media.name)[0] or "").partition("/")[0]
    values: dict[str, Any] = {
        "title": recording.media.name,
        "kind": kind if kind in ("video", "audio", "image") else None,
        "address": _address(recording),
        "seconds": recording.seconds,
        "ticks": list(_ticks(recording.seconds)),
        "models": list(_models(predictions, recording, cut)),
        "words": list(_words(cut, predictions)),
        "source": next((p.text_source for p in predictions if p.text_source), None),
        "missing": list(_missing(predictions)),
        "answers": _table(predictions),
    }
    return (
        environment()
        .get_template("clip.html.j2")
        .render(values, told=told, verdict=verdict, span=span, FOLDED=50, MOST=len(predictions))
        + "\n"
    )


def _models(predictions: Sequence[Prediction], recording: Recording, cut: Sequence[Window]) -> Iterator[Model]:
    if not cut:
        yield from (_model(prediction.run, [prediction], [], 0.0) for prediction in predictions)
    for name in models(cut):
        timed = [(window, window.answers[name]) for window in cut if name in window.answers]
        yield _model(name, [prediction for _, prediction in timed], timed, recording.seconds)


def _address(recording: Recording) -> str:
    media = recording.media.absolute()
    if recording.folder is None:
        return media.as_uri()
    # a name with a colon would be read as a scheme
    return quote(os.fsencode(os.path.join(".", os.path.relpath(media, recording.folder.absolute()))))


def _ticks(seconds: float) -> Iterator[tuple[float, str]]:
    """Yield where the axis is marked, in per cent, and with what."""
    step = next((step for step in STEPS if seconds / step <= TICKS), STEPS[-1])
    for number in range(int(seconds / step) + 1 if seconds else 0):
        time = number * step
        clock = f"{int(time) // 60}:{int(time) % 60:02}" if seconds >= 60 else f"{time:g} s"
        yield 100 * time / seconds, clock


def _model(name: str, own: Sequence[Prediction], timed: Timed, seconds: float) -> Model:
    names = next((tuple(p.scores) for p in own if p.scores), ())
    colours = {label: ink(colour) for label, colour in palette(names).items()}
    return Model(
        name=name,
        classes=list(colours.items()),
        curves=[(colours[label], _path(timed, label, seconds)) for label in names],
        lanes=list(_lanes(timed, colours, seconds)),
        windows=[
            (w.start / 1000, w.end / 1000, _middle(p), list(p.scores.values()) or None, verdict(p), span(p), told(p))
            for w, p in timed
        ],
        first=next((p for p in own if p.scores), own[0]),
    )


def _middle(prediction: Prediction) -> float:
    return round((prediction.start + (prediction.end or prediction.start)) / 2, 3)


def _path(timed: Timed, label: str, seconds: float) -> str:
    """Return a class's probability as a path through the windows' middles; a window without an answer breaks it."""
    parts: list[list[tuple[float, float]]] = []
    end = None
    for window, prediction in timed:
        if prediction.scores:
            p = prediction.scores[label]
            if window.start == end:
                parts[-1].pop()
            else:
                parts.append([(window.start / 1000, p)])
            parts[-1] += [(_middle(prediction), p), (window.end / 1000, p)]
            end = window.end
    points = [" L".join(f"{WIDE * t / seconds:.1f} {HIGH * (1 - p):.2f}" for t, p in part) for part in parts]
    return " ".join(f"M{part}" for part in points)


def _lanes(timed: Timed, colours: dict[str, str], seconds: float) -> Iterator[tuple[str, list[Stretch]]]:
    """Yield the model's answers in stretches, and what each modality alone says where that was asked for."""
    told: dict[str, Callable[[Prediction], str | None]] = {"all": lambda p: verdict(p) if p.scores else None}
    for modality in MODALITIES:
        if any((p.alone or {}).get(modality) for _, p in timed):
            told[modality] = partial(_alone, modality)
    for name, said_by in told.items():
        stretches: list[tuple[str, int, int]] = []
        for window, prediction in timed:
            label = said_by(prediction)
            if stretches and stretches[-1][::2] == (label, window.start):
                stretches[-1] = (*stretches[-1][:2], window.end)
            elif label is not None:
                stretches.append((label, window.start, window.end))
        yield (
            name,
            [
                Stretch(label, colours.get(label, "var(--soft)"), start / 10 / seconds, (end - start) / 10 / seconds)
                for label, start, end in stretches
            ],
        )


def _alone(modality: str, prediction: Prediction) -> str | None:
    """Return the most likely class by one modality alone, if it is there."""
    scores = (prediction.alone or {}).get(modality)
    return max(scores, key=lambda name: scores[name]) if scores else None


def verdict(prediction: Prediction) -> str:
    """Return the answer's label, or why there is none."""
    return prediction.label or ("no answer" if prediction.error else ABSTAINED)


def span(prediction: Prediction) -> str:
    """Return the seconds that were asked about; nothing where there is no time."""
    return "" if prediction.end is None else f"{prediction.start:.1f} to {prediction.end:.1f} s"


def told(prediction: Prediction) -> str:
    """Return in a sentence what an answer was made from."""
    if prediction.error:
        return f"no answer: {prediction.error}"
    said_of = f"from {', '.join(prediction.modalities)}"
    if prediction.shares:
        shares = ", ".join(f"{m} {100 * value:+.1f}" for m, value in prediction.shares.items())
        said_of += f"; shares in points: {shares}".replace("-", "−")
    without = "; ".join(f"without {m}: {why}" for m, why in prediction.missing.items())
    return f"{said_of}; {without}" if without else said_of


def _words(cut: Sequence[Window], predictions: Sequence[Prediction]) -> Iterator[tuple[float | None, str]]:
    """Yield each word with its start; or each window's text with the window's; or a text that has no time."""
    last = ""
    for window in cut:
        if window.words:
            yield from ((word.start, word.text) for word in window.words)
        elif (text := said(window)) != last:
            last = text
            yield window.start / 1000, text
    if not cut:
        yield from ((None, p.text) for p in predictions[:1] if p.text)


def _missing(predictions: Sequence[Prediction]) -> Iterator[tuple[str, str]]:
    """Yield each modality that is missing somewhere, why, and in how many of the answers."""
    reasons = Counter(pair for prediction in predictions for pair in prediction.missing.items())
    for (modality, why), count in sorted(reasons.items()):
        where = "" if count == len(predictions) else f" (in {count} of {len(predictions)} windows)"
        yield modality, why + where


def _table(predictions: Sequence[Prediction]) -> Table:
    """Return every answer as a row; columns in which nothing is said are left out."""
    names = dict.fromkeys(name for prediction in predictions for name in prediction.scores)
    shared = dict.fromkeys(modality for prediction in predictions for modality in prediction.shares or ())
    rows = [
        {
            "from (s)": None if prediction.end is None else f"{prediction.start:.2f}",
            "to (s)": None if prediction.end is None else f"{prediction.end:.2f}",
            "model": prediction.run,
            "answer": verdict(prediction),
            **{name: prediction.scores.get(name) for name in names},
            **{f"{modality} alone": _alone(modality, prediction) for modality in MODALITIES},
            **{f"share of {modality}": (prediction.shares or {}).get(modality) for modality in shared},
            "missing": "; ".join(f"{m}: {why}" for m, why in prediction.missing.items()),
            "fault": prediction.error,
            "words": prediction.text,
        }
        for prediction in predictions
    ]
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    if len({prediction.run for prediction in predictions}) == 1:
        kept.remove("model")
    cells = [[row[name] for name in kept] for row in rows]
    return Table(
        "answers",
        "Every answer, with the probability of each class",
        tuple(kept),
        cells,
        keys=2 if "to (s)" in kept else 1,
    )
