"""One style for every picture: colour-blind safe, emotions in the same colours everywhere, the same bytes twice."""

from __future__ import annotations

import io
from typing import Any

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "figure.dpi": 120,
    "svg.hashsalt": "mer",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
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


def emotion(name: str) -> str:
    """Return the colour of an emotion, one for all that have none of their own."""
    return EMOTIONS.get(name, OTHER)


def series(index: int) -> str:
    """Return the colour of the n-th line or marker; they come round again."""
    return SERIES[index % len(SERIES)]


def render(figure: Any) -> dict[str, bytes]:
    """Return the figure as ``png`` and ``svg`` bytes without dates or versions."""
    result = {}
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        result[kind] = buffer.getvalue()
    return result
