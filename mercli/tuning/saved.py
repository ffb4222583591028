"""What a training leaves on its way: the checkpoint that a killed one goes on from, the figures of each epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mercli import rundir

STATE = "trainer_state.json"
"""What the Trainer writes last: a checkpoint that has it is whole."""


def last_whole(folder: Path) -> str | None:
    """Return the newest checkpoint that was written to its end, or ``None``."""
    found = [path for path in folder.glob("checkpoint-*") if _ended(path / STATE)]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def tell(path: Path, line: Mapping[str, Any]) -> None:
    """Write an epoch's figures in place of what a lines file holds from it on: after a checkpoint epochs come again."""
    held = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [row for row in held if json.loads(row)["epoch"] < line["epoch"]]
    rundir.write_text(path, "".join(row + "\n" for row in [*kept, json.dumps(line)]))


def _ended(state: Path) -> bool:
    """Tell whether the last file of a checkpoint is there and whole: a kill may leave it empty."""
    try:
        return bool(json.loads(state.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
