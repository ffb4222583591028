"""Pictures that a release keeps inside a table: written one by one to a folder of the user's, never into the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mercli.errors import DataError
from mercli.rundir import atomic

if TYPE_CHECKING:
    from mercli.types import ByteArray

INSIDE = "pictures lie inside a table: unpack them with --set unpack=DIR"


def target(given: str | None, root: Path) -> Path | None:
    """Return the absolute folder that pictures go to, ``None`` where none is given.

    Raises ``DataError`` where it lies inside the corpus, which is never written to, or is a file.
    """
    if given is None:
        return None
    folder = Path(given).expanduser().absolute()
    if folder.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"unpack='{given}' lies inside the corpus '{root}', and nothing is ever written there",
            "mer prepare --set unpack=DIR-OUTSIDE-THE-CORPUS",
        )
    if folder.exists() and not folder.is_dir():
        raise DataError(f"unpack='{given}' is a file, expected a folder", "mer prepare --set unpack=DIR")
    return folder


def put(folder: Path, name: str, content: bytes) -> str:
    """Write a picture atomically unless it is there as it should be; return its absolute path."""
    path = folder / name
    if not (path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content):
        with atomic(path) as part:
            part.write_bytes(content)
    return path.as_posix()


def png(pixels: ByteArray) -> bytes:
    """Return grey pixels, uint8 (H, W), as a PNG: without loss."""
    import cv2

    _, encoded = cv2.imencode(".png", pixels)
    return encoded.tobytes()
