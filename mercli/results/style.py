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


def headed(figure: Any, *lines: str) -> None:
    """Write a title over the whole figure, at its left; a long line goes on in the next."""
    width = int(figure.get_figwidth() * 11.5)
    wrapped = [part for line in lines for part in wrap(line, width)]
    figure.suptitle("\n".join(wrapped), fontsize=10, x=0.01, ha="left")


def gridded(axes: Any, axis: str = "both") -> None:
    """Draw pale lines behind the data."""
    axes.grid(axis=axis, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def render(figure: Any) -> dict[str, bytes]:
    """Return the figure as ``png`` and ``svg`` bytes without dates or versions."""
    result = {}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        result[kind] = buffer.getvalue()
    return result
