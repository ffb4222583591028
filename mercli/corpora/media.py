"""Media files below a corpus root: which are there, by stem, without opening them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from mercli.errors import DataError
from mercli.types import Clip

VIDEO = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv", ".mpg", ".mpeg", ".m4v", ".wmv")
AUDIO = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus")
IMAGE = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
PREPARED = {"clips.jsonl", "segments.jsonl"}
"""What marks a folder of ours: where ``--data`` lies inside the corpus, its streams are no media of the corpus."""
LFS = b"version https://git-lfs.github.com/spec/v1"


def kind(path: Path) -> str | None:
    """Return ``video``, ``audio``, ``image``, ``text`` or ``None`` by the file's ending."""
    suffix = path.suffix.lower()
    for name, endings in (("video", VIDEO), ("audio", AUDIO), ("image", IMAGE), ("text", (".txt",))):
        if suffix in endings:
            return name
    return None


def walk(root: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the files at most ``depth`` folders below ``root``, sorted.

    Hidden files, link loops and corpora that were prepared below the root are passed over. Raises ``DataError`` when
    ``root`` is no folder.
    """
    if not root.is_dir():
        raise DataError(f"'{root}' is not a folder, expected the root of the corpus")
    seen = _above(root)

    def below(folder: Path, left: int) -> Iterator[Path]:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(folder), key=lambda e: e.name)
        if PREPARED.issubset(entry.name for entry in entries):
            return
        for entry in entries:
            what = None if entry.name.startswith(".") else _what(entry)
            if what == "folder" and left > 0:
                yield from below(Path(entry.path), left - 1)
            elif what == "file":
                yield Path(entry.path)

    yield from below(root, depth)


def _what(entry: os.DirEntry[str]) -> str | None:
    """Return ``folder``, ``file`` or ``None``: neither, or a link that leads to itself or nowhere."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() else None
    except OSError:
        return None


def _above(root: Path) -> set[tuple[int, int]]:
    """Return what identifies the folders above ``root``: a link that leads back to one of them is a loop."""
    statuses = [os.stat(folder) for folder in root.resolve().parents]
    return {(status.st_dev, status.st_ino) for status in statuses}


def is_pointer(path: Path) -> bool:
    """Tell whether a file is a git-lfs pointer and not the medium itself."""
    if path.stat().st_size > 1024:
        return False
    with path.open("rb") as handle:
        return handle.read(len(LFS)) == LFS


def refuse_pointer(path: Path) -> None:
    """Raise ``DataError`` where a table that must be read is only its git-lfs pointer."""
    if is_pointer(path):
        raise DataError(f"'{path}' is a git-lfs pointer, expected the file itself", "git lfs pull")


def spelled(path: Path) -> bool:
    """Tell whether a path is text: names from other systems may hold bytes that are no UTF-8."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        return False
    return True


UNSPELLED = "its name is no UTF-8: rename it"


def claim(candidates: Sequence[str], owner: str, held: dict[str, str]) -> str | None:
    """Return the first candidate id that is free or the owner's own, and note it as his in ``held``."""
    return next((name for name in candidates if held.setdefault(name, owner) == owner), None)


def clip(identity: str, corpus: str, path: Path, root: Path) -> Clip:
    """Return the clip of one media file, its path relative to the corpus root where it lies below."""
    relative = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return Clip(
        id=identity,
        corpus=corpus,
        video=relative if kind(path) == "video" else None,
        audio=relative if kind(path) == "audio" else None,
        image=relative if kind(path) == "image" else None,
    )


def subtrees(root: Path, *parts: str, depth: int = 4) -> list[Path]:
    """Return the folders at most ``depth`` below ``root`` (itself included) that hold the path ``parts``, sorted.

    Each part is a glob, matched without regard to case. Folders inside one that was found are not searched.
    """
    found, level, seen = [], [root], _above(root)
    for _ in range(depth + 1):
        below: list[Path] = []
        for folder in level:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            if _holds(folder, parts):
                found.append(folder)
            else:
                below += sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        level = below
    return found


def _holds(folder: Path, parts: Sequence[str]) -> bool:
    if not parts:
        return True
    return any(
        _holds(entry, parts[1:])
        for entry in folder.iterdir()
        if fnmatch(entry.name.lower(), parts[0].lower())
        if len(parts) == 1 or entry.is_dir()
    )


def missing(path: Path | None) -> str | None:
    """Return why a medium cannot be used: it is not there or only its git-lfs pointer is; ``None`` where it can."""
    if path is None:
        return "media not found"
    return "media is a git-lfs pointer" if is_pointer(path) else None
