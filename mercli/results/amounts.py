"""How often labels are there and how values are spread over corpora and splits, and their pictures.

Parts: corpus, split, and the targets (N, K) of its segments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.results.style import INK, STYLE, gridded, headed, render, series

QUANTILES = {"lowest": 0.0, "quarter": 0.25, "median": 0.5, "three quarters": 0.75, "highest": 1.0}


def labels(corpus: str, split: str, targets: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    """Return how many segments of a part have each label, how many none, and how many labels one has on average."""
    there = targets > 0
    return {
        "corpus": corpus,
        "split": split,
        "n": len(targets),
        "counts": {name: int(count) for name, count in zip(names, there.sum(0), strict=True)},
        "without": int((~there.any(1)).sum()),
        "labels": float(there.sum(1).mean()),
    }


def values(corpus: str, split: str, targets: NDArray[np.float64], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return mean, standard deviation and quartiles of each dimension of a part."""
    return [
        {"corpus": corpus, "split": split, "dimension": name, "n": len(own)}
        | {"mean": float(own.mean()), "sd": float(own.std())}
        | {word: float(np.quantile(own, at)) for word, at in QUANTILES.items()}
        for name, own in zip(names, targets.T, strict=True)
    ]


def said_of_labels(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the labels that are there most and least often in all parts together."""
    total = {name: sum(row["counts"][name] for row in rows) for name in rows[0]["counts"]}
    order = sorted(total, key=lambda name: -total[name])
    return f"{title}: of {sum(row['n'] for row in rows)} segments most have {order[0]}, fewest {order[-1]}."


def said_of_values(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the mean of each dimension in each part."""
    parts = [f"{row['corpus']} {row['split']} {row['dimension']} {row['mean']:.2f}" for row in rows]
    return f"{title}, means: {', '.join(parts)}."


def picture_of_labels(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a row a part, a column a label, the share of the part's segments that have it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(rows[0]["counts"])
    shares = np.asarray([[row["counts"][name] / max(row["n"], 1) for name in names] for row in rows])
    with rc_context(STYLE):
        figure = Figure((max(5.0, 0.7 * len(names) + 3.0), 0.42 * len(rows) + 1.8), layout="constrained")
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
        for (y, x), share in np.ndenumerate(shares):
            axes.text(x, y, f"{share:.2f}", ha="center", va="center", color="white" if share < 0.5 else INK, fontsize=8)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(rows)), [f"{row['corpus']} {row['split']} ({row['n']})" for row in rows])
        figure.colorbar(image, ax=axes, label="share of the segments")
        headed(figure, title)
        return render(figure)


def picture_of_values(rows: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: a panel a dimension, a box a part (quartiles; whiskers to the lowest and highest)."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(row["dimension"] for row in rows))
    parts = [row for row in rows if row["dimension"] == names[0]]
    with rc_context(STYLE):
        figure = Figure((3.0 * len(names) + 2.0, 0.4 * len(parts) + 1.5), layout="constrained")
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
            keys = zip(("whislo", "q1", "med", "q3", "whishi"), QUANTILES, strict=True)
            own = [row for row in rows if row["dimension"] == name]
            words = list(keys)
            boxes = [{key: row[word] for key, word in words} for row in own]
            style = {"color": series(place)}
            axes.bxp(boxes, orientation="horizontal", showfliers=False, boxprops=style, medianprops=style)
            axes.set_xlabel(name)
            gridded(axes, "x")
        panels[0].set_yticks(
            range(1, len(parts) + 1), [f"{row['corpus']} {row['split']} ({row['n']})" for row in parts]
        )
        panels[0].invert_yaxis()
        headed(figure, title)
        return render(figure)
