"""``mer loco``: leave one corpus out; nothing of it reaches training, statistics, early stopping or calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mercli import log, rundir
from mercli.config import LocoConfig
from mercli.jobs import audit, dataset, fitting
from mercli.types import Prediction


@dataclass(frozen=True)
class Loco:
    """The run folder, one row per held-out corpus, and the mean over those that no encoder has seen."""

    run: Path
    rows: list[dict[str, Any]]
    mean_uar: float | None


def loco(config: LocoConfig) -> Loco:
    """Train on the others' train splits (early stopping on their dev), score each held-out corpus (DESIGN 7)."""
    audit.refuse_leaks(config)
    data = dataset.load(config)
    run = rundir.create(Path(config.runs), f"loco-{config.head.name}", config.model_dump())
    rows: list[dict[str, Any]] = []
    predictions: list[Prediction] = []
    epochs: list[dict[str, Any]] = []
    with log.to_file(run / "log.txt"):
        for held_out in log.progress(config.corpora, "loco", total=len(config.corpora), unit="folds"):
            row, made, lines = _fold(config, data, held_out, run)
            rows.append(row)
            predictions += made
            epochs += lines
        rundir.write_lines(run / "predictions.jsonl", predictions)
        rundir.write_lines(run / "metrics.jsonl", epochs)
        unseen = [row["held_out"]["uar"] for row in rows if not row["seen_by"]]
        mean = float(np.mean(unseen)) if unseen else None
        rundir.write_text(run / "scores.json", rundir.json_line({"folds": rows, "mean_uar": mean}) + "\n")
    return Loco(run, rows, mean)


def _fold(
    config: LocoConfig, data: dataset.Data, held_out: str, run: Path
) -> tuple[dict[str, Any], list[Prediction], list[dict[str, Any]]]:
    others = [name for name in config.corpora if name != held_out]
    learn: list[fitting.Part] = [(name, "train") for name in others]
    choose: list[fitting.Part] = [(name, "dev") for name in others]
    seeds = range(config.seed, config.seed + config.seeds)
    apart, left_out = data.without_texts_of(held_out)
    fits = [fitting.fit(config, apart, learn, choose, seed) for seed in seeds]
    split = "test" if config.score == "test" and data.corpora[held_out].rows("test") else None
    target: list[fitting.Part] = [(held_out, split)]
    log_p = [fit.log_probabilities(data, target) for fit in fits]
    home: list[fitting.Part] = [(name, "test") for name in others]
    predictions = [
        prediction
        for seed, p in zip(seeds, log_p, strict=True)
        for prediction in fitting.predictions(data, target, p, run=run.name, fold=f"{held_out}/seed{seed}")
    ]
    at_home = (
        fitting.score(data, home, [fit.log_probabilities(data, home) for fit in fits]) if data.segments(home) else None
    )
    outside = fitting.score(data, target, log_p)
    row = {
        "corpus": held_out,
        "trained_on": others,
        "split": split or "all",
        "seen_by": fitting.seen(data, held_out, None),
        "same_texts_left_out": left_out,
        "held_out": outside,
        "others_test": at_home,
    }
    best = int(np.argmax([max(epoch.dev_uar for epoch in fit.epochs) for fit in fits]))
    facts = {"left_out": held_out, "held_out_uar": round(outside["uar"], 4), "seed": seeds[best]}
    fitting.save(run / "bundle" / f"without-{held_out}", config, data, fits[best], learn, facts)
    lines = [
        line
        for seed, fit in zip(seeds, fits, strict=True)
        for line in fitting.epoch_rows(fit, held_out=held_out, seed=seed)
    ]
    return row, predictions, lines
