"""Transcripts for clips: the given text, else the recipe's transcriber, asked once per medium."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mercli import registry
from mercli.config import Choice
from mercli.contracts import Transcriber
from mercli.engines import devices
from mercli.jobs.clips.cutting import Source
from mercli.streams.language import guess
from mercli.types import Segment, Transcript

if TYPE_CHECKING:
    from mercli.types import FloatArray

ASR_RATE = 16_000
NO_TRANSCRIBER = "no transcript (transcriber 'none')"
NOT_FOUND = "no transcript found or made"


class Finder:
    """Finds what is said in a medium; the last answer is kept, since the segments of a clip come together."""

    def __init__(self, choice: Choice, device: str | None = None) -> None:
        """Build the transcriber; one with a network runs on ``device`` (``None``: where it likes best)."""
        hears = "device" in registry.get("transcribers", choice.name).options()
        own = {"device": device} if hears and device else {}
        self.transcriber: Transcriber = registry.build("transcribers", choice.name, options={**own, **choice.options})
        self.name = choice.name
        self._threads = partial(devices.many_threads, device) if hears and device else nullcontext
        self._last: tuple[Path, Transcript | None] | None = None

    def of(self, path: Path) -> Transcript | None:
        """Return the transcript of a medium, or ``None`` where there is none to be had."""
        if self._last is None or self._last[0] != path:
            with self._threads():
                self._last = (path, self.transcriber.transcribe(path, _audio(path)))
        return self._last[1]

    @property
    def reason(self) -> str:
        """Why a medium has no text."""
        return NO_TRANSCRIBER if self.name == "none" else NOT_FOUND

    def source(self, segment: Segment, medium: Path | None) -> Source:
        """Return a segment's text as a source: its own if the corpus has one, else the transcriber's."""
        if "text" in segment.masked:
            return Source((), None, segment.masked["text"])
        if segment.text:
            language = segment.language or guess(segment.text)
            source = segment.text_source or "corpus"
            return Source((), Transcript(segment.text, source, segment.words, language, segment.text_trust))
        found = self.of(medium) if medium else None
        return Source((), found, self.reason, whole=segment.start == 0 and segment.end is None)


def given_text(text: str) -> Transcript | None:
    """Return a text that the user gave as a transcript, its language guessed; ``None`` for an empty one."""
    return Transcript(text, "given", language=guess(text)) if text.strip() else None


def trusted(transcript: Transcript) -> float | None:
    """Return how much a transcript counts in 0..1, ``None`` where its source does not say."""
    from mercli.streams.trust import text_weight

    return None if transcript.trust is None else round(text_weight(transcript), 4)


def _audio(path: Path) -> Callable[[], Iterable[FloatArray]] | None:
    from mercli.streams import media

    return partial(media.listen, path, rate=ASR_RATE) if media.probe(path).has_audio else None


def speech(path: Path) -> Iterator[tuple[float, float]]:
    """Yield the stretches of speech (start, end in seconds) of a medium; none where it has no audio."""
    from mercli.streams.vad import speech_segments

    audio = _audio(path)
    yield from speech_segments(audio()) if audio else ()
