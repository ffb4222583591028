"""The picture of one clip over time: its face, probabilities, what each modality says alone, and its words."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mercli.results.exports.tiers import ABSTAINED, Tier, Window, models
from mercli.results.style import INK, STYLE, gridded, headed, palette, render

if TYPE_CHECKING:
    from mercli.types import ByteArray

SLOTS = 16
"""Faces in a strip: as many squares as stand beside each other over the width of the picture."""
WIDTH, LEFT, RIGHT = 10.0, 0.09, 0.88
"""Inches, and where the time begins and ends in parts of them."""
BAND, LINE, PANEL, STRIP = 0.26, 0.19, 2.3, 0.5
LINES = 6
PAUSE, LONG = 0.4, 48
"""Seconds and letters that end a phrase."""
LETTERS = 8
GREY = "#BBBBBB"


def slot(time: float, seconds: float) -> int:
    """Return the number of the place in the strip that a time belongs to."""
    return min(SLOTS - 1, int(SLOTS * time / seconds))


def picture(
    cut: Sequence[Window],
    tiers: Sequence[Tier],
    faces: Mapping[int, ByteArray],
    seconds: float,
    title: str,
) -> dict[str, bytes]:
    """Return PNG and SVG; ``faces`` are crops (S, S, 3) by the number of their ``slot``, none for no strip."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = models(cut)
    bands = [tier for tier in tiers if tier.emotion]
    lines = laid_out(tiers, seconds)
    rows = [STRIP] * bool(faces) + [PANEL] * len(names) + [BAND * len(bands)] + [LINE * len(lines)] * bool(lines)
    height = sum(rows) + 0.25 * (len(rows) - 1) + 1.0
    with rc_context(STYLE):
        figure = Figure((WIDTH, height))
        grid = figure.add_gridspec(len(rows), 1, height_ratios=rows, hspace=0.25 * len(rows) / sum(rows), left=LEFT,
                                   right=RIGHT, bottom=0.55 / height, top=1 - 0.45 / height)  # fmt: skip
        panels: Iterator[Any] = iter([figure.add_subplot(grid[row]) for row in range(len(rows))])
        every = []
        if faces:
            every.append(_strip(next(panels), faces, seconds))
        every += [_curves(next(panels), cut, name, len(names) > 1) for name in names]
        every.append(_bands(next(panels), bands, cut, seconds))
        if lines:
            every.append(_words(next(panels), lines))
        for axes in every:
            axes.set_xlim(0, seconds)
            axes.tick_params(labelbottom=axes is every[-1])
        every[-1].set_xlabel("seconds")
        headed(figure, title)
        with warnings.catch_warnings():  # letters that the font lacks are drawn as boxes, and the table has them
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            return render(figure)


def _strip(axes: Any, faces: Mapping[int, ByteArray], seconds: float) -> Any:
    for number, crop in faces.items():
        extent = (number * seconds / SLOTS, (number + 1) * seconds / SLOTS, 0, 1)
        axes.imshow(crop, extent=extent, aspect="auto", interpolation="bilinear")
    axes.set(ylim=(0, 1), yticks=[], ylabel="face")
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False)
    return axes


def _curves(axes: Any, cut: Sequence[Window], name: str, several: bool) -> Any:
    """Draw each class through the middles of the windows; a window without an answer breaks the line."""
    answers = [window.answers[name] for window in cut if name in window.answers]
    classes = list(dict.fromkeys(label for answer in answers for label in answer.scores))
    middles = [(answer.start + (answer.end or answer.start)) / 2 for answer in answers]
    for label, colour in palette(classes).items():
        values = [answer.scores.get(label, float("nan")) for answer in answers]
        axes.plot(middles, values, "o-", color=colour, label=label, linewidth=1.6, markersize=3.5)
    axes.set(ylim=(-0.02, 1.02), ylabel=f"probability\n({name})" if several else "probability")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=LETTERS + 1)
    gridded(axes)
    return axes


def _bands(axes: Any, bands: Sequence[Tier], cut: Sequence[Window], seconds: float) -> Any:
    """Draw a row a tier, coloured by what it says, written where there is room; an empty one says why it is."""
    colours = palette(list(dict.fromkeys(mark.text for tier in bands for mark in tier.marks))) | {ABSTAINED: GREY}
    for row, tier in enumerate(reversed(bands)):
        for start, end, text in _runs(tier):
            bar = [(start / 1000, (end - start) / 1000)]
            axes.broken_barh(bar, (row + 0.08, 0.84), color=colours[text], edgecolor="white", linewidth=0.8)
            if _inches(text) < (end - start) / 1000 * _per_second(seconds):
                axes.text((start + end) / 2000, row + 0.48, text, ha="center", va="center", fontsize=LETTERS,
                          color=_on(colours[text]))  # fmt: skip
        if not tier.marks:
            axes.text(0, row + 0.48, _why(tier, cut), va="center", fontsize=LETTERS, style="italic")
    axes.set(ylim=(0, len(bands)), yticks=[row + 0.5 for row in range(len(bands))])
    axes.set_yticklabels([tier.name for tier in reversed(bands)], fontsize=LETTERS + 1)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    return axes


def _runs(tier: Tier) -> Iterator[tuple[int, int, str]]:
    """Yield stretches that say the same without a gap: from, to, what."""
    start = None
    for place, mark in enumerate(tier.marks, start=1):
        start = mark.start if start is None else start
        after = tier.marks[place] if place < len(tier.marks) else None
        if after is None or after.text != mark.text or after.start > mark.end:
            yield start, mark.end, mark.text
            start = None


def _why(tier: Tier, cut: Sequence[Window]) -> str:
    modality = tier.name.rpartition(" ")[2]
    reasons = (answer.missing.get(modality) for window in cut for answer in window.answers.values())
    return next(filter(None, reasons), "no answer")


def _words(axes: Any, lines: Sequence[Sequence[tuple[float, str]]]) -> Any:
    for row, line in enumerate(reversed(lines)):
        for start, text in line:
            axes.text(start, row + 0.5, text, ha="left", va="center", fontsize=LETTERS, color="black")
    axes.set(ylim=(0, len(lines)), yticks=[], ylabel="words")
    axes.spines["left"].set_visible(False)
    return axes


def laid_out(tiers: Sequence[Tier], seconds: float) -> list[list[tuple[float, str]]]:
    """Return what is said in lines of (seconds, text) in which nothing overlaps, word by word or else in phrases.

    None where even phrases take too many lines.
    """
    words = [
        (mark.start / 1000, mark.end / 1000, mark.text) for tier in tiers if not tier.emotion for mark in tier.marks
    ]
    for parts in (words, _phrases(words)):
        lines = _stacked([(start, text) for start, _, text in parts], seconds)
        if len(lines) <= LINES:
            return lines
    return []


def _stacked(parts: Sequence[tuple[float, str]], seconds: float) -> list[list[tuple[float, str]]]:
    lines: list[list[tuple[float, str]]] = []
    ends: list[float] = []
    for start, text in parts:
        free = next((number for number, end in enumerate(ends) if end <= start), len(ends))
        if free == len(ends):
            ends.append(0.0)
            lines.append([])
        lines[free].append((start, text))
        ends[free] = start + _inches(text) / _per_second(seconds)
    return lines


def _phrases(words: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Return words joined up to a pause, the end of a sentence, or a line that is long enough."""
    found: list[tuple[float, float, str]] = []
    for start, end, text in words:
        before = found[-1] if found else None
        if before and start - before[1] < PAUSE and len(before[2]) < LONG and before[2][-1] not in ".?!":
            found[-1] = (before[0], end, f"{before[2]} {text}")
        else:
            found.append((start, end, text))
    return found


def _per_second(seconds: float) -> float:
    return WIDTH * (RIGHT - LEFT) / seconds


def _inches(text: str) -> float:
    """Return how wide a text is at most, with the space behind it."""
    return (len(text) + 1) * 0.62 * LETTERS / 72


def _on(colour: str) -> str:
    """Return which letters are read best on a colour (relative luminance of WCAG 2)."""
    channels = [value / 255 for value in bytes.fromhex(colour[1:])]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"
