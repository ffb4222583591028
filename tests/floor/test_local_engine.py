"""The local engine: order, its workers' world, and how it ends."""

import logging
import operator
import os
import sys
import textwrap
from pathlib import Path

import pytest

from mercli import registry
from mercli.engines.local import Local
from mercli.errors import ConfigError, DataError
from mercli.log import logger


def world(kind):
    return [spec.name for spec in registry.specs(kind)], logger.level, len(registry.loaded_files())


def mark(path):
    if path.name == "0":
        raise DataError("the first fails", "a hint")
    path.write_text("done")


def die(_):
    os._exit(1)


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


def test_a_fault_ends_the_map_and_cancels_what_has_not_begun(tmp_path):
    with pytest.raises(DataError, match="the first fails") as fault:
        list(Local(2).map(mark, [tmp_path / str(n) for n in range(200)]))
    assert fault.value.hint == "a hint"
    assert len(list(tmp_path.iterdir())) < 30


def test_a_consumer_may_stop_early():
    results = Local(2).map(operator.neg, iter(range(10**9)))
    assert [next(results), next(results)] == [0, -1]
    results.close()


@pytest.mark.skipif(sys.platform == "win32", reason="processes end otherwise there")
def test_a_killed_worker_is_told_with_what_to_do():
    with pytest.raises(DataError, match="a worker was killed") as fault:
        list(Local(2).map(die, [Path("x")]))
    assert fault.value.hint == "--jobs 1"
