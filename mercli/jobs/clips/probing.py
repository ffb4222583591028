"""Probing media while preparing: how long they last and whether they decode, remembered so that a kill loses little."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from mercli.contracts import Excluded
from mercli.errors import DataError
from mercli.log import logger
from mercli.types import Clip, Segment

EMPTY = 0.1
"""Seconds below which a medium counts as near-empty."""
FILE = "probes.jsonl"


@dataclass(frozen=True)
class Probe:
    """What a medium holds: seconds (``None`` where it does not say), picture, sound; or why it does not decode."""

    duration: float | None = None
    video: bool = False
    audio: bool = False
    error: str | None = None


class Prober:
    """Probes each medium once, by path, size and time of change; every answer is written to ``folder`` at once."""

    def __init__(self, root: Path, folder: Path | None) -> None:
        self.root = root
        self.path = folder / FILE if folder else None
        self._known = _read(self.path) if self.path else {}
        self._file: TextIO | None = None

    def __enter__(self) -> Prober:
        if self.path:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8", buffering=1)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def of(self, relative: str) -> Probe:
        """Return what the medium at ``relative`` (to the root) holds."""
        path = self.root / relative
        status = path.stat()
        key = (relative, status.st_size, status.st_mtime_ns)
        if key not in self._known:
            found = self._known[key] = _probe(path)
            if self._file:
                row = {
                    "medium": key,
                    **{name: value for name, value in vars(found).items() if value not in (None, False)},
                }
                self._file.write(json.dumps(row) + "\n")  # ASCII: names may hold bytes that are no UTF-8
        return self._known[key]


def _read(path: Path) -> dict[tuple[Any, ...], Probe]:
    """Return what is known already; a torn last line is what a kill leaves, and is passed over."""
    known = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
            key = tuple(row.pop("medium"))
            known[key] = Probe(**row)
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _probe(path: Path) -> Probe:
    from mercli.streams import media

    try:
        info = media.probe(path)
    except DataError as fault:
        return Probe(error=fault.message)
    seconds = None if info.duration is None else round(info.duration, 3)
    return Probe(seconds, info.has_video or info.is_image, info.has_audio)


def probed(items: Iterable[Clip | Segment | Excluded], prober: Prober) -> Iterator[Clip | Segment | Excluded]:
    """Yield the items: clips with their duration, segments masked where their medium does not decode or is empty.

    At the end the log tells how many clips have media that do not decode.
    """
    masks: dict[str, str] = {}
    broken = 0
    for item in items:
        if isinstance(item, Clip):
            item, masks = _clip(item, prober)
            broken += "undecodable" in item.meta
        elif isinstance(item, Segment) and masks:
            item = replace(item, masked={**masks, **item.masked})
        yield item
    if broken:
        logger.warning("%d clips have media that do not decode: probes.jsonl tells which and why", broken)


def _clip(clip: Clip, prober: Prober) -> tuple[Clip, dict[str, str]]:
    gives = {clip.video: ("face",) if clip.audio else ("audio", "face"), clip.audio: ("audio",)}
    masks: dict[str, str] = {}
    durations = []
    for medium, modalities in gives.items():
        if medium is None:
            continue
        found = prober.of(medium)
        if found.duration is not None and medium not in _shared(clip):
            durations.append(found.duration)
        reason = _unusable(found, prober.root / medium)
        masks |= dict.fromkeys(modalities, reason) if reason else {}
    broken = {"undecodable": True} if any("does not decode" in reason for reason in masks.values()) else {}
    duration = max(durations) if durations else clip.duration
    return replace(clip, duration=duration, meta={**clip.meta, **broken}), masks


def _shared(clip: Clip) -> tuple[str, ...]:
    """Return the media of which the clip is a part only, so that their length is not the clip's."""
    offsets = clip.meta.get("offset", {})
    paths = {"video": clip.video, "audio": clip.audio}
    return tuple(path for kind, path in paths.items() if path and kind in offsets)


def _unusable(found: Probe, path: Path) -> str | None:
    if found.error:
        # the path is the clip's own; what is left of the message says what is wrong with the file
        return f"media does not decode: {found.error.replace(repr(str(path)), path.name)}"
    if found.duration is not None and found.duration < EMPTY:
        return f"near-empty media ({found.duration:.2f} s)"
    return None
