"""Cut a clip's words to one stretch of it, half-open: stretches that tile a clip share them out without loss."""

from __future__ import annotations

from dataclasses import replace

from mercli.streams.trust import HeardTranscript, trust_of_words
from mercli.types import Transcript

NO_TIMES = "transcript has no times"
NO_WORDS = "no words in this stretch"


def cut_words(
    transcript: Transcript, start: float, end: float | None, *, duration: float | None = None
) -> Transcript | None:
    """Return what is said in ``[start, end)``: the words whose midpoint lies there, their times unchanged.

    A transcript without times belongs to the whole clip only (``start`` 0, ``end`` ``None`` or at least
    ``duration``). ``None`` where nothing is said; ``why_no_words`` gives the reason.
    """
    whole = start <= 0 and (end is None or (duration is not None and end >= duration))
    if whole and (end is None or not transcript.words):
        return transcript if transcript.text.strip() else None
    words = tuple(word for word in transcript.words if _inside((word.start + word.end) / 2, start, end))
    if not words:
        return None
    cut = replace(transcript, text=" ".join(word.text for word in words), words=words)
    if isinstance(cut, HeardTranscript):
        heard = tuple(w for w in cut.heard if w.end > start and (end is None or w.start < end))
        return replace(cut, heard=heard, trust=trust_of_words(words, heard))
    return cut


def why_no_words(transcript: Transcript) -> str:
    """Return why ``cut_words`` found nothing: the transcript has no times, or nothing is said there."""
    return NO_WORDS if transcript.words or not transcript.text.strip() else NO_TIMES


def _inside(time: float, start: float, end: float | None) -> bool:
    return time >= start and (end is None or time < end)
