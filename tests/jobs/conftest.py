"""Runs that several tests of this folder report on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def left_out(world: Any) -> Path:
    from mercli import config
    from mercli.jobs import loco

    flags = {"corpora": list(world.corpora), "data": str(world.data), "runs": str(world.runs), "seeds": 2}
    sets = ("lr=0.01", "epochs=6", "matrix=true")
    return loco.loco(config.resolve(config.LocoConfig, flags, preset="weightless", sets=sets)).run


@pytest.fixture(scope="session")
def gated(world: Any) -> Path:
    from mercli import config
    from mercli.jobs import train

    flags = {"corpora": list(world.corpora), "data": str(world.data), "runs": str(world.runs), "head.name": "gated"}
    return train.train(config.resolve(config.TrainConfig, flags, preset="weightless", sets=("epochs=3",))).run
