"""Training curves: losses and dev figures per epoch, a line per fit, its best epoch marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.labels import WORDS
from mercli.results.style import STYLE, gridded, headed, render, series

LOSSES = ("loss", "dev_loss")
USUAL = ("dev_uar", "dev_accuracy", "dev_weighted_f1")
"""The dev figures that are drawn, three of them, where none are told."""
MOST = 12
"""Fits up to which each is named in the legend."""


def best_epoch(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the epoch whose weights were kept: the last that was the best so far (the first where none says so)."""
    return next((row for row in reversed(rows) if row["best"]), rows[0])


def said(title: str, fits: Sequence[Mapping[str, Any]], main: str = USUAL[0]) -> str:
    """Return what a picture shows: how many fits, when each was best, and how good.

    Fits: epochs, best_epoch and best, which holds the figures of that epoch, among them the ``main`` one.
    """
    best = [fit["best_epoch"] for fit in fits]
    scores = [fit["best"][main] for fit in fits if fit["best"].get(main) is not None]
    when = f"epoch {best[0]}" if len(set(best)) == 1 else f"epochs {min(best)} to {max(best)}"
    reached = f", with a {_words(main)} of {min(scores):.2f} to {max(scores):.2f}" if scores else ""
    return f"{title}: {len(fits)} fits, best in {when}{reached}."


def _words(key: str) -> str:
    return f"dev {WORDS[key.removeprefix('dev_')]}"


def picture(
    fits: Mapping[str, Sequence[Mapping[str, Any]]], title: str, figures: Sequence[str] = USUAL
) -> dict[str, bytes]:
    """Return PNG and SVG of the epochs of each fit by its name; the training loss is solid, that of dev dashed."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(STYLE):
        figure = Figure((9.0, 6.2), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True).flat
        for axes, keys in zip(panels, (LOSSES, *((figure,) for figure in figures)), strict=True):
            for place, rows in enumerate(fits.values()):
                _line(axes, rows, keys, series(place))
            axes.set_ylabel("loss (solid: train, dashed: dev)" if keys is LOSSES else _words(keys[0]))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("epoch")
            gridded(axes)
        handles = [axes.plot([], [], color=series(place), label=name)[0] for place, name in enumerate(fits)][:MOST]
        if len(fits) > MOST:
            handles[-1].set_label(f"... {len(fits)} fits in all")
        handles += axes.plot([], [], "o", color="black", fillstyle="none", label="best epoch")
        figure.legend(handles=handles, loc="outside lower center", ncols=6)
        headed(figure, title)
        return render(figure)


def _line(axes: Any, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], colour: str) -> None:
    best = best_epoch(rows)
    for key, dashes in zip(keys, ("-", "--"), strict=False):
        kept = [row for row in rows if row.get(key) is not None]
        axes.plot([row["number"] for row in kept], [row[key] for row in kept], dashes, color=colour, linewidth=1.3)
        if best.get(key) is not None:
            axes.plot(best["number"], best[key], "o", color=colour, fillstyle="none", markersize=8)
