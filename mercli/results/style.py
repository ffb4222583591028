"""One style for every picture: colour-blind safe, emotions in the same colours everywhere, the same bytes twice."""

from __future__ import annotations

import io
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "figure.dpi": 120,
    "svg.hashsalt": "mer",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "legend.frameon": False,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colours of lines and markers that are no emotions (Okabe & Ito 2008, without its yellow: too pale on white)."""
EMOTIONS = {
    "neutral": "#7F7F7F",
    "happy": "#E69F00",
    "sad": "#0072B2",
    "angry": "#D55E00",
    "surprise": "#CC79A7",
    "fear": "#332288",
    "disgust": "#009E73",
}
OTHER = "#56B4E9"
FURTHER = (OTHER, "#882255", "#44AA99", "#999933", "#AA4499", "#661100", "#6699CC", "#DDCC77")
"""Colours of classes that have none of their own, where several are told apart (Tol 2021, muted)."""
ON_DARK = {"#332288": "#A99BF0", "#882255": "#D9709F", "#661100": "#D08770", "#AA4499": "#C76BB8"}
"""What is too dark to be seen on a dark ground, and the colour that stands for it there."""
GRID = "#DDDDDD"
LONG = 32
"""Letters of a name that an axis or a legend has room for."""
PART = 14
"""Letters of a name that shares its place with others."""
LETTERS = 11.5
"""Letters on an inch of a title or a legend."""
INK = "#111111"
"""Letters on a pale cell; black itself follows the colour scheme of a page."""


def emotion(name: str) -> str:
    """Return the colour of an emotion, one for all that have none of their own."""
    return EMOTIONS.get(name, OTHER)


def palette(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each of these classes or groups: emotions have their own, further colours come round."""
    rest = [name for name in names if name not in EMOTIONS]
    return {name: EMOTIONS.get(name) or FURTHER[rest.index(name) % len(FURTHER)] for name in names}


def series(index: int) -> str:
    """Return the colour of the n-th line or marker; they come round again."""
    return SERIES[index % len(SERIES)]


def short(name: str, most: int = LONG) -> str:
    """Return a name as an axis or a legend has room for it: the middle of a long one is left out."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"


def columns(figure: Any, names: Sequence[str], most: int) -> int:
    """Return how many columns a legend below a figure may have, so that its names lie within."""
    letters = max(len(short(name)) for name in names) + 5
    return max(1, min(most, int(figure.get_figwidth() * LETTERS) // letters))


def headed(figure: Any, *lines: str) -> None:
    """Write a title over the whole figure, at its left; a long line goes on in the next."""
    width = int(figure.get_figwidth() * LETTERS)
    wrapped = [part for line in lines for part in wrap(line, width)]
    figure.suptitle("\n".join(wrapped), fontsize=10, x=0.01, ha="left")


def gridded(axes: Any, axis: str = "both") -> None:
    """Draw pale lines behind the data."""
    axes.grid(axis=axis, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _shorten(figure: Any) -> None:
    """Shorten long names along axes and in legends: they would leave no room for what is drawn."""
    from matplotlib.ticker import FixedLocator

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if isinstance(axis.get_major_locator(), FixedLocator):
            axis.set_ticklabels([short(text.get_text()) for text in axis.get_ticklabels()])
    for legend in (*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))):
        for text in legend.get_texts():
            text.set_text(short(text.get_text()))


def _placed(figure: Any) -> None:
    """Give everything its place, once for all formats, which is half of the work.

    The solver's last digits follow addresses in memory, and the svg's names of clipping paths follow those digits.
    """
    engine = figure.get_layout_engine()
    if engine is None:
        return
    engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(edge, 6) for edge in axes.get_position(original=True).bounds])


def render(figure: Any) -> dict[str, bytes]:
    """Return the figure as ``png`` and ``svg`` bytes without dates or versions, its long names shortened."""
    _shorten(figure)
    _placed(figure)
    result = {}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        result[kind] = buffer.getvalue()
    return result
