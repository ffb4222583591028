"""The picture of what the stages of a run cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mercli.results.style import STYLE, gridded, headed, render, series

MIB = 1 << 20


def said(title: str, stages: Sequence[Mapping[str, Any]]) -> str:
    """Return what a picture shows: the stage that takes longest, and the one that takes most memory."""
    wall = sum(stage["wall_seconds"] for stage in stages)
    longest = max(stages, key=lambda stage: stage["wall_seconds"])
    share = longest["wall_seconds"] / wall if wall else 1.0
    told = f"{title}: {wall:.1f} s in all; '{longest['stage']}' takes longest ({share:.0%})"
    known = [stage for stage in stages if stage["peak_bytes"] is not None]
    if not known:
        return f"{told}."
    most = max(known, key=lambda stage: stage["peak_bytes"])
    return f"{told}, '{most['stage']}' most memory ({most['peak_bytes'] / MIB:.0f} MiB)."


def picture(stages: Sequence[Mapping[str, Any]], title: str) -> dict[str, bytes]:
    """Return PNG and SVG: wall and CPU seconds of each stage, and its peak of memory."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    places = range(len(stages))
    with rc_context(STYLE):
        figure = Figure((9.0, 0.5 * len(stages) + 1.7), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for number, (key, label) in enumerate((("wall_seconds", "wall"), ("cpu_seconds", "CPU"))):
            heights = [at + 0.38 * (number - 0.5) for at in places]
            left.barh(heights, [stage[key] for stage in stages], height=0.36, color=series(number), label=label)
        peaks = {"main process": [stage["peak_bytes"] or 0 for stage in stages]}
        if any(stage.get("worker_peak_bytes") for stage in stages):
            peaks["largest worker"] = [max(stage.get("worker_peak_bytes", ()), default=0) for stage in stages]
        for number, (label, held) in enumerate(peaks.items()):
            heights = [at + 0.38 * (number - (len(peaks) - 1) / 2) for at in places]
            right.barh(heights, [each / MIB for each in held], height=0.36, color=series(2 + number), label=label)
        left.set_yticks(places, [stage["stage"] for stage in stages])
        left.set_ylim(len(stages) - 0.4, -0.6)
        left.set_xlabel("seconds")
        right.set_xlabel("peak memory, MiB")
        for axes in (left, right):
            gridded(axes, "x")
        headed(figure, title)
        figure.legend(loc="outside lower center", ncols=4)
        return render(figure)
