"""Runs that hold nothing but answers that a test has made up."""

from __future__ import annotations

import json


def stored(folder, rows, name="20260101-000000-made"):
    run = folder / name
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def row(number, target, label, fold="one/seed0", cluster=None, **scores):
    scores = scores or {"up": 0.5, "down": 0.5}
    return {
        "id": f"one/{number}/0", "clip": f"one/{number}", "start": 0.0, "end": 1.0, "scheme": "two", "scores": scores,
        "label": label, "target": target, "fold": fold, "run": "r", "cluster": cluster or f"s{number % 4}",
    }  # fmt: skip
