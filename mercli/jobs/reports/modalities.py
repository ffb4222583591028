"""``mer report modalities``: what each modality contributes, and what is lost without it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mercli.errors import ConfigError
from mercli.fusion import dialogues, loop, readout
from mercli.fusion.batch import subset_of
from mercli.fusion.source import source
from mercli.jobs.fits import fitting
from mercli.jobs.reports import reopening
from mercli.results import contributions
from mercli.results.contributions import GAMES, Answers
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table


def modalities(run: Path, *, data: Path | None = None, value: str = "uar") -> Section:
    """Return every subset's score on the run's own test parts, each modality's exact Shapley share, what is missing.

    The run's bundles (the best seed of each) answer again with modalities taken away; ``value`` is the game that is
    drawn: ``uar`` or ``likelihood``. Raises ``DataError`` where bundles or features are not there.
    """
    if value not in GAMES:
        raise ConfigError(f"--value '{value}' is unknown, expected {' or '.join(GAMES)}", "--value uar")
    answered: dict[str, list[Answers]] = defaultdict(list)
    missing: dict[tuple[str, str], Counter[str]] = {}
    for tested in reopening.answering(run, data):
        answered[tested.group].append(_answers(tested))
        _count(tested, missing)
    groups = [_group(name, _joined(parts)) for name, parts in answered.items()]
    pictures = []
    for group in groups:
        title = f"{run.name}: {group['group']}"
        found = group["shares"][value]
        told = contributions.said(title, group["subsets"], found, value)
        drawn = contributions.picture(group["subsets"], found, value, title)
        pictures.append(Picture(f"modalities-{group['group']}", title, told, **drawn))
    absent = _absent(missing)
    document = {"run": run.name, "value": value, "groups": groups, "missing": absent}
    notes = (
        "answered again by the run's bundles: of several seeds the one that was best on dev",
        "a segment that has none of a subset is answered by chance",
        "shares: exact Shapley values; those of UAR sum to UAR - chance, those of log-likelihood to its gain in nats",
    )
    return Section("modalities", "Modalities", document, _tables(groups, value, absent), tuple(pictures), notes)


def _answers(tested: reopening.Tested) -> Answers:
    """Return what a bundle answers to its test part with each subset of its modalities."""
    fitted, classes = tested.fitted, len(tested.data.scheme.names)
    examples = tested.data.examples(tested.parts, prior=False, talk=dialogues.asks(fitted.head))
    present = source(examples, fitted.stats, tested.data.dims, resident=False).present.numpy()
    hits, log_p, answered = {}, {}, {}
    for subset in contributions.subsets(examples.modalities):
        own = np.asarray(present[:, [m in subset for m in examples.modalities]].any(1))
        hits[subset], log_p[subset] = contributions.chance(len(examples), classes)
        answered[subset] = int(own.sum())
        if own.any():
            rows = np.flatnonzero(own)
            held = source(examples.subset(rows), fitted.stats, tested.data.dims)
            logits = loop.predict(fitted.head, held, lambda batch, s=subset: subset_of(batch, s))  # type: ignore[misc]
            found = readout.calibrated(
                logits.double().numpy(), tested.data.scheme, fitted.temperature, fitted.held_prior
            )
            targets = examples.targets[rows]
            hits[subset][rows] = found.argmax(1) == targets
            log_p[subset][rows] = found[np.arange(len(rows)), targets]
    clusters = [fitting.cluster(segment) for segment in tested.data.segments(tested.parts)]
    names = tested.data.scheme.names
    return Answers(examples.modalities, names, examples.targets, clusters, hits, log_p, answered)


def _joined(parts: Sequence[Answers]) -> Answers:
    """Return the folds of a cross-validation as one."""
    first = parts[0]
    return Answers(
        first.modalities,
        first.names,
        np.concatenate([part.targets for part in parts]),
        [cluster for part in parts for cluster in part.clusters],
        {subset: np.concatenate([part.hits[subset] for part in parts]) for subset in first.hits},
        {subset: np.concatenate([part.log_p[subset] for part in parts]) for subset in first.log_p},
        {subset: sum(part.answered[subset] for part in parts) for subset in first.answered},
    )


def _group(name: str, answers: Answers) -> dict[str, Any]:
    return {
        "group": name,
        "segments": len(answers.targets),
        "clusters": len(set(answers.clusters)),
        "subsets": contributions.scores(answers),
        "shares": {game: contributions.shares(answers, game) for game in GAMES},
    }


def _count(tested: reopening.Tested, missing: dict[tuple[str, str], Counter[str]]) -> None:
    """Count, per corpus and modality, the segments that have it (``""``) and why the others have not."""
    bundles = tested.data.examples(tested.parts, prior=False).bundles
    for modality in tested.data.dims:
        place = (tested.parts[0][0], modality)
        missing.setdefault(place, Counter()).update(bundle.missing.get(modality, "") for bundle in bundles)


def _absent(missing: dict[tuple[str, str], Counter[str]]) -> list[dict[str, Any]]:
    rows = []
    for (corpus, modality), reasons in missing.items():
        gone = sorted((pair for pair in reasons.items() if pair[0]), key=lambda pair: (-pair[1], pair[0]))
        count = sum(n for _, n in gone)
        total = sum(reasons.values())
        where = {"corpus": corpus, "modality": modality, "segments": total}
        rows.append({**where, "missing": count, "share": count / total, "why": dict(gone)})
    return rows


def _tables(groups: list[dict[str, Any]], value: str, absent: list[dict[str, Any]]) -> tuple[Table, ...]:
    scores = [
        (
            group["group"],
            contributions.named(row["modalities"]),
            row["answered"],
            row["uar"],
            Interval(*row["uar_interval"]) if row["uar_interval"] else None,
            row["against_all"],
            row["accuracy"],
            row["log_likelihood"],
        )
        for group in groups
        for row in group["subsets"]
    ]
    columns = ("group", "modalities", "n", "UAR", INTERVAL, "against all", "accuracy", "log p")
    gone = [(*(row[k] for k in ("corpus", "modality", "segments", "missing", "share")), _why(row)) for row in absent]
    return (
        Table("modalities", "every subset of modalities (n: segments that have any of it)", columns, scores, keys=2),
        *(_shares(groups, game, shown=game == value) for game in GAMES),
        Table(
            "modalities-missing",
            "what is missing",
            ("corpus", "modality", "segments", "missing", "share missing", "why, most often"),
            gone,
            keys=2,
        ),
    )


def _why(row: dict[str, Any]) -> str | None:
    return next(iter(row["why"]), None)


def _shares(groups: list[dict[str, Any]], game: str, *, shown: bool) -> Table:
    players = list(dict.fromkeys(name for group in groups for name in group["shares"][game][-1]["shares"]))
    rows = [
        (group["group"], row["class"], row["segments"], *(row["shares"].get(player) for player in players))
        for group in groups
        for row in group["shares"][game]
    ]
    title = f"exact Shapley shares of {GAMES[game]}, per class"
    return Table(f"modalities-{game}", title, ("group", "class", "segments", *players), rows, keys=2, shown=shown)
