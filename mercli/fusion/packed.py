"""The files of a bundle, read from a folder or from one ``.mer`` zip, and the zip written.

Nothing is ever unpacked to disk, so no name in a zip can reach a place of its own choosing.
"""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from mercli.errors import DataError
from mercli.rundir import atomic
from mercli.types import MODALITIES

SUFFIX = ".mer"
NAMED = ("bundle.json", "head.safetensors", "README.md")
SUMS = "checksums.json"
GRAPH = ".onnx"
GRAPHS = tuple(f"{part}{GRAPH}" for part in ("head", *MODALITIES))
"""What an ONNX bundle may hold in the place of ``head.safetensors``."""
HOLDS = (*NAMED, *GRAPHS, SUMS)
HINT = "give a folder that mer train wrote (runs/.../bundle), a .mer file of mer bundle pack, or 'embedded'"
MOST_TEXT = 64 << 20
MOST_WEIGHTS = 8 << 30
"""Bytes that a file of text and one of weights may have; a zip can claim any number."""
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can tell


def read(path: Path) -> dict[str, bytes]:
    """Return the bytes of a bundle's files by name, as far as they are there.

    Raises ``DataError`` where there is no bundle at ``path``, or a zip that holds anything else.
    """
    found = _zipped(path) if path.is_file() else _loose(path)
    if SUMS not in found:
        raise DataError(f"'{path}' is no bundle: {SUMS} is not there", _inner(path) or HINT)
    return found


def _inner(path: Path) -> str | None:
    """Return the hint for a folder of bundles (one a fold), or a run's folder."""
    inside = sorted({*path.glob(f"*/{SUMS}"), *path.glob(f"bundle/*/{SUMS}")}) if path.is_dir() else []
    return f"give one of the bundles in it, as '{inside[0].parent}'" if inside else None


def _loose(path: Path) -> dict[str, bytes]:
    found = {}
    for name in HOLDS:
        file = path / name
        if file.is_file():
            _check_size(path, name, file.stat().st_size)
            found[name] = file.read_bytes()
    return found


def _zipped(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check(path, member)
            if len({member.filename for member in members}) < len(members):
                raise DataError(f"bundle '{path}' has a file twice", HINT)
            return {member.filename: archive.read(member) for member in members}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as fault:
        raise DataError(f"'{path}' cannot be read as a packed bundle: {fault}", HINT) from fault


def _check(path: Path, member: zipfile.ZipInfo) -> None:
    """Raise ``DataError`` for a member that ``write`` would not have made."""
    name = member.filename
    if name not in HOLDS:
        raise DataError(f"bundle '{path}' holds '{name}', expected {', '.join(HOLDS)} only", HINT)
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise DataError(f"bundle '{path}': '{name}' is a link or another special file, expected a plain one", HINT)
    if member.compress_type != zipfile.ZIP_STORED:  # so what is read is never larger than the zip itself
        raise DataError(f"bundle '{path}': '{name}' is compressed, expected it stored as mer bundle pack does", HINT)
    if member.flag_bits & 1:
        raise DataError(f"bundle '{path}': '{name}' is encrypted", HINT)
    _check_size(path, name, member.file_size)


def _check_size(path: Path, name: str, size: int) -> None:
    most = MOST_WEIGHTS if name.endswith((".safetensors", GRAPH)) else MOST_TEXT
    if size > most:
        raise DataError(f"bundle '{path}': '{name}' has {size} bytes, expected at most {most}", HINT)


def write(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a bundle's files as one zip, atomically; the same files give the same bytes."""
    with atomic(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3  # Unix, whatever system packs
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, files[name])
