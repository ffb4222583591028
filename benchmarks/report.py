"""``mer report page`` on a made LOCO run: four corpora, five seeds, 25 000 answers to each.

CPU as a multiple of what matplotlib takes for the page's drawings alone, measured in the same process; its peak memory;
the size of the page: ``python benchmarks/report.py [--answers 25000] [--repeats 3] [--write]``
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from writing import Figure, arguments, finish, over

from mercli import rundir
from mercli.jobs.page import page
from mercli.labels import CANONICAL
from mercli.results import metrics
from mercli.types import Prediction

CORPORA = ("mosei", "meld", "iemocap", "afew")
SEEDS = 5
SPEAKERS = 60
EPOCHS = 40
NAMES = CANONICAL.names
HERE = Path(__file__).parent
CPU = {"page": "cpu_s", "drawing": "drawing_cpu_s"}


def write(run: Path, answers: int) -> None:
    """Write a run as ``mer loco`` leaves it; half of the answers are right."""
    draw = np.random.default_rng(0)
    run.mkdir(parents=True)
    targets = {corpus: draw.integers(0, len(NAMES), answers) for corpus in CORPORA}
    labels: dict[tuple[str, int], Any] = {}
    rundir.write_lines(run / "predictions.jsonl", predictions(run.name, targets, labels, draw))
    rundir.write_lines(run / "metrics.jsonl", epochs(draw))
    rows = [row(corpus, targets[corpus], [labels[corpus, seed] for seed in range(SEEDS)]) for corpus in CORPORA]
    scores = {"run": run.name, "rows": rows, "means": {"late": float(np.mean([r["held_out"]["uar"] for r in rows]))}}
    further = {"comparisons": [], "matrix": [], "identifiability": {}}
    rundir.write_text(run / "scores.json", rundir.json_line({**scores, **further}) + "\n")
    config = {"corpora": CORPORA, "head": {"name": "late"}, "seeds": SEEDS, "seed": 0}
    rundir.write_text(run / "config.yaml", rundir.json_line(config) + "\n")
    rundir.write_text(run / "run.json", json.dumps(rundir.provenance()) + "\n")


def predictions(run: str, targets: dict[str, Any], labels: dict[tuple[str, int], Any], draw: Any) -> Iterator[Any]:
    """Yield the answers corpus by corpus and seed by seed; ``labels`` (N,) are kept for the scores."""
    for corpus, truth in targets.items():
        for seed in range(SEEDS):
            logits = draw.normal(size=(len(truth), len(NAMES))) + 1.3 * np.eye(len(NAMES))[truth]
            scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            labels[corpus, seed] = scores.argmax(1)
            for number, (target, p) in enumerate(zip(truth, scores, strict=True)):
                yield Prediction(
                    id=f"{corpus}/clip{number // 10}/{number}",
                    clip=f"{corpus}/clip{number // 10}",
                    start=0.0,
                    end=3.0,
                    scheme=CANONICAL.name,
                    scores={name: round(float(value), 6) for name, value in zip(NAMES, p, strict=True)},
                    label=NAMES[int(p.argmax())],
                    run=run,
                    target=NAMES[target],
                    fold=f"{corpus}/seed{seed}",
                    cluster=f"speaker{number % SPEAKERS}",
                    modalities=("audio", "face", "text"),
                    text="what a line of a dialogue says, more or less, in so many words",
                    text_source="corpus",
                )


def epochs(draw: Any) -> Iterator[dict[str, Any]]:
    """Yield every fit's epochs."""
    for corpus in CORPORA:
        for seed in range(SEEDS):
            figures = np.sort(draw.uniform(0.2, 0.6, EPOCHS))
            for number, figure in enumerate(figures, start=1):
                where = {"head": "late", "held_out": corpus, "seed": seed, "number": number, "lr": 1e-3}
                dev = {f"dev_{name}": float(figure) for name in ("uar", "accuracy", "weighted_f1", "macro_f1")}
                yield {**where, **dev, "loss": 1 - figure, "dev_loss": 1.1 - figure, "score": figure, "best": True}


def row(corpus: str, targets: Any, labels: list[Any]) -> dict[str, Any]:
    """Return a held-out corpus's row of ``scores.json``."""
    each = [metrics.uar(targets, label, len(NAMES)) for label in labels]
    figures = metrics.summary(targets, labels[0], NAMES)
    spread = {"uar_seeds": each, "uar_spread": float(np.std(each, ddof=1)), "uar_interval": [min(each), max(each)]}
    held = {**figures, **spread, "uar": float(np.mean(each)), "clusters": SPEAKERS, "corrected_weighted_f1": None}
    where = {"head": "late", "corpus": corpus, "split": "test", "trained_on": [c for c in CORPORA if c != corpus]}
    return {**where, "seen_by": [], "same_texts_left_out": {}, "held_out": held, "others_test": None}


def measure(run: str) -> None:
    """Write a run's page and print what it took, and what of it matplotlib took to draw."""
    from matplotlib.figure import Figure

    plain, drawing, pictures = Figure.savefig, 0.0, 0

    def timed(self: Figure, *given: Any, **options: Any) -> None:
        nonlocal drawing, pictures
        before = time.process_time()
        plain(self, *given, **options)
        drawing, pictures = drawing + time.process_time() - before, pictures + 1

    Figure.savefig = timed
    before = time.process_time()
    made = page(Path(run).parent, [run], None)
    taken = time.process_time() - before
    told = {
        "cpu_s": taken,
        "drawing_cpu_s": drawing,
        "pictures": pictures // 2,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "page_mb": made.file.stat().st_size / 1e6,
        "sections": made.parts[0]["sections"],
    }
    print(json.dumps(told))


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--answers", type=int, default=25_000, help="to each corpus and seed")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "20260101-000000-loco-made"
        write(run, asked.answers)
        script = f"from report import measure; measure({str(run)!r})"
        command = [sys.executable, "-c", script]
        made = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE).stdout)
            for _ in range(asked.repeats)
        ]
    every = {name: [each[name] for each in made] for name in ("cpu_s", "drawing_cpu_s", "peak_mb", "page_mb")}
    what = f"`mer report page`: {asked.answers * len(CORPORA) * SEEDS} answers, {made[0]['pictures']} pictures"
    figures = [
        over(what, "matplotlib's drawing of these pictures", every["cpu_s"], every["drawing_cpu_s"], "<= 3x"),
        Figure("peak memory", "", f"{max(every['peak_mb']):.0f} MB", goal="< 1000 MB"),
        Figure("the page", "", f"{max(every['page_mb']):.2f} MB", goal="< 5 MB"),
    ]
    middle = {name: round(statistics.median(every[key]), 1) for name, key in CPU.items()}
    facts = {"CPU seconds": middle, "sections": ", ".join(made[0]["sections"]), "rounds": asked.repeats}
    finish("report", "The report page", figures, facts, asked.write)


if __name__ == "__main__":
    main()
