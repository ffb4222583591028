"""``prepare`` on MELD's csvs against reading them with Python's csv module, and its memory over a million made rows.

Usage: prepare.py DIR-OF-MELD-CSVS. CPU time, interleaved; one JSON object on stdout.
"""

from __future__ import annotations

import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mercli import config
from mercli.jobs.prepare import prepare

ROUNDS = 7
HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r\n"


def read(root: Path) -> int:
    """Read the three csvs as Python does and return how many rows they have."""
    count = 0
    for path in sorted(root.glob("*_sent_emo.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            count += sum(1 for _ in csv.DictReader(file))
    return count


def cpu(work: object, *arguments: object) -> float:
    """Return the CPU seconds of one call."""
    before = time.process_time()
    work(*arguments)  # type: ignore[operator]
    return time.process_time() - before


def peak(rows: int, folder: Path) -> int:
    """Return the peak resident memory in MB of preparing ``rows`` made rows in a process of its own."""
    root = folder / f"raw-{rows}"
    root.mkdir()
    with (root / "train_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        for n in range(rows):
            dialogue, turn = divmod(n, 10)
            words = f'{n},"made line number {n} of nothing, really",Speaker {n % 260},joy,positive'
            file.write(f'{words},{dialogue},{turn},1,1,"00:00:01,000","00:00:03,000"\r\n')
    script = f"from benchmarks.prepare import run; run({str(root)!r}, {str(folder / f'data-{rows}')!r})"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return int(done.stdout)


def run(root: str, data: str) -> None:
    """Prepare a corpus and print this process's peak memory in MB."""
    prepare(config.resolve(config.PrepareConfig, {"corpus.name": "meld", "root": root, "data": data, "probe": False}))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Measure and print."""
    root = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        flags = {"corpus.name": "meld", "root": str(root), "data": folder, "probe": False}
        settings = config.resolve(config.PrepareConfig, flags)
        taken: dict[str, list[float]] = {"csv": [], "prepare": []}
        for _ in range(ROUNDS):
            taken["csv"].append(cpu(read, root))
            taken["prepare"].append(cpu(prepare, settings))
        memory = {rows: peak(rows, Path(folder)) for rows in (10_000, 1_000_000)}
    ratios = sorted(a / b for a, b in zip(taken["prepare"], taken["csv"], strict=True))
    result = {
        "rows": read(root),
        "csv_cpu_ms": round(1000 * statistics.median(taken["csv"]), 1),
        "prepare_cpu_ms": round(1000 * statistics.median(taken["prepare"]), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[1], 2), round(ratios[-2], 2)],
        "rounds": ROUNDS,
        "goal": "<= 10",
        "peak_mb": memory,
        "goal_mb": "< 500 over a million rows",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
