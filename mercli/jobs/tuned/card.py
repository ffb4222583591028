"""The card of a tuned encoder: what it learned from, how well it does on data it never saw, and how to use it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli import __version__
from mercli.config_tune import FinetuneConfig
from mercli.jobs.features.tuned import CARD
from mercli.jobs.fits import dataset, labelling, lessons
from mercli.jobs.fits.lessons import Lesson
from mercli.jobs.tuned import leaks
from mercli.jobs.tuned.bodies import Begun
from mercli.jobs.tuned.examples import Corpora
from mercli.results import metrics, stats
from mercli.rundir import plain, write_text

if TYPE_CHECKING:
    from mercli.contracts import Learner
    from mercli.tuning.examples import Example
    from mercli.tuning.network import Body
    from mercli.tuning.scoring import Answers
    from mercli.tuning.tuner import Tuner


def card_of(
    config: FinetuneConfig,
    corpora: Corpora,
    begun: Begun,
    parts: Mapping[str, Sequence[Example]],
    tested: Answers,
    tuner: Tuner,
    lesson: Lesson | None,
) -> dict[str, Any]:
    """Return the card: encoder, base, data, counts, policy, figures on test; ``trained_on`` names dev, too.

    Dev chose the epoch, so nothing is published for it (DESIGN 7).
    """
    body = begun.body
    before = {"start": inherited(config), lessons.TEACHER: [plain(use) for use in lesson.saw] if lesson else []}
    own = [row for name in corpora.held for row in _seen(name, corpora, parts)]
    return {
        "format": 1,
        "mer": __version__,
        "modality": config.modality,
        "encoder": {"name": body.plugin, "option": body.place},
        "base": {"model": config.encoder, "revision": config.revision, "weights": config.weights},
        "parameters": {"all": begun.whole, "tuned": begun.tuned},
        "classes": list(body.classes),
        "policy": labelling.policy_of(list(corpora.held.values())),
        "trained_on": _once([*before["start"], *before[lessons.TEACHER], *own]),
        "excluded": list(config.exclude),
        "segments": {split: _counts(own, body.classes) for split, own in parts.items()},
        "left_out": {
            "said in another corpus's test split": dict(corpora.left_out),
            "label of no class": dict(corpora.dropped),
            "could not be read": dict(corpora.unread),
            "could not be read in training": dict(sorted(tuner.skipped.reasons.items())),
        },
        "best": {"epoch": _best_epoch(tuner), "chosen_by": "UAR on dev"},
        "figures": {
            f"{name} test": {**row, "seen_by": _seen_by(dataset.identity(corpora.held[name]), before)}
            for name, row in figures(tested, body.classes).items()
        },
        "recipe": config.model_dump(exclude={"data", "runs", "device"}),
    }


def inherited(config: FinetuneConfig) -> list[dict[str, Any]]:
    """Return what the weights that tuning begins with have seen, where their card or the public model's says so.

    Weights may take the place of those of a named model: what either says has been seen counts.
    """
    from mercli.features.embedded.weights import find
    from mercli.features.seeds import checkpoints, smil
    from mercli.tuning.network import named

    name, model = named(config.encoder, config.modality)
    default = smil.AUDIO if name == "smil-audio" else None
    places = [place for place in (config.weights, model or default) if place]
    if name.startswith("embedded-"):
        found = [find(config.modality, place).trained_on for place in places or [""]]
    else:
        known = {smil.AUDIO: smil.AUDIO_SAW, smil.TEXT: smil.TEXT_SAW}
        public = smil.FACE_SAW if name == "smil-face" else ()
        found = [checkpoints.learned(place) or known.get(place, public) for place in places]
    return _once([plain(one) for uses in found for one in uses])


def _seen(name: str, corpora: Corpora, parts: Mapping[str, Sequence[Example]]) -> list[dict[str, Any]]:
    """Return the splits of a corpus that the weights (train) or the choice of the epoch (dev) have seen."""
    who = dataset.identity(corpora.held[name])
    found = []
    for split in ("train", "dev"):
        ids = {example.id for example in parts[split]}
        speakers = {s.speaker for s in corpora.segments[name] if s.id in ids and s.speaker}
        if any(example.corpus == name for example in parts[split]):
            found.append({"corpus": who, "split": split, "speakers": sorted(speakers)})
    return found


def _once(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for number, row in enumerate(rows) if row not in rows[:number]]


def _seen_by(corpus: str, before: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return who had seen the test split before this tuning: the weights that it began with, its teacher."""
    return [
        who
        for who, rows in before.items()
        if any(row["corpus"] == corpus and row["split"] in ("test", "all") for row in rows)
    ]


def _counts(examples: Sequence[Example], classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(classes[example.label] for example in examples)
    return {name: counts[name] for name in classes}


def _best_epoch(tuner: Tuner) -> int | None:
    rows = [row for row in tuner.state.log_history if "eval_uar" in row]
    return round(max(rows, key=lambda row: row["eval_uar"])["epoch"]) if rows else None


def figures(found: Answers, classes: Sequence[str]) -> dict[str, Any]:
    """Return each corpus's UAR, accuracy and weighted F1 with intervals clustered by speaker; {} without answers."""
    import numpy as np

    rows: dict[str, list[int]] = {}
    for place, example in enumerate(found.examples):
        rows.setdefault(example.corpus, []).append(place)
    made: dict[str, dict[str, Any]] = {}
    for corpus, own in sorted(rows.items()):
        targets = np.asarray([found.examples[i].label for i in own])
        predicted = found.logits[own].argmax(1).numpy()
        clusters = [found.examples[i].cluster for i in own]
        scores = {"uar": metrics.uar_of, "accuracy": metrics.accuracy_of, "weighted_f1": metrics.weighted_f1_of}
        counts = metrics.confusion(targets, predicted, len(classes)).astype(float)
        made[corpus] = {"segments": len(own), "clusters": len(set(clusters))}
        for name, score in scores.items():
            low, high = stats.clustered_interval(score, targets, predicted, clusters, len(classes))
            interval = None if np.isnan(low) else [round(low, 4), round(high, 4)]
            made[corpus][name] = {"value": round(float(score(counts)), 4), "interval": interval}
    return made


def write(folder: Path, body: Body | Learner, card: Mapping[str, Any]) -> None:
    """Write weights and configuration as the encoder reads them, the card, and a README; the card comes last."""
    from mercli.features.hf_models import quiet

    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        body.save(folder)
    write_text(folder / "README.md", _readme(card))
    write_text(folder / CARD, json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")


def _readme(card: Mapping[str, Any]) -> str:
    learnt = "; ".join(f"{row['corpus']} {row['split']}" for row in card["trained_on"])
    lines = [
        f"# {card['modality']} encoder, tuned from {card['base']['model']}",
        "",
        f"Classes: {', '.join(card['classes'])} (policy {card['policy']}). Learned from, or chosen on: {learnt}.",
        *([f"Excluded: {', '.join(card['excluded'])}."] if card["excluded"] else []),
        *(
            [f"Figures: of it, its run's other encoders and their head `{card['head']}` together."]
            if "head" in card
            else []
        ),
        "",
        *(_table(card["figures"]) or ["There are no figures: no segment of a test split could be scored."]),
        "",
        *leaks.sentences(card["audit"]),
        "",
        "Use: `mer extract --corpora NAME --encoder DIR`, where DIR is the path of this folder. Licence: that of the",
        "base model or of the corpora above, whichever allows less. Not for judging people at work, at school, or in",
        "clinical or legal matters.",
    ]
    return "\n".join(lines) + "\n"


def _table(figures: Mapping[str, Any]) -> list[str]:
    """Return the lines of the table of figures, with what its marks mean; none where there are no figures."""
    if not figures:
        return []
    lines = ["| data | figure | value | 95 % interval by speaker | segments |", "|---|---|--:|---|--:|"]
    for place, row in figures.items():
        for name in ("uar", "accuracy", "weighted_f1"):
            interval = row[name]["interval"]
            shown = f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else ""
            value = f"{row[name]['value']:.3f}"
            lines.append(f"| {place}{marks(row)} | {name} | {value} | {shown} | {row['segments']} |")
    notes = []
    if any(row["seen_by"] for row in figures.values()):
        notes.append("† the weights that it began with, or its teacher, had seen this data.")
    if any(row["leaks"] for row in figures.values()):
        notes.append(leaks.LEGEND)
    for place, row in figures.items():
        if stats.too_few(row["clusters"]):
            own = f"only {row['clusters']} speakers, dialogues or clips"
            notes.append(f"{place}: the intervals are drawn from {own}, too few to rely on.")
    return [*lines, *(["", *notes] if notes else [])]


def marks(row: Mapping[str, Any]) -> str:
    """Return what stands behind a figure's data: that it was seen before, that it rests on a leak."""
    return ("†" if row["seen_by"] else "") + (leaks.MARK if row["leaks"] else "")
