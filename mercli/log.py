"""Log and progress: everything here goes to stderr; stdout belongs to results."""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PAINT = 0.2
"""Seconds between two looks of a progress bar: painting every item would cost more than many an item does."""
logger = logging.getLogger("mer")


class _Stderr(logging.Handler):
    """Writes to the stderr of the moment, so that redirection and tests see it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as a line."""
        if sys.stderr is not None:
            sys.stderr.write(self.format(record) + "\n")


def setup(quiet: bool = False, verbose: int = 0) -> None:
    """Send the log to stderr: warnings only with ``quiet``, debug with ``verbose`` >= 1."""
    logger.handlers[:] = [_Stderr()]
    logger.handlers[0].setFormatter(logging.Formatter("%(message)s"))
    logger.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    logger.propagate = False


def is_quiet() -> bool:
    """Tell whether only warnings and errors are to be heard (``-q``)."""
    return logger.getEffectiveLevel() > logging.INFO


@contextmanager
def to_file(path: Path) -> Iterator[None]:
    """Also write the log, with times and levels, to ``path`` while inside."""
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def progress(items: Iterable[T], label: str, total: int | None = None, unit: str = "clips") -> Iterator[T]:
    """Yield ``items`` and, on a terminal, show how many are done, the rate and the remaining time on stderr."""
    if sys.stderr is None or not sys.stderr.isatty() or is_quiet():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, rate="")
        painted = 0.0
        for done, item in enumerate(items, start=1):
            yield item
            now = time.monotonic()
            if now - painted >= PAINT or done == total:
                painted = now
                speed = bar.tasks[task].speed
                bar.update(task, completed=done, rate=f"{speed:.1f} {unit}/s" if speed else "")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Keep what a native library (MediaPipe) writes while it starts off the user's terminal.

    None of its log settings reaches those lines, so file descriptor 2 itself leads nowhere for this moment.
    """
    warnings.filterwarnings("ignore", message=r"SymbolDatabase\.GetPrototype", category=UserWarning)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if sys.stderr is None:  # started with a closed standard error: nothing to keep quiet
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)
