"""Per-class differences of two models, and their picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.results.style import PART, STYLE, emotion, gridded, headed, render, short

COLUMNS = ("class", "a", "b", "difference", "answers")
"""What is known of a class, in the order of a row."""
MOST = 30
"""Classes of a corpus that are drawn: those that differ most."""


def recalls(targets: Sequence[str], one: Sequence[str], other: Sequence[str]) -> list[dict[str, Any]]:
    """Return each class that occurs with both models' recalls, their difference and how many answers it rests on."""
    rows = []
    for name in sorted(set(targets)):
        at = [index for index, target in enumerate(targets) if target == name]
        mine, theirs = (sum(labels[index] == name for index in at) / len(at) for labels in (one, other))
        rows.append({"class": name, "a": mine, "b": theirs, "difference": mine - theirs, "answers": len(at)})
    return rows


def said(title: str, corpora: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: each corpus's difference of UAR, and the class that differs most."""
    parts = []
    for corpus in corpora:
        widest = max(corpus["classes"], key=lambda row: abs(row["difference"]))
        uar = f"{corpus['corpus']}: A's UAR is {corpus['difference']:+.3f} against B's"
        parts.append(f"{uar}, most in {widest['class']} ({widest['difference']:+.3f} recall)")
    return f"{title}. {'; '.join(parts)}."


def _widest(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows that are drawn, in their order."""
    kept = sorted(range(len(rows)), key=lambda at: -abs(rows[at]["difference"]))[:MOST]
    return [rows[at] for at in sorted(kept)]


def picture(corpora: Sequence[Mapping[str, Any]], one: str, other: str) -> dict[str, bytes]:
    """Return PNG and SVG: per corpus a panel of recall differences, classes in their own colours.

    Corpora: corpus, difference, p_holm and classes (as ``recalls`` gives them).
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    drawn = [(corpus, _widest(corpus["classes"])) for corpus in corpora]
    heights = [0.26 * len(rows) + 0.55 for _, rows in drawn]
    with rc_context(STYLE):
        figure = Figure((6.5, min(40.0, sum(heights) + 1.3)), layout="constrained")
        panels = figure.subplots(len(corpora), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (corpus, rows) in zip(panels, drawn, strict=True):
            values = [row["difference"] for row in rows]
            axes.barh(range(len(rows)), values, color=[emotion(row["class"]) for row in rows], height=0.7)
            axes.axvline(0, color="black", linewidth=0.8)
            axes.set_yticks(range(len(rows)), [f"{row['class']} ({row['answers']})" for row in rows])
            axes.set_ylim(len(rows) - 0.4, -0.6)
            p = "" if corpus["p_holm"] is None else f", p (Holm) {corpus['p_holm']:.3f}"
            axes.set_title(
                f"{short(corpus['corpus'], PART)}: UAR {corpus['difference']:+.3f}{p}", loc="left", fontsize=9
            )
            gridded(axes, "x")
        widest = max(0.05, *(abs(row["difference"]) for corpus in corpora for row in corpus["classes"]))
        panels[-1].set_xlim(-1.05 * widest, 1.05 * widest)
        panels[-1].set_xlabel("recall of A less that of B (answers in brackets)")
        headed(figure, f"A: {one}", f"B: {other}")
        return render(figure)
