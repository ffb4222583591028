"""``prepare`` on MELD's csvs against reading them with Python's csv module, and its memory over a million made rows.

CPU time, interleaved; one JSON object: ``python benchmarks/prepare.py DIR-OF-MELD-CSVS [--write]`` (3 minutes).
"""

from __future__ import annotations

import csv
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from writing import Figure, arguments, finish, over

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
    script = f"from prepare import run; run({str(root)!r}, {str(folder / f'data-{rows}')!r})"
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=here)
    return int(done.stdout)


def run(root: str, data: str) -> None:
    """Prepare a corpus and print this process's peak memory in MB."""
    prepare(config.resolve(config.PrepareConfig, {"corpus.name": "meld", "root": root, "data": data, "probe": False}))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("root", type=Path, help="folder of MELD's csvs")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        flags = {"corpus.name": "meld", "root": str(asked.root), "data": folder, "probe": False}
        settings = config.resolve(config.PrepareConfig, flags)
        taken: dict[str, list[float]] = {"csv": [], "prepare": []}
        for _ in range(ROUNDS):
            taken["csv"].append(cpu(read, asked.root))
            taken["prepare"].append(cpu(prepare, settings))
        few, many = (peak(rows, Path(folder)) for rows in (10_000, 1_000_000))
    what = f"`mer prepare` on MELD's {read(asked.root)} rows, media not probed"
    figures = [
        over(what, "reading them with `csv`", taken["prepare"], taken["csv"], "<= 10x"),
        Figure("peak memory: a million made rows", f"10 000: {few} MB", f"{many} MB", goal="< 500 MB"),
    ]
    middle = {name: round(1000 * statistics.median(times), 1) for name, times in taken.items()}
    finish("prepare", "Preparation", figures, {"CPU ms": middle, "rounds": ROUNDS}, asked.write)


if __name__ == "__main__":
    main()
