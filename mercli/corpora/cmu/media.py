"""Where the media of CMU-MOSI and CMU-MOSEI lie: whole videos, their cuts, or both; sound beside or instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mercli.corpora.media import kind, missing

Name = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """The media of a video or of one cut, relative to the corpus root, and what must not be used."""

    video: str | None = None
    audio: str | None = None
    masked: Mapping[str, str] = field(default_factory=dict)


class Media:
    """The media files of a corpus by what they may show: ``<video>``, ``<video>_<clip>`` or ``<video>/<clip>``."""

    def __init__(self, files: Sequence[Path], root: Path) -> None:
        self.root = root
        self.files: dict[str, dict[Name, Path]] = {"video": {}, "audio": {}}
        self.asked: set[Name] = set()
        for path in files:
            table = self.files.get(kind(path) or "")
            for name in _names(path.relative_to(root)) if table is not None else ():
                table.setdefault(name, path)  # type: ignore[union-attr]  # no name without a table

    def whole(self, video: str) -> Found:
        """Return the media of the whole video."""
        return self._found(("whole", video))

    def cut(self, video: str, number: str | None) -> Found:
        """Return the media of one numbered cut."""
        return self._found(("cut", f"{video}_{number}"))

    def _found(self, name: Name) -> Found:
        self.asked.add(name)
        paths = {medium: table.get(name) for medium, table in self.files.items()}
        reasons = {medium: missing(path) for medium, path in paths.items()}
        relative = {
            medium: path.relative_to(self.root).as_posix()
            for medium, path in paths.items()
            if path is not None and reasons[medium] is None
        }
        return Found(relative.get("video"), relative.get("audio"), self._masked(paths, reasons))

    def _masked(self, paths: Mapping[str, Path | None], reasons: Mapping[str, str | None]) -> dict[str, str]:
        picture, sound = reasons["video"], reasons["audio"]
        if picture is None:
            return {}
        if sound is None:  # a release of sound alone has no face to miss
            return {"face": picture} if self.files["video"] else {}
        reason = picture if paths["video"] else sound
        return {"audio": reason, "face": reason}

    def unnamed(self) -> Iterator[str]:
        """Yield, sorted, the names of media that nobody asked for."""
        paths = {path for table in self.files.values() for path in table.values()}
        names = {path: _names(path.relative_to(self.root)) for path in paths}
        yield from sorted({own[-1][1] for own in names.values() if not self.asked.intersection(own)})


def _names(path: Path) -> tuple[Name, ...]:
    """Return what a medium may show, by the folders it lies in; the last name is the one to tell."""
    parts = [part.lower() for part in path.parts[:-1]]
    if "full" in parts:
        return (("whole", path.stem),)
    if any(part.startswith("segmented") for part in parts):
        return (("cut", path.stem),)
    if path.stem.isdecimal() and parts:
        return ("whole", path.stem), ("cut", f"{path.parts[-2]}_{path.stem}")
    return ("whole", path.stem), ("cut", path.stem)
