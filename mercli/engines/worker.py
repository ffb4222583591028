"""What a worker process is told when it begins, so that it is what its parent is."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mercli import log, registry
from mercli.engines import devices

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Setup:
    """Plugin files in their order, the log's level, and which of this machine's workers the process is.

    ``threads``: how many its large networks may have.
    """

    plugin_files: tuple[Path, ...]
    level: int
    number: int = 0
    threads: int = 1


def setup(number: int = 0, threads: int = 1) -> Setup:
    """Return what a worker must be told to be like this process."""
    return Setup(registry.loaded_files(), log.logger.getEffectiveLevel(), number, threads)


def begin(told: Setup) -> None:
    """Make this process what its parent is: the same plugins and log level, and a device of its own."""
    log.setup(quiet=told.level > logging.INFO, verbose=int(told.level < logging.INFO))
    devices.be_worker(told.number, told.threads)
    # N workers with N threads each would fight over the cores; torch asks for this when it is imported
    os.environ["OMP_NUM_THREADS"] = "1"
    for path in told.plugin_files:
        registry.load_file(path)


def peak() -> int | None:
    """Return the most bytes of memory that this process has held, or ``None`` where the system does not tell."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
