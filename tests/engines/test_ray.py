"""The engine ``ray``: the same results as ``local``, actors that die, and whose Ray is ended.

All tests share one Ray, which the engine itself starts for a map that lasts as long as they do.
"""

from __future__ import annotations

import logging
import operator
import os
import signal
import socket
import sys

import pytest

from mercli import config, registry
from mercli.engines import devices
from mercli.errors import ConfigError, DataError, DeviceError, MissingExtra, PluginError
from mercli.jobs import loco
from mercli.jobs.extract import extract
from mercli.jobs.prepare import prepare
from mercli.log import logger
from mercli.rundir import read_lines

pytestmark = pytest.mark.ray
needs_ray = pytest.mark.usefixtures("running")


@pytest.fixture(scope="module")
def running():
    ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    lasting = engine(jobs=1).map(abs, range(-3, 0))
    assert next(lasting) == 3
    yield ray
    assert list(lasting) == [2, 1]
    assert not ray.is_initialized()


def engine(device: str = "auto", **options):
    return registry.build("engines", "ray", device, options={"jobs": 2, "cpus": 0.25, **options})


def talk(item):
    logger.warning("at %s", item)
    return item, os.getcwd(), os.environ.get("HF_HUB_OFFLINE"), logger.level, len(registry.loaded_files())


def kill(item):
    if item == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def refuse(item):
    if item == 3:
        raise DataError("three is bad", "a hint")
    return item


def test_numbers_that_cannot_be_and_clusters_that_are_not_there_are_told():
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with pytest.raises(ConfigError, match="expected some of either"):
        engine(cpus=0)
    with pytest.raises(ConfigError, match="expected 1 or more"):
        engine(jobs=0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(PluginError, match=f"the Ray at '{address}' does not answer") as fault:
            list(engine(address=address).map(abs, [1]))
    assert fault.value.exit_code == 5


@needs_ray
def test_order_is_that_of_the_items_and_nothing_is_nothing():
    assert list(engine().map(operator.neg, range(50))) == [-n for n in range(50)]
    assert list(engine().map(operator.neg, [])) == []


@needs_ray
def test_actors_know_what_their_driver_knows_and_it_says_what_they_say(tmp_path, monkeypatch, caplog):
    path = tmp_path / "theirs.py"
    path.write_text("from mercli.registry import plugin\n")
    monkeypatch.setattr(registry._state, "files", [])
    registry.load_file(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "level", logging.WARNING)
    logger.manager._clear_cache()
    (answer,) = engine(jobs=1).map(talk, ["a"])
    assert answer == ("a", str(tmp_path), "1", logging.WARNING, 1)
    assert caplog.messages == ["at a"]


@needs_ray
def test_an_item_that_kills_its_actor_is_tried_again_then_lost_and_stdout_stays_clean(capfd):
    items = ["a", "bad", "b", "c"]
    results = list(engine().map(kill, items, lambda item, why: f"{item}: {why}"))
    assert results == ["a", "bad: it killed 2 of 2 workers (out of memory?)", "b", "c"]
    # on a busy machine the answer before may be lost with the actor, and is named in its place
    with pytest.raises(DataError, match=r"'(a|bad)' killed 1 of 1 workers"):
        list(engine(jobs=1, retries=0).map(kill, items))
    assert capfd.readouterr().out == ""


@needs_ray
def test_a_fault_comes_as_itself_after_the_results_before_it(running):
    results = engine(jobs=1).map(refuse, range(100))
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(DataError, match="three is bad") as fault:
        next(results)
    assert fault.value.hint == "a hint"
    assert running.is_initialized()


@needs_ray
def test_actors_that_find_no_room_are_done_without_and_none_that_could_is_told():
    assert list(engine(jobs=devices.cores() + 1, cpus=0.9).map(abs, [-1, -2, -3])) == [1, 2, 3]
    with pytest.raises(ConfigError, match=r"no actor finds room: Ray has .* CPUs of 1000"):
        list(engine(cpus=1000).map(abs, [1]))
    if not devices.cuda_devices():
        with pytest.raises(DeviceError, match="actors have no GPU"):
            list(engine("cuda").map(abs, [1]))
        with pytest.raises(ConfigError, match=r"0 GPUs of 0\.5"):
            list(engine(gpus=0.5).map(abs, [1]))


@needs_ray
def test_the_store_has_the_same_bytes_as_that_of_the_local_engine(world, tmp_path):
    raw = {"corpus.name": "made", "root": str(world.folder / "raw" / "one"), "name": "one", "data": str(tmp_path)}
    prepare(config.resolve(config.PrepareConfig, raw, sets=["corpus.options.seed=0", "clips=35", "strength=1.0"]))
    flags = {"corpora": ["one"], "data": str(tmp_path), "engine.name": "ray"}
    sets = ["engine.options.jobs=2", "engine.options.cpus=0.25"]
    (coverage,) = extract(config.resolve(config.ExtractConfig, flags, preset="weightless", sets=sets))
    assert coverage.encoded == 35
    files = sorted(path.relative_to(world.data) for path in (world.data / "one/features").rglob("*.*"))
    assert len(files) == 6
    for path in files:
        assert (tmp_path / path).read_bytes() == (world.data / path).read_bytes(), path


@needs_ray
def test_loco_answers_the_same_as_over_the_local_engine(world, tmp_path):
    def answers(name, *sets):
        flags = {"corpora": list(world.corpora), "data": str(world.data), "engine.name": name}
        flags["runs"] = str(tmp_path / name)
        made = loco.loco(config.resolve(config.LocoConfig, flags, preset="weightless", sets=["epochs=2", *sets]))
        return [{**row, "run": ""} for row in read_lines(made.run / "predictions.jsonl")]

    found = answers("ray", "engine.options.jobs=2", "engine.options.cpus=0.25")
    assert found == answers("local")
    assert found


def test_without_its_packages_the_engine_is_listed_and_says_what_to_install(mer, monkeypatch):
    monkeypatch.delitem(sys.modules, "mercli.engines.ray_actors", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "ray" in mer("list", "engines").out
    with pytest.raises(MissingExtra):
        engine()
    answer = mer("extract", "--corpora", "x", "--engine", "ray", "--preset", "weightless")
    assert answer.code == 5
    assert "pip install 'mercli[ray]'" in answer.err
