"""Spreading: items go to workers and come back in order; a worker that dies is replaced and its item tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from mercli.errors import DataError
from mercli.log import logger

Item = TypeVar("Item")
Result = TypeVar("Result")
WINDOW = 4
"""Items per worker that are taken and not yet given back: what bounds memory."""


class Worker(Protocol):
    """A process, here or on another machine, that does one thing after another."""

    @property
    def died(self) -> tuple[type[BaseException], ...]:
        """What its futures raise once the process is gone."""
        ...

    def start(self) -> Future[Any]:
        """Start the process, or a fresh one where it died; the future ends when it can work."""
        ...

    def submit(self, work: Callable[[Any], Any], item: Any) -> Future[Any]:
        """Queue ``work(item)``."""
        ...

    def result(self, future: Future[Any]) -> Any:
        """Return what a future of its own that is done holds, or raise what was raised."""
        ...

    def stop(self) -> None:
        """End the process, in the middle of an item if need be."""
        ...


def spread(
    workers: Sequence[Worker],
    work: Callable[[Item], Result],
    items: Iterable[Item],
    retries: int,
    lost: Callable[[Item, str], Result] | None,
) -> Iterator[Result]:
    """Yield ``work(item)`` in the order of ``items``; an item that its worker dies of is tried ``retries`` times more.

    What stands for it then is ``lost(item, why)``. Raises ``DataError`` that names it without ``lost``, and where
    workers die before they can work. Every end stops the workers.
    """
    try:
        yield from _Spreading(workers, work, items, retries, lost).results()
    finally:
        for worker in workers:
            worker.stop()


@dataclass(eq=False)
class _Task(Generic[Item]):
    number: int
    item: Item
    tries: int = 0


class _Spreading(Generic[Item, Result]):
    def __init__(
        self,
        workers: Sequence[Worker],
        work: Callable[[Item], Result],
        items: Iterable[Item],
        retries: int,
        lost: Callable[[Item, str], Result] | None,
    ) -> None:
        self.workers, self.work, self.retries, self.lost = workers, work, retries, lost
        self.items = enumerate(items)
        self.coming: deque[_Task[Item]] = deque()
        self.starting: dict[Future[Any], Worker] = {}
        self.queues: dict[Worker, dict[Future[Any], _Task[Item]]] = {}
        self.done: dict[int, Callable[[], Result]] = {}
        self.taken = self.turn = self.stillborn = 0

    def results(self) -> Iterator[Result]:
        self._look_ahead()
        # no more than there are items for
        self.starting = {worker.start(): worker for worker in self.workers[: len(self.coming)]}
        while self.turn < self.taken:
            wait([*self.starting, *(f for queue in self.queues.values() for f in queue)], None, FIRST_COMPLETED)
            self._welcome()
            self._collect()
            self._feed()
            while self.turn in self.done:
                result = self.done.pop(self.turn)()
                self.turn += 1
                self._feed()
                yield result

    def _look_ahead(self) -> None:
        """Take so many items that whoever becomes idle finds one."""
        while len(self.coming) <= len(self.workers) and self.taken - self.turn < WINDOW * len(self.workers):
            task = next((_Task(number, item) for number, item in self.items), None)
            if task is None:
                return
            self.coming.append(task)
            self.taken += 1

    def _feed(self) -> None:
        """Give each idle worker an item; while there is plenty, one more, so that it need not wait for the reader."""
        self._look_ahead()
        for depth in (0, 1):
            for worker, queue in self.queues.items():
                if len(queue) == depth and len(self.coming) > depth * len(self.workers):
                    task = self.coming.popleft()
                    queue[worker.submit(self.work, task.item)] = task
                    self._look_ahead()

    def _welcome(self) -> None:
        for future in [future for future in self.starting if future.done()]:
            worker = self.starting.pop(future)
            if not isinstance(future.exception(), worker.died):
                worker.result(future)
                self.queues[worker] = {}
            elif self.stillborn < self.retries * len(self.workers):
                self.stillborn += 1
                self.starting[worker.start()] = worker
            else:
                raise DataError("workers were killed while they started (out of memory?)", "--jobs 1")

    def _collect(self) -> None:
        for worker, queue in list(self.queues.items()):
            # looked for first: what a dead worker did before is done by now, and none of it is its death's cause
            dead = any(future.done() and isinstance(future.exception(), worker.died) for future in queue)
            for future in [future for future in queue if future.done()]:
                if not isinstance(future.exception(), worker.died):
                    self.done[queue.pop(future).number] = partial(worker.result, future)
            if dead:
                self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        """Start a worker afresh; of what it had, it died of the first, and the rest had not begun."""
        culprit, *rest = self.queues.pop(worker).values()
        culprit.tries += 1
        if culprit.tries <= self.retries:
            logger.warning("a worker was killed (out of memory?): what it was doing is tried again")
            rest.insert(0, culprit)
        else:
            self.done[culprit.number] = partial(self._give_up, culprit)
        self.coming.extendleft(reversed(rest))
        self.starting[worker.start()] = worker

    def _give_up(self, task: _Task[Item]) -> Result:
        did = f"killed {task.tries} of {task.tries} workers (out of memory?)"
        if self.lost is None:
            raise DataError(f"'{task.item!s:.100}' {did}", "--jobs 1")
        return self.lost(task.item, f"it {did}")
