"""What is drawn on an annotated film: a frame around the face, and below the picture a panel with the answer.

The panel lies below and not on the picture: it hides nobody, and is read alike under light and dark footage.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mercli.results.exports.tiers import ABSTAINED, Window, one_line, said
from mercli.results.style import ON_DARK, emotion

if TYPE_CHECKING:
    from mercli.types import ByteArray, Prediction, Word

BARS = 3
GROUND, RAIL, INK, FAINT, WARNING = "#161616", "#3A3A3A", "#F2F2F2", "#9A9A9A", "#E6B450"
NARROWEST = 320
"""Pixels of width below which a picture is enlarged: no panel can be read on less."""
LINGERS = 1.5
"""Seconds a line of words stays after its last word."""
Box = Sequence[float]


@dataclass(frozen=True)
class Layout:
    """The sizes of a film whose pictures are ``width`` x ``height`` pixels."""

    width: int
    height: int

    @property
    def scale(self) -> int:
        """By how much pictures are enlarged."""
        return max(1, ceil(NARROWEST / self.width))

    @property
    def letters(self) -> int:
        """The size of letters in pixels."""
        return min(36, max(12, round(self.width * self.scale / 40)))

    @property
    def row(self) -> int:
        """The height of a row of the panel in pixels."""
        return round(1.6 * self.letters)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the film in pixels, both even as H.264 asks."""
        tall = self.height * self.scale + (BARS + 2) * self.row + self.letters
        wide = self.width * self.scale
        return wide + wide % 2, tall + tall % 2


class Overlay:
    """Draws the answers of one clip on its pictures; ``windows`` as the timed formats have them."""

    def __init__(self, layout: Layout, windows: Sequence[Window]) -> None:
        self.layout = layout
        self.windows = windows
        self._starts = [window.start for window in windows]
        self._panel: tuple[Any, ByteArray] | None = None

    def window(self, seconds: float) -> Window | None:
        """Return the window that owns a time of the clip."""
        place = bisect_right(self._starts, round(seconds * 1000)) - 1
        last = place == len(self.windows) - 1
        here = self.windows[place] if place >= 0 else None
        return here if here is not None and (last or seconds * 1000 < here.end) else None

    def draw(self, rgb: ByteArray, seconds: float, boxes: Sequence[Box]) -> ByteArray:
        """Return the film's picture (H, W, 3) at a time; ``boxes``: left, top, width, height in 0..1 of ``rgb``."""
        import cv2

        window = self.window(seconds)
        shown = np.zeros((self.layout.size[1], self.layout.size[0], 3), np.uint8)
        height, width = rgb.shape[0] * self.layout.scale, rgb.shape[1] * self.layout.scale
        shown[:height, :width] = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
        shown[:height, width:] = shown[:height, width - 1 : width]
        for box in boxes:
            pixels = [round(value * side) for value, side in zip(box, (width, height) * 2, strict=True)]
            _frame(shown[:height], pixels, _colour(_answer(window)), max(2, self.layout.letters // 5))
        shown[height:] = self._below(window, seconds, shown.shape[0] - height)
        return shown

    def _below(self, window: Window | None, seconds: float, height: int) -> ByteArray:
        """Return the panel; it is drawn anew only when what it says changes."""
        line = self._line(window, seconds)
        if self._panel is None or self._panel[0] != (window and window.start, line):
            panel = _Panel(self.layout, height)
            panel.answer(_answer(window))
            panel.words(line)
            self._panel = (window and window.start, line), panel.pixels
        return self._panel[1]

    def _line(self, window: Window | None, seconds: float) -> tuple[tuple[str, bool], ...]:
        """Return the words to be shown at a time, and whether each is being said."""
        place = bisect_right(self._spoken, seconds, key=lambda word: word.start) - 1
        line = next((line for line in self._lines if line[0] <= place < line[1]), None)
        if line is None:
            text = said(window) if window and not self._spoken else ""
            return ((text, False),) if text else ()
        words = self._spoken[line[0] : line[1]]
        if seconds > words[-1].end + LINGERS:
            return ()
        return tuple((one_line(word.text), word.start <= seconds < word.end) for word in words)

    @cached_property
    def _spoken(self) -> list[Word]:
        return sorted((word for window in self.windows for word in window.words), key=lambda word: word.start)

    @cached_property
    def _lines(self) -> list[tuple[int, int]]:
        """Return the words that fit on a line together, as from and to."""
        room = self.layout.size[0] - 2 * self.layout.letters
        lines, first, used = [], 0, 0.0
        for number, word in enumerate(self._spoken):
            wide = _font(self.layout.letters).getlength(one_line(word.text) + " ")
            pause = number > first and word.start - self._spoken[number - 1].end > LINGERS
            if number > first and (pause or used + wide > room):
                lines.append((first, number))
                first, used = number, 0.0
            used += wide
        return [*lines, (first, len(self._spoken))] if self._spoken else []


def _answer(window: Window | None) -> Prediction | None:
    return next(iter(window.answers.values())) if window else None


def _colour(prediction: Prediction | None) -> str:
    if prediction is None or not prediction.scores:
        return INK
    return _bright(max(prediction.scores, key=lambda name: prediction.scores[name]))


def _bright(name: str) -> str:
    return ON_DARK.get(emotion(name), emotion(name))


def _frame(picture: ByteArray, box: Sequence[int], colour: str, thick: int) -> None:
    """Draw a rectangle between two black ones, to be seen on any ground."""
    import cv2

    corners = (box[0], box[1]), (box[0] + box[2], box[1] + box[3])
    cv2.rectangle(picture, *corners, (0, 0, 0), thick + 4)
    cv2.rectangle(picture, *corners, tuple(bytes.fromhex(colour[1:])), thick)


class _Panel:
    """The part below the picture: the most likely emotions as bars, words, and what the answer was made from."""

    def __init__(self, layout: Layout, height: int) -> None:
        from PIL import Image, ImageDraw

        self.size, self.row, self.edge = layout.letters, layout.row, layout.letters
        self.image = Image.new("RGB", (layout.size[0], height), GROUND)
        self.pen = ImageDraw.Draw(self.image)

    @property
    def pixels(self) -> ByteArray:
        return np.asarray(self.image)

    def answer(self, prediction: Prediction | None) -> None:
        scores = prediction.scores if prediction else {}
        top = sorted(scores.items(), key=lambda pair: -pair[1])[:BARS]
        names = max((_font(self.size).getlength(one_line(name)) for name, _ in top), default=0)
        left = self.edge + min(names, self.image.width / 3) + self.size
        right = self.image.width - self.edge - _font(self.size).getlength("100%") - self.size / 2
        for place, (name, score) in enumerate(top):
            middle = self.edge / 2 + (place + 0.5) * self.row
            best = place == 0 and prediction is not None and prediction.label is not None
            self._text(self.edge, middle, one_line(name), INK if best else FAINT, left - self.size / 2)
            rail = (left, middle - self.size / 2, right, middle + self.size / 2)
            self.pen.rectangle(rail, fill=RAIL)
            self.pen.rectangle((*rail[:2], left + score * (right - left), rail[3]), fill=_bright(name))
            self._text(right + self.size / 2, middle, f"{score:.0%}", INK if best else FAINT)
        text, colour = _made_from(prediction)
        self._text(self.edge, self.image.height - self.edge / 2 - self.row / 2, text, colour, size=0.85)

    def words(self, line: Sequence[tuple[str, bool]]) -> None:
        x, middle = float(self.edge), self.edge / 2 + (BARS + 0.5) * self.row
        for text, spoken in line:
            end = self._text(x, middle, text, INK if spoken else FAINT)
            if spoken:
                low = middle + 0.62 * self.size
                self.pen.line((x, low, end, low), fill=INK, width=max(1, self.size // 8))
            x = end + _font(self.size).getlength(" ")

    def _text(self, x: float, middle: float, text: str, colour: str, end: float = 0.0, size: float = 1.0) -> float:
        """Write a text, cut to what there is room for up to ``end`` (else the margin); return where it ends."""
        font = _font(round(size * self.size))
        room = (end or self.image.width - self.edge / 2) - x
        if font.getlength(text) > room:
            while text and font.getlength(text + "…") > room:
                text = text[:-1]
            text += "…"
        self.pen.text((x, middle), text, colour, font, anchor="lm")
        return x + font.getlength(text)


def _made_from(prediction: Prediction | None) -> tuple[str, str]:
    """Return what an answer was made from and what was missing, and the colour it is said in."""
    if prediction is None:
        return "no answer for this stretch", FAINT
    if prediction.error:
        return one_line(f"no answer: {prediction.error}"), WARNING
    parts = [] if prediction.label is not None else [ABSTAINED]
    parts += [f"from {', '.join(prediction.modalities)}"]
    parts += [f"without {modality}: {why}" for modality, why in prediction.missing.items()]
    return one_line(" · ".join(parts)), WARNING if prediction.missing or prediction.label is None else FAINT


@cache
def _font(size: int) -> Any:
    """Return matplotlib's own font, which is there on every machine."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
