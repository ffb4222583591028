"""What the stages of a run cost, noted in its ``run.json``: never in what is compared between runs."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from mercli import rundir
from mercli.contracts import Engine
from mercli.engines.worker import peak

CLEAR = Path("/proc/self/clear_refs")


class Clock:
    """Measures from when it is made, or from the last stage that it noted."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.wall, self.cpu = time.monotonic(), _cpu()
        with suppress(OSError):
            CLEAR.write_text("5", encoding="ascii")  # Linux begins to look for the peak anew

    def note(self, run: Path, stage: str, engine: Engine | None = None) -> None:
        """Add a stage that ends now to what the run has noted: wall and CPU seconds, and the peak of memory.

        CPU seconds are this process's and its ended workers'; ``peak_bytes`` are this process's, ``None`` where the
        system does not tell, ``worker_peak_bytes`` those of each worker of the ``engine`` that the stage was spread
        by. A run that is resumed has the stages of all its parts.
        """
        own = {
            "stage": stage,
            "wall_seconds": round(time.monotonic() - self.wall, 3),
            "cpu_seconds": round(_cpu() - self.cpu, 3),
            "peak_bytes": peak(),
            "worker_peak_bytes": list(getattr(engine, "peaks", ())),
        }
        rundir.note(run, stages=[*rundir.noted(run).get("stages", ()), own])
        self._begin()


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
