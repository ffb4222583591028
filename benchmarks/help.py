"""CPU of ``mer --help`` against a default Typer hello-world's, interleaved.

Prints one JSON object: ``python benchmarks/help.py [--write]`` (half a minute)
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from writing import arguments, finish, over

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
    asked = arguments(__doc__).parse_args()
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
    figures = [over("`mer --help`", "Typer's hello-world `--help`", taken["mer"], taken["hello"], "<= 1.25x")]
    middle = {name: round(1000 * statistics.median(times), 1) for name, times in taken.items()}
    finish("help", "The start of the command line", figures, {"CPU ms": middle, "rounds": ROUNDS}, asked.write)


if __name__ == "__main__":
    main()
