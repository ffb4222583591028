"""What all tests share: where real data would lie, and a small made world taken the whole way once per worker."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long an example takes is no matter of right or wrong
settings.load_profile("untimed")

# these networks are tiny: threads that wait for each other cost more than they bring
os.environ["OMP_NUM_THREADS"] = "1"
SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-dir", default=str(SHARED / "parity"), help="tensors of the seeds' own computations")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one of them at the end."""
    slow: Counter[Path] = Counter(i.path for i in items if i.get_closest_marker("slow") or i.get_closest_marker("ray"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Give each test the log as it was: commands send it to stderr, and others look at what they alone wrote."""
    from mercli.log import logger

    held = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = held


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip("real corpora are not here (../shared/data)")
    return folder


@dataclass(frozen=True)
class World:
    """Two made corpora, prepared and extracted with the weightless encoders."""

    folder: Path
    data: Path
    runs: Path
    corpora: tuple[str, str] = ("one", "two")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from mercli import config
    from mercli.jobs.extract import extract
    from mercli.jobs.prepare import prepare

    folder = tmp_path_factory.mktemp("world")
    made = World(folder, folder / "data", folder / "runs")
    for seed, name in enumerate(made.corpora):
        flags = {"corpus.name": "made", "root": str(folder / "raw" / name), "name": name, "data": str(made.data)}
        sets = [f"corpus.options.seed={seed}", "clips=35", "strength=1.0"]
        prepare(config.resolve(config.PrepareConfig, flags, sets=sets))
    flags = {"corpora": list(made.corpora), "data": str(made.data)}
    extract(config.resolve(config.ExtractConfig, flags, preset="weightless"))
    return made


@dataclass(frozen=True)
class Answer:
    """What a command left: its exit code and both streams."""

    code: int
    out: str
    err: str


@pytest.fixture
def mer(capfdbinary: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run ``mer`` in this process as its console script does."""
    import sys

    from mercli.cli.app import main

    def run(*args: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["mer", *map(str, args)])
        capfdbinary.readouterr()
        code = 0
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        captured = capfdbinary.readouterr()
        return Answer(code, captured.out.decode(), captured.err.decode())

    return run
