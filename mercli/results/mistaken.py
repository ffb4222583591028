"""The picture of the most frequent mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.results.style import PART, STYLE, gridded, headed, palette, render, short

MOST = 20
"""Pairs of classes that are drawn."""


def said(title: str, pairs: Sequence[Mapping[str, Any]], wrong: int, answers: int) -> str:
    """Return what a picture shows: how many answers are wrong, and the pair that most of them are of."""
    first = pairs[0]
    share = first["answers"] / wrong
    pair = f"{first['target']} taken for {first['answer']}, {first['answers']} times ({share:.0%} of the mistakes)"
    return f"{title}: {wrong} of {answers} answers are wrong; most often {pair}."


def picture(pairs: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a bar per pair (target, answer, answers), in the colour of the class that was answered."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    rows = pairs[:MOST]
    colours = palette(sorted({row["answer"] for row in rows}))
    with rc_context(STYLE):
        figure = Figure((7.0, 0.27 * len(rows) + 1.4), layout="constrained")
        axes = figure.subplots()
        for at, row in enumerate(rows):
            axes.barh(at, row["answers"], height=0.75, color=colours[row["answer"]])
            axes.text(row["answers"], at, f" {row['answers']}", va="center", fontsize=8)
        names = [f"{short(row['target'], PART)} → {short(row['answer'], PART)}" for row in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_ylabel("target → answer")
        axes.set_xlabel("wrong answers; colour: the class that was answered")
        axes.margins(x=0.08)
        gridded(axes, "x")
        headed(figure, title + (f" (the first {MOST} of {len(pairs)} pairs)" if len(pairs) > MOST else ""))
        return render(figure)
