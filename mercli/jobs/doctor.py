"""``mer doctor``: what works here."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import yaml

from mercli import presets, registry
from mercli.engines import devices
from mercli.errors import MerError
from mercli.jobs import checking

PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "mediapipe",
    "av",
    "openai-whisper",
    "numpy",
    "moviepy",
)
Row = dict[str, str]


def doctor() -> list[Row]:
    """Return one row per check: ``state`` is ok, absent (works without) or broken."""
    sections = (_python, _packages, _devices, _models, _plugins, _presets)
    return [row for section in sections for row in _tried(section)]


def _tried(section: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """Yield a section's rows; libraries that are not there or cannot be loaded are what this command is for."""
    try:
        yield from section()
    except (ImportError, OSError) as fault:
        yield _row(section.__name__.strip("_"), "broken", str(fault), "pip install --force-reinstall mercli")


def _row(check: str, state: str, detail: str, help_: str = "") -> Row:
    return {"check": check, "state": state, "detail": detail, "help": help_}


def _python() -> Iterator[Row]:
    fits = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) < (3, 13)
    yield _row(
        "python", "ok" if fits else "broken", platform.python_version(), "" if fits else "use CPython 3.11 or 3.12"
    )
    yield _row("cores", "ok", str(devices.cores()))
    library = Path(yaml.__file__)  # any that is always there
    if sys.dont_write_bytecode and not Path(importlib.util.cache_from_source(library)).is_file():
        told = "libraries are compiled at every start, which takes seconds (PYTHONDONTWRITEBYTECODE is set)"
        yield _row("bytecode", "absent", told, f"python -m compileall -q {library.parents[1]}")


def _packages() -> Iterator[Row]:
    for name in PACKAGES:
        try:
            yield _row(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield _row(name, "broken", "not installed", "pip install mercli")


def _devices() -> Iterator[Row]:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(count))
    yield _row("cuda", "ok" if count else "absent", names or "no CUDA device: everything runs on the CPU")


def _models() -> Iterator[Row]:
    from mercli.fusion import bundle
    from mercli.jobs.predict import SHIPPED, bundle_folder

    try:
        card = bundle.load(bundle_folder(SHIPPED)).card
        yield _row("shipped bundle", "ok", f"{', '.join(card.dims)}; {', '.join(card.scheme.names)}")
    except MerError as fault:
        yield _row("shipped bundle", "broken", fault.message, "install mercli again")
    from mercli.streams.whisper_weights import cache_folder

    found = sorted(path.stem for path in cache_folder().glob("*.pt"))
    detail = f"weights: {', '.join(found)}" if found else "no weights here: clips without a transcript have no text"
    yield _row("whisper", "ok" if found else "absent", detail, "" if found else f"put base.pt into {cache_folder()}")


def _plugins() -> Iterator[Row]:
    for kind in registry.KINDS:
        yield _row(kind, "ok", ", ".join(spec.name for spec in registry.specs(kind)))
    for fault in registry.broken():
        yield _row(f"plugin {fault.origin}", "broken", fault.reason, "MER_PLUGINS=none mer ...")


def _presets() -> Iterator[Row]:
    names, whole = presets.names(), 0
    for name in names:
        try:
            checking.preset(name)
            whole += 1
        except MerError as fault:
            yield _row(f"preset {name}", "broken", fault.message, f"mer presets check {name}")
    yield _row("presets", "ok" if whole == len(names) else "broken", f"{whole} of {len(names)} can be used")
