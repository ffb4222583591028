"""Ray's side of the engine ``ray``: where it runs, and one persistent actor per worker."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import chain, islice
from typing import Any, Literal, TypeVar

import ray
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError

from mercli.engines import devices, worker
from mercli.engines.spreading import spread
from mercli.errors import ConfigError, DeviceError, PluginError
from mercli.log import logger

Item = TypeVar("Item")
Result = TypeVar("Result")
Told = tuple[Any, list[tuple[int, str]], int | None]
"""What an actor answers: a result, the log's lines (level, text) on the way to it, and its peak of memory in bytes."""
PATIENCE = 10.0
"""Seconds in which a cluster must answer."""
PASSED_ON = ("HF_", "MER_", "TRANSFORMERS_", "XDG_CACHE_HOME")
"""Variables of the environment that a cluster's processes, started by others, do not have from here."""


class Ray:
    """Maps in order over actors, each of which keeps what it has loaded; at most ``4 * jobs`` items are in flight.

    A Ray that runs in this process, or at ``address``, is joined and left as it is; else one is started for each map
    and ended with it. ``gpus`` not told: 1 where the cluster has any and ``device`` is not ``cpu``. ``jobs`` of
    ``auto``: as many actors as find room. Raises ``ConfigError`` for numbers that cannot be.
    """

    def __init__(
        self,
        device: str,
        jobs: int | Literal["auto"],
        address: str | None,
        gpus: float | None,
        cpus: float,
        retries: int,
    ) -> None:
        if cpus < 0 or (gpus or 0) < 0 or not (cpus or gpus):
            raise ConfigError(
                f"an actor asks for {cpus} CPUs and {gpus or 0} GPUs, expected some of either",
                "--set engine.options.cpus=1",
            )
        self.jobs = jobs if jobs == "auto" else devices.enough(jobs)
        self.device, self.address, self.gpus, self.cpus, self.retries = device, address, gpus, cpus, retries
        self.peaks: list[int] = []

    def map(
        self, work: Callable[[Item], Result], items: Iterable[Item], lost: Callable[[Item, str], Result] | None = None
    ) -> Iterator[Result]:
        """Yield ``work(item)`` in the order of ``items``; ``work`` and items are picklable.

        Whatever ends it early ends the actors. An item whose actor dies is tried again in another; then it is ``lost``,
        or raises ``DataError``. Raises ``PluginError`` where no cluster answers, ``DeviceError`` where it has no GPU.
        """
        items = iter(items)
        first = list(islice(items, 1))
        if first:  # a Ray is not started for nothing
            with self._joined():
                actors = self._actors()
                try:
                    yield from spread(actors, work, chain(first, items), self.retries, lost)
                finally:
                    self.peaks = [actor.peak for actor in actors if actor.peak]

    @contextmanager
    def _joined(self) -> Iterator[None]:
        if ray.is_initialized():
            yield
            return
        # no public setting keeps what Ray tells of dead processes off stdout, which is data
        ray._private.worker._worker_logs_enabled = False
        quiet: Any = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        on_sigterm = signal.getsignal(signal.SIGTERM)
        wanted = 0 if self.jobs == "auto" else math.ceil(self.jobs * self.cpus)
        try:
            if self.address is None:
                ray.init("local", num_cpus=max(devices.cores(), wanted), **quiet)
            else:
                _knock(self.address)
                ray.init(self.address, **quiet)
        except (OSError, RuntimeError, ValueError) as fault:
            where = f"at '{self.address}'" if self.address else "of this machine"
            hint = f"ray status --address {self.address}  # docs/batch.md, where it asks for a token"
            told = f"the Ray {where} does not answer: {fault}"
            raise PluginError(told, hint if self.address else "ray status") from fault
        try:
            with suppress(ValueError):  # outside of the main thread Ray sets none
                signal.signal(signal.SIGTERM, on_sigterm)  # its own would leave by another exit code
            yield
        finally:
            ray.shutdown()

    def _actors(self) -> list[_Actor]:
        there = ray.cluster_resources()
        gpus = self.gpus
        if gpus is None:
            gpus = 1 if there.get("GPU") and self.device != "cpu" else 0
        if self.device.startswith("cuda") and not gpus:
            raise DeviceError(f"device '{self.device}' was asked for, and actors have no GPU here", "--device auto")
        asked = {"CPU": self.cpus, "GPU": gpus}
        room = min(int(there.get(name, 0) / each) for name, each in asked.items() if each)
        if not room:
            has = ", ".join(f"{there.get(name, 0):g} {name}s of {each:g}" for name, each in asked.items() if each)
            raise ConfigError(f"no actor finds room: Ray has {has}", "ray status")
        count = room if self.jobs == "auto" else self.jobs
        return [_Actor(self.cpus, gpus) for _ in range(count)]


def _knock(address: str) -> None:
    """Raise ``OSError`` where nobody answers at ``host:port``: Ray itself would ask for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


class _Actor:
    """The worker of ``spread`` that lives in a Ray actor; Ray shows it the GPUs it may use, and no others."""

    died = (RayActorError, NodeDiedError, OutOfMemoryError)

    def __init__(self, cpus: float, gpus: float) -> None:
        self.build = ray.remote(_Remote).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0)
        self.handle: Any = None
        self.threads = max(1, int(cpus))
        self.peak = 0

    def start(self) -> Future[Told]:
        self.handle = self.build.remote()
        passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        return self.handle.begin.remote(worker.setup(threads=self.threads), os.getcwd(), passed).future()

    def submit(self, work: Callable[[Any], Any], item: Any) -> Future[Told]:
        return self.handle.do.remote(work, item).future()

    def result(self, future: Future[Told]) -> Any:
        try:
            result, lines, peak = future.result()
        except RayTaskError as fault:
            raise fault.cause from fault
        for level, text in lines:
            logger.log(level, "%s", text)
        self.peak = max(self.peak, peak or 0)
        return result

    def stop(self) -> None:
        if self.handle is not None:
            ray.kill(self.handle)


class _Remote:
    """What runs in a Ray process: its driver's world, and whatever work comes."""

    def begin(self, told: worker.Setup, folder: str, environment: Mapping[str, str]) -> Told:
        os.environ.update(environment)
        os.chdir(folder)  # paths are relative to where the command was given
        worker.begin(told)
        return None, [], worker.peak()

    def do(self, work: Callable[[Any], Any], item: Any) -> Told:
        lines = _Lines()
        logger.handlers[:] = [lines]
        return work(item), lines.said, worker.peak()


class _Lines(logging.Handler):
    """Keeps what is logged, so that it is said where the command was given."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.levelno, record.getMessage()))
