"""``mer report curves``: how the fits of a run learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mercli import presets, rundir
from mercli.errors import DataError
from mercli.jobs.reports.stored import unfinished
from mercli.labels import FIGURES, WORDS
from mercli.results import curves as drawn
from mercli.results.section import Picture, Section, Table

LOSSES = {"loss": "loss", "dev_loss": "dev loss"}


def curves(run: Path) -> Section:
    """Return loss and dev figures of each epoch, a line per seed (and fold), a picture per held-out corpus and head.

    Raises ``DataError`` where the run has stored no epochs.
    """
    groups: list[dict[str, Any]] = []
    tables, pictures = [], []
    found = _fits(run)
    figures, rest = _figures(found)
    for group, fits in found.items():
        title = f"{run.name}: {group}" if group else run.name
        rows = []
        for fit, epochs in fits.items():
            best = drawn.best_epoch(epochs)
            shown = {key: best.get(key) for key in (*figures, *rest)}
            rows.append({"fit": fit, "epochs": len(epochs), "best_epoch": best["number"], "best": shown})
        groups.append({"group": group, "title": title, "fits": rows, "epochs": fits})
        stem = f"curves-{group.replace(' ', '-')}" if group else "curves-epochs"
        tables.append(_epochs(stem, group or "all", fits, {**figures, **rest}))
        panels = list(figures)[len(LOSSES) :]
        pictures.append(Picture(stem, title, drawn.said(title, rows, panels[0]), **drawn.picture(fits, title, panels)))
    document = {"run": run.name, "groups": groups}
    best_rows = [
        (group["group"] or "all", row["fit"], row["epochs"], row["best_epoch"], *(row["best"][key] for key in figures))
        for group in groups
        for row in group["fits"]
    ]
    columns = ("group", "fit", "epochs", "best", *figures.values())
    whole = Table("curves", "figures of the best epoch", columns, best_rows, keys=2)
    return Section("curves", "Learning curves", document, (whole, *tables), tuple(pictures), unfinished(run))


def _figures(found: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns that are shown, and those for the file: the figures of the kind of scheme that was learned."""
    first = next(epochs[0] for fits in found.values() for epochs in fits.values())
    kind = next((kind for kind, names in FIGURES.items() if first.get(f"dev_{names[0]}") is not None), "one-of")
    dev = {f"dev_{name}": f"dev {WORDS[name]}" for name in FIGURES[kind]}
    shown = dict(list(dev.items())[:3])
    return {**LOSSES, **shown}, {**{key: dev[key] for key in dev if key not in shown}, "lr": "lr"}


def _epochs(
    stem: str, title: str, fits: Mapping[str, Sequence[Mapping[str, Any]]], figures: Mapping[str, str]
) -> Table:
    rows = [
        (fit, epoch["number"], *(epoch.get(key) for key in figures), epoch is drawn.best_epoch(epochs))
        for fit, epochs in fits.items()
        for epoch in epochs
    ]
    columns = ("fit", "epoch", *figures.values(), "kept")
    return Table(stem, f"{title}: every epoch", columns, rows, keys=2, shown=False)


def _fits(run: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the epochs of each fit, by what was held out (and head, where there are several), then seed and fold."""
    rows = [*_stored(run), *_running(run)]
    if not rows:
        raise DataError(f"run '{run.name}' has stored no epochs (it is in progress, or was stopped)", f"ls '{run}'")
    many = len({row.get("head") for row in rows}) > 1
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        without = f"without {row['held_out']}" if "held_out" in row else ""
        group = f"{without}/{row['head']}" if many else without
        fit = f"seed {row['seed']}" + (f", fold {row['fold']}" if "fold" in row else "")
        groups[group][fit].append(row)
    return {group: dict(fits) for group, fits in groups.items()}


def _stored(run: Path) -> Iterator[dict[str, Any]]:
    path = run / "metrics.jsonl"
    return rundir.read_lines(path) if path.is_file() else iter(())


def _running(run: Path) -> Iterator[dict[str, Any]]:
    """Yield the epochs that the checkpoints of a run in progress hold of fits that are not stored yet."""
    told = {(row.get("head"), row.get("held_out")) for row in _stored(run)}
    path = run / "config.yaml"
    own = presets.parse(path.read_text(encoding="utf-8"), path.name) if path.is_file() else {}
    folds = own.get("folds", "official") != "official"
    for path in sorted((run / "checkpoints").glob("**/seed-*.pt")):
        where = _place(path.relative_to(run / "checkpoints").parts, folds)
        if where is not None and (where.get("head"), where.get("held_out")) not in told:
            import torch

            state = torch.load(path, map_location="cpu", weights_only=True)["training"]
            yield from ({**where, **epoch} for epoch in state["epochs"])


def _place(parts: tuple[str, ...], folds: bool) -> dict[str, Any] | None:
    """Return whose a checkpoint is, by its path; ``None`` for those of a matrix or a final bundle.

    ``folds``: whether a run of ``train`` has more than the official splits.
    """
    seed = int(parts[-1].removeprefix("seed-").removesuffix(".pt"))
    match parts[:-1]:
        case (head, fold) if fold.startswith("without-"):
            return {"head": head, "held_out": fold.removeprefix("without-"), "seed": seed}
        case (fold,):
            return ({"fold": int(fold.removeprefix("fold-"))} if folds else {}) | {"seed": seed}
    return None
