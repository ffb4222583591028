"""Which checkpoint a killed training goes on from."""

from __future__ import annotations

import json
from pathlib import Path

STATE = "trainer_state.json"
"""What the Trainer writes last: a checkpoint that has it is whole."""


def last_whole(folder: Path) -> str | None:
    """Return the newest checkpoint that was written to its end, or ``None``."""
    found = [path for path in folder.glob("checkpoint-*") if _ended(path / STATE)]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def _ended(state: Path) -> bool:
    """Tell whether the last file of a checkpoint is there and whole: a kill may leave it empty."""
    try:
        return bool(json.loads(state.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False
