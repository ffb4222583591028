"""How labels are spread over corpora and splits, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.results.style import PART, STYLE, columns, gridded, headed, palette, render, short

MOST = 12
"""Classes that have a colour of their own in the picture; the rest are drawn as one."""


def said(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the part whose most frequent class has the largest share, and how large parts are.

    Rows: corpus, split, n, counts {class: n}.
    """
    parts = []
    for row in rows:
        name, count = max(row["counts"].items(), key=lambda pair: pair[1])
        parts.append(
            (count / max(row["n"], 1), f"{row['corpus']} {row['split']} ({name} {count / max(row['n'], 1):.0%})")
        )
    least, most = (sorted(parts)[at][1] for at in (0, -1))
    total = sum(row["n"] for row in rows)
    return f"{title}: {total} segments; most even is {least}, least even {most}."


def picture(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a bar of class shares per corpus and split, with how many segments it has."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = _names(rows)
    colours = {**palette(names), "others": "#DDDDDD"}
    with rc_context(STYLE):
        figure = Figure((8.0, 0.36 * len(rows) + 1.8), layout="constrained")
        axes = figure.subplots()
        for at, row in enumerate(rows):
            left = 0.0
            for name in [*names, "others"]:
                count = (
                    row["n"] - sum(row["counts"].get(n, 0) for n in names)
                    if name == "others"
                    else row["counts"].get(name, 0)
                )
                width = count / max(row["n"], 1)
                axes.barh(at, width, left=left, height=0.75, color=colours[name], edgecolor="white", linewidth=0.5)
                left += width
        axes.set_yticks(range(len(rows)), [f"{short(row['corpus'], PART)} {row['split']} ({row['n']})" for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of the segments (their number in brackets)")
        gridded(axes, "x")
        others = ["others"] if any(set(row["counts"]) - set(names) for row in rows) else []
        for name in [*names, *others]:
            axes.bar(0, 0, color=colours[name], label=name)
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=columns(figure, [*names, *others], 7))
        return render(figure)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the classes that are drawn: in the scheme's order, the most frequent where there are many."""
    total: dict[str, int] = {}
    for row in rows:
        for name, count in row["counts"].items():
            total[name] = total.get(name, 0) + count
    kept = set(sorted(total, key=lambda name: -total[name])[:MOST])
    return [name for name in total if name in kept]
