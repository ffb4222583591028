"""``ray``: a Ray cluster's processes, or a Ray of this machine alone."""

from __future__ import annotations

import os
from typing import Literal

from mercli.contracts import Engine
from mercli.registry import plugin


@plugin("engines", "ray", extra="ray")
def actors(
    device: str = "auto",
    *,
    jobs: int | Literal["auto"] = "auto",
    address: str | None = None,
    gpus: float | None = None,
    cpus: float = 1,
    retries: int = 1,
) -> Engine:
    """Ray: persistent actors, here or (address: auto, host:port) on a running cluster; gpus and cpus are an actor's."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    from mercli.engines.ray_actors import Ray

    return Ray(device, jobs, address, gpus, cpus, retries)
