"""Media that a list names: lists travel between machines, so a path's tail is looked for where its head is not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from mercli.corpora.media import kind, missing
from mercli.errors import DataError


def listing(root: Path, file: str | None, found: Iterable[Path], what: str, hint: str, expected: str = "one") -> Path:
    """Return the file that lists a corpus: the root where it is one, ``file`` below it, else the only one ``found``.

    Raises ``DataError`` where none or several are found; ``what`` they are, in the plural.
    """
    if root.is_file():
        return root
    if file is not None:
        return root / file
    every = list(found)
    if len(every) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path in every[:5]) or "none"
        raise DataError(f"'{root}' holds {len(every)} {what} ({names}), expected {expected}", hint)
    return every[0]


def pure(text: str) -> PurePath:
    """Return a path as its writer's system means it: backslashes and drives are Windows's."""
    windows = "\\" in text or text[1:2] == ":"
    return PureWindowsPath(text) if windows else PurePosixPath(text)


def located(text: str, base: Path) -> Path | None:
    """Return the file a list names: as it is written, else the longest tail of its path that lies below ``base``."""
    written = pure(text)
    parts = written.parts[1:] if written.anchor else written.parts
    candidates = [Path(text)] if written.anchor else []
    candidates += [base.joinpath(*parts[start:]) for start in range(len(parts))]
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except OSError:  # a line that is no path at all may be too long for one
            continue
    return None


def usable(text: str, base: Path, *kinds: str) -> tuple[Path | None, str | None]:
    """Return the medium a list names, or ``None`` and why: not there, a git-lfs pointer, not of these kinds."""
    name = pure(text).name
    if name.lower().endswith(".npy"):
        return None, f"'{name}' holds ready-made arrays, no medium"
    found = located(text, base)
    reason = missing(found)
    if found is not None and reason is None and kind(found) not in kinds:
        reason = f"'{name}' is no {' or '.join(kinds)} by its ending"
    return (None, reason) if reason else (found, None)


def place(path: Path | None, root: Path) -> str | None:
    """Return a medium's path relative to the corpus root where it lies below, else as it is."""
    if path is None:
        return None
    return (path.relative_to(root) if path.is_relative_to(root) else path.absolute()).as_posix()
