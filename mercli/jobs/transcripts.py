"""Transcripts for clips: the given text, else the recipe's transcriber, asked once per medium."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mercli import registry
from mercli.config import Choice
from mercli.contracts import Transcriber
from mercli.jobs.cutting import Medium, Source
from mercli.types import Segment, Transcript

if TYPE_CHECKING:
    from mercli.types import FloatArray

ASR_RATE = 16_000


class Finder:
    """Finds what is said in a medium; the last answer is kept, since the segments of a clip come together."""

    def __init__(self, choice: Choice) -> None:
        self.transcriber: Transcriber = registry.build("transcribers", choice.name, options=choice.options)
        self.name = choice.name
        self._last: tuple[Path, Transcript | None] | None = None

    def of(self, path: Path) -> Transcript | None:
        """Return the transcript of a medium, or ``None`` where there is none to be had."""
        if self._last is None or self._last[0] != path:
            self._last = (path, self.transcriber.transcribe(path, _audio(path)))
        return self._last[1]

    @property
    def reason(self) -> str:
        """Why a medium has no text."""
        return "no transcript (transcriber 'none')" if self.name == "none" else "no transcript found or made"

    def source(self, segment: Segment, media_files: tuple[Medium, ...], face: str) -> Source:
        """Return the source of a segment: its own text if the corpus has one, else the transcriber's."""
        if "text" in segment.masked:
            return Source(media_files, None, segment.masked["text"], face=face)
        if segment.text:
            own = Transcript(
                segment.text, segment.text_source or "corpus", segment.words, segment.language, segment.text_trust
            )
            return Source(media_files, own, face=face)
        found = self.of(media_files[0].path) if media_files else None
        whole = segment.start == 0 and segment.end is None
        return Source(media_files, found, self.reason, whole=whole, face=face)


def given_text(text: str) -> Transcript | None:
    """Return a text that the user gave as a transcript, its language guessed; ``None`` for an empty one."""
    from mercli.streams.language import guess

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
