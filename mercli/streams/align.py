"""Cut a clip's audio, faces and words to one stretch of it.

Every cut is half-open, so that stretches which tile a clip share its material out without loss or repetition.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mercli.streams.trust import HeardTranscript, trust_of_words
from mercli.types import Streams, Transcript, Word

if TYPE_CHECKING:
    from mercli.types import FloatArray

NO_TIMES = "transcript has no times"
NO_WORDS = "no words in this stretch"
NO_AUDIO = "no audio in this stretch"
NO_FACE = "no face frame in this stretch"


def cut_audio(audio: FloatArray, rate: int, start: float, end: float | None) -> FloatArray:
    """Return the samples of ``[start, end)`` seconds from mono ``audio`` (N,) at ``rate`` Hz, as a view.

    ``end=None`` is the end of the clip; a stretch outside the audio is empty.
    """
    first = max(0, round(start * rate))
    last = None if end is None else max(first, round(end * rate))
    return audio[first:last]


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


def cut_streams(streams: Streams, start: float, end: float | None, *, duration: float | None = None) -> Streams:
    """Return the streams of ``[start, end)`` with times that count from ``start``, as the first audio sample does.

    A modality that has nothing there becomes ``None``, with its reason in ``missing``.
    """
    missing = dict(streams.missing)
    audio = None if streams.audio is None else cut_audio(streams.audio, streams.audio_rate, start, end)
    if audio is not None and not len(audio):
        audio, missing["audio"] = None, NO_AUDIO
    faces = _cut_faces(streams, start, end)
    if streams.faces is not None and faces.faces is None:
        missing["face"] = NO_FACE
    transcript = None
    if streams.transcript is not None:
        transcript = cut_words(streams.transcript, start, end, duration=duration)
        if transcript is None:
            missing["text"] = why_no_words(streams.transcript)
        else:
            transcript = _shift(transcript, start)
    return replace(faces, audio=audio, transcript=transcript, missing=missing)


def _cut_faces(streams: Streams, start: float, end: float | None) -> Streams:
    if streams.faces is None or streams.face_times is None:
        return streams
    chosen = streams.face_times >= start
    if end is not None:
        chosen &= streams.face_times < end
    if not chosen.any():
        return replace(streams, faces=None, face_times=None, face_confidence=None)
    confidence = None if streams.face_confidence is None else streams.face_confidence[chosen]
    times = streams.face_times[chosen] - start
    return replace(streams, faces=streams.faces[chosen], face_times=times, face_confidence=confidence)


def _shift(transcript: Transcript, start: float) -> Transcript:
    words = tuple(Word(w.text, max(0.0, w.start - start), w.end - start, w.confidence) for w in transcript.words)
    shifted = replace(transcript, words=words)
    if isinstance(shifted, HeardTranscript):
        heard = tuple(replace(w, start=w.start - start, end=w.end - start) for w in shifted.heard)
        return replace(shifted, heard=heard)
    return shifted


def _inside(time: float, start: float, end: float | None) -> bool:
    return time >= start and (end is None or time < end)
