"""Spreading over workers that die: the order, what is tried again, what is given up, and how much is in flight."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli.engines.spreading import WINDOW, spread
from mercli.errors import DataError


class DiedError(Exception):
    """The worker is gone."""


class Thread:
    """A worker that is a thread; what it dies of takes along all that was queued behind."""

    died = (DiedError,)

    def __init__(self, unborn: int = 0) -> None:
        self.unborn, self.starts, self.stopped = unborn, 0, False

    def start(self):
        self.starts += 1
        self.pool, self.ended = ThreadPoolExecutor(1), threading.Event()
        return self.pool.submit(self._begin)

    def _begin(self):
        if self.starts <= self.unborn:
            raise DiedError

    def submit(self, work, item):
        return self.pool.submit(self._do, work, item, self.ended)

    def _do(self, work, item, ended):
        if ended.is_set():
            raise DiedError
        try:
            return work(item)
        except DiedError:
            ended.set()
            raise

    def result(self, future):
        return future.result()

    def stop(self):
        self.stopped = True
        if self.starts:
            self.pool.shutdown()


class Deadly:
    """Work that a worker dies of as many times as the item says, and then is done."""

    def __init__(self) -> None:
        self.lock, self.tries = threading.Lock(), {}

    def __call__(self, item):
        number, deaths = item
        with self.lock:
            self.tries[number] = self.tries.get(number, 0) + 1
            if self.tries[number] <= deaths:
                raise DiedError
        return number


@settings(max_examples=100)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 4), st.integers(0, 2))
def test_every_item_is_done_or_lost_in_order_and_tried_no_oftener_than_told(deaths, count, retries):
    taken = 0

    def items():
        nonlocal taken
        for item in enumerate(deaths):
            taken += 1
            yield item

    work, workers, got = Deadly(), [Thread() for _ in range(count)], []
    for result in spread(workers, work, items(), retries, lambda item, why: f"lost {item[0]}"):
        got.append(result)
        assert taken - len(got) <= WINDOW * count
    assert got == [n if often <= retries else f"lost {n}" for n, often in enumerate(deaths)]
    assert work.tries == {n: min(often, retries) + 1 for n, often in enumerate(deaths)}
    restarts = sum(min(often, retries + 1) for often in deaths)
    assert sum(worker.starts for worker in workers) == min(count, len(deaths)) + restarts


def test_what_is_lost_is_named_after_the_results_before_it():
    results = spread([Thread(), Thread()], Deadly(), [(0, 0), (1, 9), (2, 0)], 1, None)
    assert next(results) == 0
    with pytest.raises(DataError, match=r"'\(1, 9\)' killed 2 of 2 workers"):
        next(results)


def test_a_fault_of_the_work_comes_in_its_turn_and_stops_the_workers():
    workers = [Thread(), Thread()]
    results = spread(workers, lambda n: 1 // n, [2, 1, 0, 3], 1, None)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert all(worker.stopped for worker in workers)


def test_a_worker_that_is_killed_while_it_starts_is_started_again():
    workers = [Thread(unborn=2), Thread()]
    assert list(spread(workers, abs, range(-9, 0), 1, None)) == list(range(9, 0, -1))
    with pytest.raises(DataError, match="killed while they started"):
        list(spread([Thread(unborn=9)], abs, [1], 1, None))


def test_nothing_is_started_for_nothing_and_who_idles_gets_the_last_item():
    idle = Thread()
    assert list(spread([idle], abs, [], 1, None)) == []
    assert idle.starts == 0
    gate, where = threading.Event(), {}

    def work(item):
        where[item] = threading.get_ident()
        if item == 0:
            assert gate.wait(10)
        if item == 2:
            gate.set()  # unless the third item is another worker's, the first never ends
        return item

    assert list(spread([Thread(), Thread()], work, range(3), 1, None)) == [0, 1, 2]
    assert where[0] != where[2]
