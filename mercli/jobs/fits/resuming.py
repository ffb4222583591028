"""Runs that go on where they were stopped: their own configuration, their fits' checkpoints, and the command for it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mercli import config as configs
from mercli import log, presets, registry, rundir
from mercli.config import FitConfig
from mercli.errors import ConfigError, DataError
from mercli.jobs.fits import planning

F = TypeVar("F", bound=FitConfig)
FREE = ("engine", "checkpoint", "tensorboard", "runs")
"""Keys that change no figure, and so may differ from the run's own."""


@dataclass(frozen=True)
class Place:
    """Where one fit of a run is kept, by its name there: ``late/without-meld/seed-0``."""

    run: Path
    name: str

    @property
    def checkpoint(self) -> Path:
        """The file that its training is kept in until the run is complete."""
        return self.run / "checkpoints" / f"{self.name}.pt"

    @property
    def tensorboard(self) -> Path:
        """The folder of its curves for TensorBoard."""
        return self.run / "tensorboard" / self.name


def resolve(
    model: type[F], flags: Mapping[str, Any], preset: str | None, sets: Iterable[str], resume: str | None
) -> tuple[F, Path | None]:
    """Return a command's config and, with ``resume``, the run that is taken up again, whose own config it is.

    Raises ``DataError`` for a run that is complete or of another command, ``ConfigError`` that names the key where
    what is asked for differs from the run's own.
    """
    if resume is None:
        return configs.resolve(model, flags, preset=preset, sets=sets), None
    run = rundir.find(Path(flags.get("runs") or model.model_fields["runs"].default), resume)
    if (run / "scores.json").is_file():
        raise DataError(f"run '{run.name}' is complete, nothing is left to resume", f"mer report curves '{run}'")
    written = run / "config.yaml"
    held = presets.parse(written.read_text(encoding="utf-8"), str(written))
    if strange := sorted(set(held) - set(model.model_fields)):
        made = rundir.made_by(run)
        raise DataError(
            f"run '{run.name}' is not one of mer {model.command}: its configuration has '{strange[0]}'",
            command_of(made, run) if made else None,
        )
    own = configs.validate(model, held, f"run '{run.name}'")
    asked = configs.resolve(model, flags, preset=preset, sets=sets, under=held)
    for key, (before, now) in _differences(own.model_dump(), asked.model_dump()):
        if key.partition(".")[0] not in FREE:
            raise ConfigError(
                f"run '{run.name}' was begun with {key} = {before!r}, and {now!r} is asked for",
                command_of(model.command, run),
            )
    return asked, run


def _differences(
    own: Mapping[str, Any], asked: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted({*own, *asked}):
        before, now = own.get(name), asked.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differences(before, now, f"{path}{name}.")
        elif before != now:
            yield f"{path}{name}", (before, now)


@contextmanager
def running(config: FitConfig, name: str, resume: Path | None, begun: Path | None = None) -> Iterator[Path]:
    """Give the folder of a new run (one that is ``begun`` already), or of the one that is resumed, and log into it.

    How to go on with a run that is stopped is said at its start and where Ctrl-C stops it; a complete one keeps no
    checkpoints.
    """
    run = resume or begun or rundir.create(Path(config.runs), name, config.model_dump())
    if resume:
        rundir.note(run, resumed=[*rundir.noted(run).get("resumed", ()), rundir.provenance()])
    command = command_of(config.command, run)
    with log.to_file(run / "log.txt"):
        log.logger.info("if this is stopped, continue with: %s", command)
        try:
            yield run
        except KeyboardInterrupt:
            log.logger.warning("continue with: %s", command)
            raise
    shutil.rmtree(run / "checkpoints", ignore_errors=True)


def settled(run: Path, taught: Mapping[str, planning.Taught], heads: Mapping[str, F]) -> dict[str, F]:
    """Return the configs by head with their precision settled once for a run, whose ``run.json`` tells it.

    ``taught``: what each of them learns from; one that no fit is of keeps its own.
    """
    told = rundir.noted(run).get("precision")
    if told is None:
        told = planning.precisions(taught, heads)
        rundir.note(run, precision=told)
    return {
        head: config.model_copy(update={"precision": told.get(head, config.precision)})
        for head, config in heads.items()
    }


def command_of(command: str, run: Path) -> str:
    """Return the line that goes on with a run, with the plugins it needs, to be typed as it is."""
    plugins = [part for path in registry.loaded_files() for part in ("--plugin", str(path))]
    return shlex.join(["mer", command, "--resume", str(run), *plugins])
