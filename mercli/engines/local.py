"""``local``: this machine's own processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mercli.contracts import Engine
from mercli.registry import plugin

Item = TypeVar("Item")
Result = TypeVar("Result")


@plugin("engines", "local")
def local(*, jobs: int = 1) -> Engine:
    """This machine: in the process itself, or over N persistent worker processes."""
    return Local(jobs)


class Local:
    """Maps in order; with one job nothing is spawned, with more at most ``4 * jobs`` items are in flight."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield ``work(item)`` in the order of ``items``; ``work`` and items are picklable where jobs > 1."""
        if self.jobs == 1:
            yield from map(work, items)
            return
        from concurrent.futures import Future, ProcessPoolExecutor
        from multiprocessing import get_context

        # fork would copy a process whose libraries hold threads and locks
        with ProcessPoolExecutor(self.jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            flying: deque[Future[Result]] = deque()
            for item in items:
                flying.append(pool.submit(work, item))
                if len(flying) >= 4 * self.jobs:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()


def _one_thread() -> None:
    """Give each worker one thread: N workers with N threads each would fight over the cores."""
    import os

    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
