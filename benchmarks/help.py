"""CPU of ``mer --help`` against a default Typer hello-world's, interleaved; one JSON object on stdout."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HELLO = """import typer

app = typer.Typer()


@app.command()
def hello(name: str = "you", times: int = 1):
    \"\"\"Say hello.\"\"\"


app()
"""
ROUNDS = 15


def cpu(command: list[str]) -> float:
    """Return user and system seconds of one run of ``command``."""
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "hello.py"
        script.write_text(HELLO)
        commands = {"mer": [sys.executable, "-m", "mercli", "--help"], "hello": [sys.executable, str(script), "--help"]}
        for command in commands.values():
            cpu(command)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                taken[name].append(cpu(command))
    middle = {name: statistics.median(times) for name, times in taken.items()}
    ratios = sorted(a / b for a, b in zip(taken["mer"], taken["hello"], strict=True))
    result = {
        "mer_cpu_ms": round(1000 * middle["mer"], 1),
        "hello_cpu_ms": round(1000 * middle["hello"], 1),
        "ratio": round(middle["mer"] / middle["hello"], 3),
        "ratio_range": [round(ratios[1], 3), round(ratios[-2], 3)],
        "rounds": ROUNDS,
        "goal": "<= 1.25",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
