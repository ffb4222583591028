"""The local engine: order, its workers' world, and how it ends."""

import logging
import operator
import os
import signal
import sys
import textwrap
import time

import pytest

from mercli import registry
from mercli.engines import devices
from mercli.engines.local import Local
from mercli.engines.worker import STATUS
from mercli.errors import ConfigError, DataError, DeviceError
from mercli.log import logger


def world(kind):
    return [spec.name for spec in registry.specs(kind)], logger.level, len(registry.loaded_files())


def threads(_):
    import torch

    return torch.get_num_threads()


def mark(path):
    if path.name == "0":
        raise DataError("the first fails", "a hint")
    path.write_text("done")


def kill_once(path):
    """Be killed in the middle of the path named ``bad``: every time, or once where it says so."""
    if path.name.startswith("bad") and not path.exists():
        if path.suffix == ".once":
            path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def device_of(_):
    return devices.resolve("cuda", two), devices.resolve("cuda:1", two)


def two():
    return 2


def slow(seconds):
    time.sleep(seconds)


def held(megabytes):
    return len(bytearray(megabytes << 20))


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell a process's peak of memory")
def test_each_worker_tells_the_most_memory_that_it_held():
    engine = Local(2)
    assert engine.peaks == []
    assert list(engine.map(held, [300, 1, 1, 1])) == [300 << 20, 1 << 20, 1 << 20, 1 << 20]
    assert len(engine.peaks) == 2
    assert max(engine.peaks) > 300 << 20
    assert max(engine.peaks) - min(engine.peaks) > 200 << 20


@pytest.mark.parametrize("jobs", [0, -1])
def test_fewer_than_one_job_is_refused(jobs):
    with pytest.raises(ConfigError, match="expected 1 or more"):
        registry.build("engines", "local", options={"jobs": jobs})


def test_workers_know_the_plugin_files_and_the_log_level_of_their_parent(tmp_path, monkeypatch):
    for kind in registry.KINDS:
        registry.specs(kind)
    monkeypatch.setattr(registry._state, "specs", dict(registry._state.specs))
    monkeypatch.setattr(registry._state, "files", [])
    text = """
        from mercli.registry import plugin

        @plugin("heads", "theirs")
        def theirs(dims, scheme):
            '''Theirs.'''
    """
    path = tmp_path / "theirs.py"
    path.write_text(textwrap.dedent(text))
    registry.load_file(path)
    monkeypatch.setattr(logger, "level", logging.WARNING)
    logger.manager._clear_cache()
    (names, level, files), (same, *_) = Local(2).map(world, ["heads", "heads"])
    assert "theirs" in names
    assert names == same
    assert (level, files) == (logging.WARNING, 1)


def test_a_worker_computes_in_one_thread(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert list(Local(2).map(threads, [0])) == [1]


def test_a_fault_ends_the_map_and_cancels_what_has_not_begun(tmp_path):
    with pytest.raises(DataError, match="the first fails") as fault:
        list(Local(2).map(mark, [tmp_path / str(n) for n in range(200)]))
    assert fault.value.hint == "a hint"
    assert len(list(tmp_path.iterdir())) < 30


def test_a_consumer_may_stop_early():
    results = Local(2).map(operator.neg, iter(range(10**9)))
    assert [next(results), next(results)] == [0, -1]
    results.close()


def test_a_consumer_that_stops_does_not_wait_for_what_was_begun():
    results = Local(2).map(slow, [0, 60, 60])
    next(results)
    begun = time.monotonic()
    results.close()
    assert time.monotonic() - begun < 20


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_an_item_whose_worker_is_killed_is_tried_again_then_lost_and_the_others_are_done(tmp_path):
    names = ["a", "bad", "b", "bad.once", "c"]
    results = list(Local(2).map(kill_once, [tmp_path / name for name in names], lambda path, why: (path.name, why)))
    assert results == ["a", ("bad", "it killed 2 of 2 workers (out of memory?)"), "b", "bad.once", "c"]


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_a_killed_worker_is_told_with_its_item_and_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"'.*bad' killed 1 of 1 workers") as fault:
        list(Local(2, retries=0).map(kill_once, [tmp_path / "bad"]))
    assert fault.value.hint == "--jobs 1"


def test_workers_are_dealt_the_devices_unless_one_is_named():
    found = set(Local(3).map(device_of, range(30)))
    assert {own for own, _ in found} <= {"cuda:0", "cuda:1"}
    assert {named for _, named in found} == {"cuda:1"}


@pytest.mark.parametrize(("number", "own"), [(0, "cuda:0"), (1, "cuda:1"), (2, "cuda:0"), (5, "cuda:1")])
def test_worker_i_has_the_ith_device_counted_around(monkeypatch, number, own):
    monkeypatch.setattr(devices, "_worker", 0)
    devices.be_worker(number)
    assert devices.resolve("cuda", two) == devices.resolve("auto", two) == own
    assert devices.resolve("cuda:0", two) == "cuda:0"
    assert devices.resolve("auto", int) == "cpu"
    with pytest.raises(DeviceError, match="2 CUDA devices are here"):
        devices.resolve("cuda:2", two)


def test_as_many_workers_as_suit_the_device_are_one_per_gpu_else_one_per_core():
    assert devices.workers("auto", two) == devices.workers("cuda", two) == 2
    assert devices.workers("cuda:1", two) == 1
    assert devices.workers("cpu", two) == devices.workers("auto", int) == devices.cores() >= 1
    assert registry.build("engines", "local", "cpu", options={"jobs": "auto"}).jobs == devices.cores()
