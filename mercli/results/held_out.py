"""Pictures of leaving corpora out: each one's score with its interval, and who learns from whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mercli.results.style import INK, STYLE, columns, gridded, headed, render, series


def said(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what the picture of scores shows: the corpora that are reached best and worst, beside their chance.

    Of those that an encoder has seen none is told, unless there is no other.
    """
    unseen = [row for row in rows if not row["seen_by"]]
    order = sorted(unseen or rows, key=lambda row: -row["uar"])
    told = [
        f"{row['corpus']} ({row['head']}) with a UAR of {row['uar']:.2f}, chance {1 / row['classes']:.2f}"
        for row in (order[0], order[-1])
    ]
    return f"{title}: best is {told[0]}" + (f"; worst is {told[1]}." if len(order) > 1 else ".")


def transferred(title: str, cells: Sequence[Mapping[str, Any]]) -> str:
    """Return what a matrix shows of data that no encoder has seen: mean UAR on a model's own corpus and on others, and
    the best pair of two corpora.
    """
    unseen = [cell for cell in cells if not cell["seen_by"]]
    own = [cell["uar"] for cell in unseen if cell["trained_on"] == cell["tested_on"]]
    other = [cell for cell in unseen if cell["trained_on"] != cell["tested_on"]]
    if not other:
        return f"{title}: no model of one corpus was tested on another that its encoders have not seen."
    best = max(other, key=lambda cell: cell["uar"])
    means = f"on other corpora the mean UAR is {np.mean([cell['uar'] for cell in other]):.2f}"
    at_home = f", on a model's own {np.mean(own):.2f}" if own else ""
    return f"{title}: {means}{at_home}; best is {best['trained_on']} for {best['tested_on']} ({best['uar']:.2f})."


def scores(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of held-out UARs: mean and interval, each seed as a dot, chance as a tick.

    Rows as ``mer report loco`` writes them: corpus, head, uar, uar_seeds, low, high, classes, seen_by (†).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    heads = list(dict.fromkeys(row["head"] for row in rows))
    corpora = list(dict.fromkeys(row["corpus"] for row in rows))
    with rc_context(STYLE):
        figure = Figure((6.5, 0.35 * len(rows) + 0.3 * len(corpora) + 1.6), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            place = heads.index(row["head"])
            at = corpora.index(row["corpus"]) + (place - (len(heads) - 1) / 2) * 0.7 / len(heads)
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [at, at], color=series(place), linewidth=1.5)
            axes.plot(row["uar_seeds"], [at] * len(row["uar_seeds"]), ".", color=series(place), alpha=0.4, markersize=5)
            axes.plot(row["uar"], at, "o", color=series(place), markersize=7)
            if row["seen_by"]:
                axes.annotate("†", (row["uar"], at), (5, 2), textcoords="offset points")
            axes.plot(1 / row["classes"], at, "|", color="black", markersize=12)
        for place, head in enumerate(heads):
            axes.plot([], [], "o", color=series(place), label=head)
        axes.plot([], [], "|", color="black", markersize=12, label="chance (1 / classes)")
        axes.set_yticks(range(len(corpora)), corpora)
        axes.set_ylim(len(corpora) - 0.5, -0.5)
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylabel("held out")
        axes.set_xlabel("UAR, with 95 % interval; small dots are seeds")
        gridded(axes, "x")
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=columns(figure, [*heads, "chance (1 / classes)"], 4))
        return render(figure)


def matrix(cells: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of UARs: a row per corpus trained on, a column per corpus tested on, intervals within.

    Cells: trained_on, tested_on, uar, low, high, seen_by (†); what was not measured stays white.
    """
    names = list(dict.fromkeys([cell["trained_on"] for cell in cells] + [cell["tested_on"] for cell in cells]))
    held = {(cell["trained_on"], cell["tested_on"]): cell for cell in cells}
    return _grid(held, names, names, ("trained on", "tested on"), title)


def encoders(table: Mapping[str, Any], title: str) -> dict[str, bytes]:
    """Return PNG and SVG of UARs: a row per row of encoders, a column per held-out corpus (``results.encoders``)."""
    held = {(row["encoder"], corpus): cell for row in table["rows"] for corpus, cell in row["cells"].items()}
    names = [row["encoder"] for row in table["rows"]]
    return _grid(held, names, table["corpora"], ("encoders", "held out"), title)


def _grid(
    cells: Mapping[tuple[str, str], Mapping[str, Any]],
    down: Sequence[str],
    across: Sequence[str],
    axis: tuple[str, str],
    title: str,
) -> dict[str, bytes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    values = np.full((len(down), len(across)), np.nan)
    with rc_context(STYLE):
        wide, high = (max(4.5, 1.05 * len(names) + 2.0) for names in (across, down))
        figure = Figure((wide, high * 0.85), layout="constrained")
        axes = figure.subplots()
        for (row, column), cell in cells.items():
            y, x = down.index(row), across.index(column)
            values[y, x] = cell["uar"]
            text = f"{cell['uar']:.2f}" + ("†" if cell["seen_by"] else "")
            text += "" if cell["low"] is None else f"\n{cell['low']:.2f}-{cell['high']:.2f}"
            axes.text(x, y, text, ha="center", va="center", color="white" if cell["uar"] < 0.5 else INK, fontsize=8)
        image = axes.imshow(values, cmap="cividis", vmin=0, vmax=1)
        axes.set_xticks(range(len(across)), across, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(down)), down)
        axes.set_ylabel(axis[0])
        axes.set_xlabel(axis[1])
        figure.colorbar(image, ax=axes, shrink=0.8, label="UAR")
        headed(figure, title)
        return render(figure)
