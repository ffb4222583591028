"""``mer report projection``: what features look like before fusion, and what the head makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mercli.errors import ConfigError
from mercli.fusion import dialogues
from mercli.fusion.batch import Examples, pooled
from mercli.fusion.source import Source, parts, source, take
from mercli.jobs.fits import fitting
from mercli.jobs.reports import reopening
from mercli.results import projected
from mercli.results.section import Picture, Section, Table

COLOURS = ("emotion", "corpus", "speaker")


def projection(
    run: Path, *, data: Path | None = None, method: str = "pca", colour: str = "emotion", most: int = 2000
) -> Section:
    """Return each modality's pooled features and the head's last vectors, on a plane, for each bundle of a run.

    Shown are what the bundle was tested on and the other corpora's test splits, at most ``most`` segments, evenly
    taken. Raises ``DataError`` where bundles or features are not there, ``MissingExtra`` for UMAP that is not.
    """
    for given, known, name in ((method, projected.METHODS, "method"), (colour, COLOURS, "colour")):
        if given not in known:
            raise ConfigError(f"--{name} '{given}' is unknown, expected {', '.join(known)}", f"--{name} {known[0]}")
    made: list[dict[str, Any]] = []
    tables, pictures, notes = [], [], []
    seen: set[str] = set()
    for tested in reopening.answering(run, data):
        if tested.name in seen:
            continue
        seen.add(tested.name)
        points = _Points(tested, most)
        groups = points.groups(colour)
        panels = [
            projected.project(name, rows, vectors, [groups[row] for row in rows], method)
            for name, rows, vectors in points.vectors()
        ]
        title = f"{run.name}: {tested.name}"
        drawn = projected.picture(panels, groups, f"{title}, {method.upper()}, coloured by {colour}")
        stem = f"projection-{tested.name}"
        pictures.append(Picture(stem, title, projected.said(title, panels, colour), **drawn))
        tables.append(_table(stem, points, panels))
        made.append({"bundle": tested.name, "segments": len(points.ids), "of": points.total, "panels": _told(panels)})
        if len(points.ids) < points.total:
            notes.append(f"{tested.name}: {len(points.ids)} of {points.total} segments are shown, evenly taken")
    rows = [(each["bundle"], *panel.values()) for each in made for panel in each["panels"]]
    whole = Table("projection", f"{method.upper()}, by {colour}", ("bundle", "of", "n", "held", "silhouette"), rows, 2)
    document = {"run": run.name, "method": method, "colour": colour, "bundles": made}
    held = "held: the share of the variance that the plane has; silhouette: how far groups stand apart (-1 to 1)"
    return Section("projection", "Projection", document, (whole, *tables), tuple(pictures), (*notes, held))


def _told(panels: list[projected.Panel]) -> list[dict[str, Any]]:
    return [
        {
            "name": panel.name,
            "segments": len(panel.rows),
            "held": sum(panel.held) if panel.held else None,
            "silhouette": panel.silhouette,
        }
        for panel in panels
    ]


class _Points:
    """The segments that are shown of a bundle, and their vectors before and after fusion."""

    def __init__(self, tested: reopening.Tested, most: int) -> None:
        every = [*tested.parts, *tested.others]
        self.fitted = tested.fitted
        examples = tested.data.examples(every, prior=False, talk=dialogues.asks(self.fitted.head))
        segments = tested.data.segments(every)
        self.total = len(examples)
        chosen = np.unique(np.linspace(0, self.total - 1, min(most, self.total)).round().astype(np.int64))
        self.examples: Examples = examples.subset(chosen)
        self.held: Source = source(self.examples, self.fitted.stats, tested.data.dims)
        self.ids = [segments[row].id for row in chosen]
        self.corpora = [examples.corpora[row] for row in chosen]
        self.speakers = [f"{c}/{fitting.cluster(segments[row])}" for c, row in zip(self.corpora, chosen, strict=True)]
        self.labels = [tested.data.scheme.names[target] for target in self.examples.targets]

    def groups(self, colour: str) -> list[str]:
        """Return what each segment is coloured by."""
        return {"emotion": self.labels, "corpus": self.corpora, "speaker": self.speakers}[colour]

    def vectors(self) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float64]]]:
        """Yield a name, the rows of the segments that have it, and their vectors (n, D)."""
        before: dict[str, list[torch.Tensor]] = {modality: [] for modality in self.held.modalities}
        after: list[torch.Tensor] = []
        order = list(parts(self.held))
        name = "logits"
        with torch.inference_mode():
            for index in order:
                batch = take(self.held, index)
                for modality, found in before.items():
                    found.append(pooled(batch.values[modality], batch.valid[modality]))
                name, last = last_vectors(self.fitted.head, batch)
                after.append(last)
        back = torch.cat(order).argsort()
        for number, (modality, found) in enumerate(before.items()):
            rows = np.flatnonzero(self.held.present[:, number].numpy())
            if len(rows) > 1:
                yield f"{modality}, before fusion", rows, torch.cat(found)[back].double().numpy()[rows]
        yield f"{name}, after fusion", np.arange(len(self.ids)), torch.cat(after)[back].double().numpy()


def last_vectors(head: Any, batch: Any) -> tuple[str, torch.Tensor]:
    """Return what the layer that makes the logits is given (B, D), or the logits (B, K) where no one layer does."""
    given: list[tuple[torch.Tensor, torch.Tensor]] = []
    linear = [module for module in head.modules() if isinstance(module, torch.nn.Linear)]
    hooks = [m.register_forward_hook(lambda _, inputs, output: given.append((inputs[0], output))) for m in linear]
    try:
        head.eval()
        logits = head(batch).logits
    finally:
        for hook in hooks:
            hook.remove()
    found = [inputs for inputs, output in given if output is logits]
    return ("penultimate layer", found[0]) if found else ("logits", logits)


def _table(stem: str, points: _Points, panels: list[projected.Panel]) -> Table:
    """Return every point of every panel, for its file."""
    rows = [
        (panel.name, points.ids[row], points.corpora[row], points.speakers[row], points.labels[row], *map(float, point))
        for panel in panels
        for row, point in zip(panel.rows, panel.points, strict=True)
    ]
    columns = ("of", "id", "corpus", "speaker", "emotion", "x", "y")
    return Table(stem, f"points of {stem}", columns, rows, keys=2, shown=False)
