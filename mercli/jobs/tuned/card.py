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
from mercli.jobs.fits import dataset
from mercli.jobs.tuned.examples import Corpora
from mercli.results import metrics, stats
from mercli.rundir import plain, write_text

if TYPE_CHECKING:
    from mercli.tuning.examples import Example
    from mercli.tuning.network import Body
    from mercli.tuning.scoring import Answers
    from mercli.tuning.tuner import Tuner


def card_of(
    config: FinetuneConfig,
    corpora: Corpora,
    body: Body,
    parts: Mapping[str, Sequence[Example]],
    tested: Answers,
    tuner: Tuner,
) -> dict[str, Any]:
    """Return the card: encoder, base, data, counts, policy, figures on test; ``trained_on`` names dev, too.

    Dev chose the epoch, so nothing is published for it (DESIGN 7).
    """
    return {
        "format": 1,
        "mer": __version__,
        "modality": config.modality,
        "encoder": {"name": body.plugin, "option": body.place},
        "base": {"model": config.encoder, "revision": config.revision, "weights": config.weights},
        "classes": list(body.classes),
        "policy": dataset.policy_of(list(corpora.held.values())),
        "trained_on": [*_inherited(config), *(row for name in corpora.held for row in _seen(name, corpora, parts))],
        "excluded": list(config.exclude),
        "segments": {split: _counts(own, body.classes) for split, own in parts.items()},
        "left_out": {
            "said in another corpus's test split": dict(corpora.left_out),
            "label of no class": dict(corpora.dropped),
            "could not be read in training": dict(sorted(tuner.skipped.reasons.items())),
        },
        "best": {"epoch": _best_epoch(tuner), "chosen_by": "UAR on dev"},
        "figures": {f"{name} test": row for name, row in figures(tested, body.classes).items()},
        "recipe": config.model_dump(exclude={"data", "runs", "device"}),
    }


def _inherited(config: FinetuneConfig) -> list[dict[str, Any]]:
    """Return what the weights that tuning began with had seen, where their card or the public model's says so."""
    from mercli.features.seeds import checkpoints, smil
    from mercli.tuning.network import named

    name, model = named(config.encoder, config.modality)
    start = config.weights or model or {"smil-audio": smil.AUDIO}.get(name, "")
    known = {smil.AUDIO: smil.AUDIO_SAW, smil.TEXT: smil.TEXT_SAW}
    if name == "smil-face":
        known[start] = smil.FACE_SAW
    return [plain(one) for one in checkpoints.learned(start) or known.get(start, ())]


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


def write(folder: Path, body: Body, card: Mapping[str, Any]) -> None:
    """Write weights and configuration as the encoder reads them, the card, and a README; the card comes last."""
    from mercli.features.hf_models import quiet

    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        body.save(folder)
    write_text(folder / "README.md", _readme(folder, card))
    write_text(folder / CARD, json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")


def _readme(folder: Path, card: Mapping[str, Any]) -> str:
    learnt = "; ".join(f"{row['corpus']} {row['split']}" for row in card["trained_on"])
    lines = [
        f"# {card['modality']} encoder, tuned from {card['base']['model']}",
        "",
        f"Classes: {', '.join(card['classes'])} (policy {card['policy']}). Learned from, or chosen on: {learnt}.",
        *([f"Excluded: {', '.join(card['excluded'])}."] if card["excluded"] else []),
        "",
        "| data | figure | value | 95 % interval by speaker | segments |",
        "|---|---|--:|---|--:|",
    ]
    for data, row in card["figures"].items():
        for name in ("uar", "accuracy", "weighted_f1"):
            interval = row[name]["interval"]
            shown = f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else ""
            lines.append(f"| {data} | {name} | {row[name]['value']:.3f} | {shown} | {row['segments']} |")
    lines += [
        "",
        f"Use: `mer extract --corpora NAME --encoder {folder.name}` (this folder). Licence: that of the base model or",
        "of the corpora above, whichever allows less. Not for judging people at work, at school, or in clinical or",
        "legal matters.",
    ]
    return "\n".join(lines) + "\n"
