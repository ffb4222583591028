"""Run folders and atomic files: what a run leaves, and how nothing is ever left half-written.

``runs/<stamp>-<name>/``: ``config.yaml`` (resolved), ``run.json`` (provenance), ``metrics.jsonl``,
``predictions.jsonl``, ``bundle/``, ``log.txt``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from mercli.errors import DISK_FULL, DataError

STAMP = len("20260101-000000")
VERSIONED = ("mercli", "torch", "transformers", "numpy", "mediapipe", "av", "scikit-learn")


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on leaving, fsync and rename it, or remove it after a failure.

    The name is like no other writer's: on machines that share a disk, process ids are alike. What tells of a
    full disk names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
    try:
        yield part
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError as fault:
        if fault.errno in DISK_FULL:  # which the system tells without the file
            fault.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically as UTF-8."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def plain(value: Any) -> Any:
    """Return a dataclass, mapping or tuple as JSON's own types; floats keep their shortest form."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def _known_to_json(value: Any) -> Any:
    known = plain(value)
    if known is value:
        raise TypeError(f"{type(value).__name__} has no form in JSON")
    return known


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, default=_known_to_json)


def json_line(value: Any) -> str:
    """Return one JSON line without its newline; no NaN ever leaves."""
    return _ENCODER.encode(value)


def write_lines(path: Path, rows: Iterable[Any]) -> int:
    """Write rows as JSON lines atomically, streaming; return how many."""
    count = 0
    with atomic(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as handle:
        for row in rows:
            handle.write(json_line(row) + "\n")
            count += 1
    return count


def append_lines(path: Path, rows: Iterable[Any]) -> None:
    """Add rows to a JSON-lines file, or begin it; whoever reads meanwhile finds it as it was."""
    with atomic(path) as part:
        if path.is_file():
            shutil.copyfile(path, part)
        with part.open("a", encoding="utf-8", errors="backslashreplace") as handle:
            handle.writelines(json_line(row) + "\n" for row in rows)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Stream the objects of a JSON-lines file; raises ``DataError`` naming file and line."""
    try:
        handle = path.open(encoding="utf-8")
    except OSError as fault:
        raise DataError(f"'{path}' cannot be read: {fault.strerror}") from fault
    with handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as fault:
                raise DataError(f"'{path}' line {number} is not JSON: {fault.msg}") from fault
            if not isinstance(row, dict):
                raise DataError(f"'{path}' line {number} is not a JSON object")
            yield row


def provenance() -> dict[str, Any]:
    """Return where and with what a run was made: command, versions, machine, time (UTC)."""
    from importlib import metadata

    versions = {}
    for name in VERSIONED:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": ["mer", *sys.argv[1:]],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
    }


def create(runs: Path, name: str, config: Mapping[str, Any]) -> Path:
    """Make a new run folder with its resolved config and provenance; two at one moment get different names."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for number in range(1000):
        run = runs / (f"{stamp}-{name}" if number == 0 else f"{stamp}-{name}-{number}")
        try:
            run.mkdir(parents=True)
        except FileExistsError:
            continue
        import yaml

        write_text(run / "config.yaml", yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True))
        write_text(run / "run.json", json.dumps(provenance(), indent=2) + "\n")
        return run
    raise DataError(f"no free run folder under '{runs}'")


def noted(run: Path) -> dict[str, Any]:
    """Return a run's provenance and what was noted there since; raises ``DataError`` where it cannot be read."""
    try:
        found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"'{run / 'run.json'}' cannot be read: {fault}") from fault
    return found


def note(run: Path, **facts: Any) -> None:
    """Add facts to a run's provenance, in place of those of the same names."""
    write_text(run / "run.json", json.dumps({**noted(run), **facts}, indent=2) + "\n")


def made_by(run: Path) -> str | None:
    """Return the command that made a run, which its name tells behind the stamp; ``None`` where it was renamed."""
    stamp, name = run.name[:STAMP], run.name[STAMP + 1 :]
    return name.partition("-")[0] if stamp.replace("-", "").isdecimal() else None


def find(runs: Path, name: str | None = None, apart: str = "") -> Path:
    """Return a run by path or by (the end of) its name, or the newest; raises ``DataError`` where there is none.

    ``apart``: a command whose runs are not meant by the newest.
    """
    if name is not None and (Path(name) / "run.json").is_file():
        return Path(name)
    # two runs of one second are told apart by when their provenance was written
    found = sorted(runs.glob("*/run.json"), key=lambda p: (p.parent.name[:STAMP], p.stat().st_mtime_ns, p.parent.name))
    made = [path.parent for path in found]
    if name is None:
        made = [run for run in made if made_by(run) != apart]
        if not made:
            raise DataError(f"there is no run under '{runs}'", "mer train --help")
        return made[-1]
    close = [run for run in made if run.name == name or run.name.endswith(f"-{name}")]
    if not close:
        raise DataError(f"no run is called '{name}' under '{runs}'", f"ls {runs}")
    return close[-1]
