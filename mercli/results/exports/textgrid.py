"""Praat's TextGrid in its long form: interval tiers that cover the whole time without gaps, as Praat demands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mercli.results.exports.tiers import Mark, Recording, Tier, milliseconds, tiers
from mercli.types import Prediction


def textgrid(predictions: Sequence[Prediction], recording: Recording) -> str:
    """Return a clip's tiers; beside each tier of emotions lies one of their probabilities."""
    end = max(1, milliseconds(recording.seconds))
    every = list(_with_probabilities(tiers(predictions, recording.seconds)))
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_seconds(end)}",
        "tiers? <exists>", f"size = {len(every)}", "item []:",
    ]  # fmt: skip
    for number, tier in enumerate(every, start=1):
        lines += [f"    item [{number}]:", *_tier(tier, end)]
    return "\n".join(lines) + "\n"


def _with_probabilities(every: Sequence[Tier]) -> Iterator[Tier]:
    for tier in every:
        yield tier
        if tier.emotion:
            marks = (Mark(mark.start, mark.end, f"{mark.probability:.3f}") for mark in tier.marks)
            yield Tier(f"{tier.name} probability", tuple(marks))


def _tier(tier: Tier, end: int) -> Iterator[str]:
    marks = list(_covering(tier.marks, end))
    yield '        class = "IntervalTier"'
    yield f"        name = {_quoted(tier.name)}"
    yield "        xmin = 0"
    yield f"        xmax = {_seconds(end)}"
    yield f"        intervals: size = {len(marks)}"
    for number, mark in enumerate(marks, start=1):
        yield f"        intervals [{number}]:"
        yield f"            xmin = {_seconds(mark.start)}"
        yield f"            xmax = {_seconds(mark.end)}"
        yield f"            text = {_quoted(mark.text)}"


def _covering(marks: Sequence[Mark], end: int) -> Iterator[Mark]:
    """Yield the marks with empty ones where there is none, from 0 to the end."""
    reached = 0
    for mark in marks:
        if reached < mark.start:
            yield Mark(reached, mark.start, "")
        yield mark
        reached = mark.end
    if reached < end:
        yield Mark(reached, end, "")


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
