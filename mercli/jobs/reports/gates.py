"""``mer report gates``: what a head attends to, and how far its gates are open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.errors import DataError
from mercli.fusion.source import source, take
from mercli.jobs.reports import reopening
from mercli.results import weighed
from mercli.results.section import Picture, Section, Table

Found = dict[str, dict[str, list[NDArray[np.float64]]]]


def gates(run: Path, *, data: Path | None = None, segment: str | None = None, most: int = 200) -> Section:
    """Return the gates and attention of a run's bundles on what tested them: means per class, or of one ``segment``.

    Every segment is looked at alone, at most ``most`` of each bundle, evenly taken. Raises ``DataError`` where no head
    tells any weights, where the segment is not among those tested, and where bundles or features are not there.
    """
    made: list[dict[str, Any]] = []
    tables, pictures, notes = [], [], []
    heads: set[str] = set()
    there = False
    for tested in reopening.answering(run, data):
        heads.add(tested.bundle.card.head["name"])
        chosen, total = _chosen(tested, segment, most)
        there = there or bool(len(chosen))
        for extra, found in _weights(tested, chosen, segment).items() if len(chosen) else ():
            own = _shown(run, tested, extra, found)
            pictures.append(own[0])
            made.append(own[1])
            tables.append(_values(own[0].stem, own[1]))
        if len(chosen) < total and segment is None:
            notes.append(f"{tested.group}: {len(chosen)} of {total} segments, evenly taken")
    if segment is not None and not there:
        raise DataError(f"run '{run.name}' has tested no segment '{segment}'", f"head -1 '{run / 'predictions.jsonl'}'")
    if not made:
        named = ", ".join(sorted(heads))
        raise DataError(f"the head '{named}' tells no gates and no attention", "mer train --head gated")
    document = {"run": run.name, "segment": segment, "weights": made}
    notes.append("means of the weights of single segments; maps are means over their heads, too")
    return Section("gates", "Gates and attention", document, (_summary(made), *tables), tuple(pictures), tuple(notes))


def _chosen(tested: reopening.Tested, segment: str | None, most: int) -> tuple[NDArray[np.int64], int]:
    """Return the rows of the segments that are looked at, and how many there are."""
    ids = [each.id for each in tested.data.segments(tested.parts)]
    if segment is not None:
        return np.asarray([row for row, identity in enumerate(ids) if identity == segment], np.int64), len(ids)
    return np.unique(np.linspace(0, len(ids) - 1, min(most, len(ids))).round().astype(np.int64)), len(ids)


def _weights(tested: reopening.Tested, chosen: NDArray[np.int64], segment: str | None) -> Found:
    """Return each extra that holds weights: per class, or for the segment, those of each segment."""
    fitted, names = tested.fitted, tested.data.scheme.names
    examples = tested.data.examples(tested.parts, prior=False).subset(chosen)
    held = source(examples, fitted.stats, tested.data.dims)
    found: Found = defaultdict(lambda: defaultdict(list))
    refused: set[str] = set()
    fitted.head.eval()
    with torch.inference_mode():
        for row, target in enumerate(examples.targets):
            extras = fitted.head(take(held, torch.tensor([row]))).extras
            for name, tensor in extras.items():
                weights = tensor[0].double().numpy()
                if weights.size < 2 or weights.ndim > 3 or weights.min() < 0:
                    refused.add(name)
                else:
                    found[name][segment or names[target]].append(weights)
    told = {name for name, rows in found.items() if any(w.shape[-1] > 1 for row in rows.values() for w in row)}
    return {name: rows for name, rows in found.items() if name in told - refused}


def _shown(
    run: Path, tested: reopening.Tested, extra: str, found: Mapping[str, Sequence[NDArray[np.float64]]]
) -> tuple[Picture, dict[str, Any]]:
    order = [name for name in (*tested.data.scheme.names, *found) if name in found]
    means = weighed.averaged({name: found[name] for name in dict.fromkeys(order)})
    first = next(iter(found.values()))[0]
    maps = first.ndim == 3
    same = not maps and len({weights.shape for row in found.values() for weights in row}) == 1
    labels = tested.bundle.head.modalities if same and first.shape[-1] == len(tested.bundle.head.modalities) else ()
    axes = ("asking row, in time", "row that is looked at, in time") if maps else ("", _axis(labels, same))
    tables = () if maps else getattr(tested.bundle.head, "tables", {}).get(extra, ())
    title = f"{run.name}: {tested.group}, {_words(extra)} of the head '{tested.bundle.card.head['name']}'"
    drawn = weighed.picture(means, labels, axes, title, tables, maps=maps)
    stem = f"gates-{tested.group}-{extra}"
    told = {
        "group": tested.group,
        "extra": extra,
        "tables": tables,
        "rows": [
            {"name": name, "segments": len(found[name]), "mean": weights.tolist()} for name, weights in means.items()
        ],
    }
    return Picture(stem, title, weighed.said(title, means), **drawn), told


def _words(extra: str) -> str:
    return extra.replace("_", " ").replace(".", " ")


def _axis(labels: Sequence[str], same: bool) -> str:
    return "modality" if labels else "unit" if same else f"time in the segment, in {weighed.STEPS} steps"


def _summary(made: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (each["group"], _words(each["extra"]), row["name"], row["segments"], *_figures(row["mean"]))
        for each in made
        for row in each["rows"]
    ]
    return Table("gates", "weights", ("group", "weight", "of", "segments", "mean", "lowest", "highest"), rows, keys=3)


def _figures(means: Any) -> tuple[float, float, float]:
    weights = np.asarray(means)
    return float(weights.mean()), float(weights.min()), float(weights.max())


def _values(stem: str, told: Mapping[str, Any]) -> Table:
    """Return every mean weight with its place, for its file."""
    rows = []
    for row in told["rows"]:
        weights = np.asarray(row["mean"])
        for place in np.ndindex(weights.shape):
            words = [told["tables"][place[0]], *map(str, place[1:])] if told["tables"] else map(str, place)
            rows.append((row["name"], " ".join(words), float(weights[place])))
    return Table(
        stem, f"every weight of {_words(told['extra'])}", ("of", "place", "mean weight"), rows, keys=2, shown=False
    )
