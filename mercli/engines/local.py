"""``local``: this machine's own processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from mercli.contracts import Engine
from mercli.errors import ConfigError, DataError
from mercli.registry import plugin

Item = TypeVar("Item")
Result = TypeVar("Result")


@plugin("engines", "local")
def local(*, jobs: int = 1) -> Engine:
    """This machine: in the process itself, or over N persistent worker processes."""
    return Local(jobs)


class Local:
    """Maps in order; with one job nothing is spawned, with more at most ``4 * jobs`` items are in flight.

    Raises ``ConfigError`` for fewer than one job.
    """

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise ConfigError(f"jobs is {jobs}, expected 1 or more worker processes", "--jobs 1")
        self.jobs = jobs

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``work(item)`` in the order of ``items``; ``work`` and items are picklable where jobs > 1.

        Whatever ends it early (a fault, Ctrl-C, a consumer that stops) cancels what has not begun. Raises
        ``DataError`` where a worker dies.
        """
        if self.jobs == 1:
            yield from map(work, items)
        else:
            yield from self._spread(work, items)

    def _spread(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        from concurrent.futures import Future, ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool
        from multiprocessing import get_context

        from mercli.log import logger
        from mercli.registry import loaded_files

        # fork would copy a process whose libraries hold threads and locks
        pool = ProcessPoolExecutor(
            self.jobs,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(loaded_files(), logger.getEffectiveLevel()),
        )
        flying: deque[Future[Result]] = deque()
        try:
            for item in items:
                flying.append(pool.submit(work, item))
                if len(flying) >= 4 * self.jobs:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        except BrokenProcessPool as fault:
            raise DataError("a worker was killed (out of memory?)", "--jobs 1") from fault
        finally:
            pool.shutdown(cancel_futures=True)


def _start(plugin_files: tuple[Path, ...], level: int) -> None:
    """Make a worker what its parent is: the same plugins and log level; Ctrl-C ends it without a traceback."""
    import logging
    import os
    import signal

    from mercli import log, registry

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # nohup and `&` have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    log.setup(quiet=level > logging.INFO, verbose=int(level < logging.INFO))
    # N workers with N threads each would fight over the cores
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    for path in plugin_files:
        registry.load_file(path)
