"""``mer train``: a fusion head on stored features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mercli import log, rundir
from mercli.config import TrainConfig
from mercli.jobs import audit, dataset, fitting
from mercli.types import Prediction


@dataclass(frozen=True)
class Trained:
    """The run folder and what the head scores on each corpus's test split."""

    run: Path
    scores: dict[str, dict[str, Any]]
    coverage: dict[str, dict[str, Any]]


def train(config: TrainConfig) -> Trained:
    """Train on the train splits, choose on dev, score test; the bundle is the seed that is best on dev."""
    audit.refuse_leaks(config)
    data = dataset.load(config)
    run = rundir.create(Path(config.runs), f"train-{config.head.name}", config.model_dump())
    learn = [(name, "train") for name in config.corpora]
    choose = [(name, "dev") for name in config.corpora]
    with log.to_file(run / "log.txt"):
        fits = []
        for seed in log.progress(range(config.seed, config.seed + config.seeds), "train", config.seeds, "seeds"):
            fits.append(fitting.fit(config, data, learn, choose, seed))
        rundir.write_lines(
            run / "metrics.jsonl",
            (row for seed, fit in enumerate(fits, config.seed) for row in fitting.epoch_rows(fit, seed=seed)),
        )
        scores: dict[str, dict[str, Any]] = {}
        rows: list[Prediction] = []
        for name in config.corpora:
            part: list[fitting.Part] = [(name, "test")]
            if not data.corpora[name].rows("test"):
                continue
            log_p = [fit.log_probabilities(data, part) for fit in fits]
            scores[name] = {**fitting.score(data, part, log_p), "seen_by": fitting.seen(data, name, "test")}
            for seed, p in enumerate(log_p, config.seed):
                rows += fitting.predictions(data, part, p, run=run.name, fold=f"{name}/seed{seed}")
        rundir.write_lines(run / "predictions.jsonl", rows)
        best = int(np.argmax([max(epoch.dev_uar for epoch in fit.epochs) for fit in fits]))
        facts = {"seed": config.seed + best, "test_uar": {name: round(s["uar"], 4) for name, s in scores.items()}}
        fitting.save(run / "bundle", config, data, fits[best], learn, facts)
        rundir.write_text(run / "scores.json", rundir.json_line(scores) + "\n")
    return Trained(run, scores, coverage(data))


def coverage(data: dataset.Data) -> dict[str, dict[str, Any]]:
    """Return per corpus how many segments are used, which labels were dropped, and what has no feature."""
    return {
        name: {
            "segments": len(corpus.segments),
            "dropped_labels": dict(corpus.dropped),
            "without_features": corpus.without_features,
        }
        for name, corpus in data.corpora.items()
    }
