"""``prepare --transcribe``: segments without words get them, and what was heard in a medium is kept by its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mercli.config import Choice
from mercli.contracts import Excluded
from mercli.errors import DataError
from mercli.jobs.clips.transcripts import Finder, trusted
from mercli.log import logger
from mercli.rundir import json_line, sha256, write_text
from mercli.types import Clip, Segment, Transcript, Word

FOLDER = "transcripts"
HEARS = "whisper"
"""The transcriber whose answers are kept: to read a file beside a clip again costs nothing, and it may have changed."""


class Scribe:
    """Finds the words of media, asking in the order of ``auto``; what was heard lies in ``folder/transcripts``."""

    def __init__(self, root: Path, folder: Path | None, choice: Choice) -> None:
        self.root = root
        self.folder = folder / FOLDER if folder else None
        names = ("sidecar", "subtitles", HEARS) if choice.name == "auto" else (choice.name,)
        self._finders = [
            Finder(Choice(name=name, options=choice.options if name in (HEARS, choice.name) else {})) for name in names
        ]
        self._last: tuple[str, Transcript | None] | None = None
        self._heard_with = hashlib.sha256(json_line(choice.options).encode()).hexdigest()[:8]

    def of(self, relative: str) -> Transcript | None:
        """Return what is said in the medium at ``relative`` (to the root), ``None`` where nothing is found or heard.

        The last answer is kept, since the segments of a clip come together, and to hash a long video takes its time.
        """
        if self._last is None or self._last[0] != relative:
            self._last = (relative, self._asked(self.root / relative))
        return self._last[1]

    def _asked(self, path: Path) -> Transcript | None:
        asked = (self._heard(finder, path) if finder.name == HEARS else finder.of(path) for finder in self._finders)
        return next((found for found in asked if found is not None), None)

    def _heard(self, finder: Finder, path: Path) -> Transcript | None:
        if self.folder is None:
            return finder.of(path)
        kept = self.folder / f"{sha256(path)[:24]}-{self._heard_with}.json"
        if kept.is_file():
            return _read(kept)
        found = finder.of(path)
        if found is not None:
            write_text(kept, json.dumps(_document(found), ensure_ascii=False) + "\n")
        return found


def _document(transcript: Transcript) -> dict[str, Any]:
    """Return a transcript in the form of openai-whisper's own output, which is read as a sidecar is."""
    windows = getattr(transcript, "heard", ())
    segments = [{**asdict(window), "words": _words(transcript.words, window.start, window.end)} for window in windows]
    return {"text": transcript.text, "language": transcript.language, "segments": segments}


def _words(words: Sequence[Word], start: float, end: float) -> list[dict[str, Any]]:
    inside = [word for word in words if start <= (word.start + word.end) / 2 < end]
    return [{"word": w.text, "start": w.start, "end": w.end, "probability": w.confidence} for w in inside]


def _read(path: Path) -> Transcript | None:
    from mercli.streams.sidecar import read_sidecar

    found = read_sidecar(path)
    return replace(found, source=HEARS) if found else None


def transcribed(items: Iterable[Clip | Segment | Excluded], scribe: Scribe) -> Iterator[Clip | Segment | Excluded]:
    """Yield the items; a segment without words, and whose text is not masked, gets those of its stretch.

    A medium that cannot be read leaves its segments as they are, and is told.
    """
    clip: Clip | None = None
    for item in items:
        if isinstance(item, Clip):
            clip = item
        elif isinstance(item, Segment) and clip and not item.text and "text" not in item.masked:
            item = _with_words(item, clip, scribe)
        yield item


def _with_words(segment: Segment, clip: Clip, scribe: Scribe) -> Segment:
    from mercli.streams.align import cut_words

    medium = clip.audio or clip.video
    if medium is None or "audio" in segment.masked:
        return segment
    try:
        found = scribe.of(medium)
    except DataError as fault:  # the unit boundary: one bad clip never stops the others
        logger.warning("clip '%s': %s", clip.id, fault.message)
        return segment
    cut = cut_words(found, segment.start, segment.end, duration=clip.duration) if found else None
    if cut is None:
        return segment
    return replace(
        segment, text=cut.text, words=cut.words, text_source=cut.source, text_trust=trusted(cut), language=cut.language
    )
