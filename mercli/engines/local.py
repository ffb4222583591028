"""``local``: this machine's own processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from threading import Thread
from typing import Any, Literal, TypeVar

from mercli.contracts import Engine
from mercli.engines import devices, worker
from mercli.engines.spreading import spread
from mercli.registry import plugin

Item = TypeVar("Item")
Result = TypeVar("Result")


@plugin("engines", "local")
def local(device: str = "auto", *, jobs: int | Literal["auto"] = 1, retries: int = 1) -> Engine:
    """This machine: in the process itself, or over N persistent worker processes (auto: one per GPU, else per core)."""
    return Local(jobs, device, retries)


class Local:
    """Maps in order; with one job nothing is spawned, with more at most ``4 * jobs`` items are in flight.

    Worker i computes on the i-th CUDA device (counted around) where no single one is asked for. Raises ``ConfigError``
    for fewer than one job.
    """

    def __init__(self, jobs: int | Literal["auto"], device: str = "auto", retries: int = 1) -> None:
        self.jobs = devices.workers(device) if jobs == "auto" else devices.enough(jobs)
        self.retries = retries
        self.peaks: list[int] = []

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], lost: Callable[[Item, str], Result] | None = None
    ) -> Iterator[Result]:
        """Yield ``work(item)`` in the order of ``items``; ``work`` and items are picklable where jobs > 1.

        Whatever ends it early (a fault, Ctrl-C, a consumer that stops) ends the workers. An item whose worker dies is
        tried again; then it is ``lost``, or raises ``DataError``.
        """
        if self.jobs == 1:
            yield from map(work, items)
        else:
            processes = [_Process(worker.setup(number, devices.share(self.jobs))) for number in range(self.jobs)]
            try:
                yield from spread(processes, work, items, self.retries, lost)
            finally:
                self.peaks = [process.peak for process in processes if process.peak]


class _Process:
    """One spawned process: an executor of its own, so that its death fails no other's futures."""

    died = (BrokenProcessPool,)

    def __init__(self, told: worker.Setup) -> None:
        self.told = told
        self.pool: ProcessPoolExecutor | None = None
        self.peak = 0

    def start(self) -> Future[Any]:
        # fork would copy a process whose libraries hold threads and locks
        self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.identity = self.pool.submit(os.getpid)
        return self.submit(_begin, self.told)

    def submit(self, work: Callable[[Any], Any], item: Any) -> Future[Any]:
        assert self.pool is not None, "started before anything is submitted"
        self.last = self.pool.submit(_packed, work, item)
        return self.last

    def result(self, future: Future[Any]) -> Any:
        result, peak = pickle.loads(future.result())  # noqa: S301 - made by a process of our own
        self.peak = max(self.peak, peak or 0)
        return result

    def stop(self) -> None:
        if self.pool is None:
            return
        if not self.last.done():
            with suppress(BrokenProcessPool, ProcessLookupError):
                os.kill(self.identity.result(), signal.SIGTERM)
        self.pool.shutdown(cancel_futures=True)


def _begin(told: worker.Setup) -> None:
    """Begin as a worker of this machine: Ctrl-C ends it without a traceback, and so does its parent's death."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # nohup and `&` have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()
    worker.begin(told)


def _packed(work: Callable[[Item], Any], item: Item) -> bytes:
    """Return result and peak of memory as plain bytes: torch would hand a tensor over as a shared file, left open."""
    return pickle.dumps((work(item), worker.peak()), pickle.HIGHEST_PROTOCOL)


def _end_with_parent() -> None:
    """Wait for the parent's end: a worker whose parent was killed would else wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
