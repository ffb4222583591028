"""Cutting clips: one demux pass feeds every window of a clip, and memory does not grow with its length."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf
from pathlib import Path
from typing import TYPE_CHECKING

from mercli.errors import DataError
from mercli.types import Streams, StreamSettings, Transcript

if TYPE_CHECKING:
    from mercli.streams.faces import FaceFinder
    from mercli.streams.media import Frame
    from mercli.types import FloatArray

STREAMS_VERSION = "1"  # raised when decoding, face crops or cuts change what encoders see
LAG = 10.0
RATE = 16_000

Window = tuple[float, float]


@dataclass(frozen=True)
class Medium:
    """A file, the modalities that are taken from it, and the second of it at which the clip begins."""

    path: Path
    modalities: tuple[str, ...]
    offset: float = 0.0


@dataclass(frozen=True)
class Source:
    """What one clip's streams are made from: its media, its transcript, and how its face is chosen.

    ``whole``: every window takes the whole transcript (it has been cut already, or there is one window). ``region``:
    ``left`` or ``right`` half of the picture, where a corpus shows two people side by side.
    """

    media: tuple[Medium, ...]
    transcript: Transcript | None = None
    no_text: str = "no transcript"
    whole: bool = True
    face: str = "speaker"
    region: str | None = None


@dataclass(frozen=True, eq=False)
class Piece:
    """At most ``longest`` seconds of one window, or its transcript; ``last`` when nothing of the window follows.

    Times in ``streams`` count from the piece's own ``start`` (seconds from the start of the clip), as its samples do.
    A ``bare`` piece has no stream: it stands for the segment, for encoders that need no more than its id.
    """

    window: int
    streams: Streams
    start: float
    last: bool = False
    bare: bool = False


@dataclass
class _Sound:
    """Samples from ``start`` on, as a queue of chunks; what lies before the next part is let go."""

    rate: int
    chunks: deque[tuple[float, FloatArray]] = field(default_factory=deque)

    def add(self, time: float, samples: FloatArray) -> None:
        self.chunks.append((time, samples))

    def cut(self, start: float, end: float) -> FloatArray | None:
        import numpy as np

        parts = []
        for time, samples in self.chunks:
            first = max(0, round((start - time) * self.rate))
            last = min(len(samples), round((end - time) * self.rate))
            if first < last:
                parts.append(samples[first:last])
        return np.concatenate(parts) if parts else None

    def energy(self, start: float, end: float) -> float:
        import numpy as np

        samples = self.cut(start, end)
        return 0.0 if samples is None else float(np.sqrt(np.mean(samples**2)))

    def forget(self, before: float) -> None:
        while self.chunks and self.chunks[0][0] + len(self.chunks[0][1]) / self.rate <= before:
            self.chunks.popleft()


@dataclass(frozen=True)
class _Part:
    window: int
    start: float
    end: float
    last: bool


def _parts(windows: Sequence[Window], longest: float | None) -> deque[_Part]:
    """Return the windows in equal parts of at most ``longest`` seconds, by start."""
    parts = []
    for index, (start, end) in enumerate(windows):
        count = 1 if longest is None else max(1, ceil((end - start) / longest))
        step = (end - start) / count
        parts += [
            _Part(index, start + k * step, end if k + 1 == count else start + (k + 1) * step, k + 1 == count)
            for k in range(count)
        ]
    return deque(sorted(parts, key=lambda part: (part.start, part.window)))


def cut(
    medium: Medium, windows: Sequence[Window], settings: StreamSettings, face: str, region: str | None = None
) -> Iterator[Piece]:
    """Yield the audio and face pieces of every window (start, end in seconds) of one medium, in one pass."""
    from mercli.streams import media
    from mercli.streams.faces import FaceFinder

    info = media.probe(medium.path)
    wants_audio = "audio" in medium.modalities and info.has_audio
    finder = None
    if "face" in medium.modalities and (info.has_video or info.is_image):
        # without sound nobody can be seen to speak, and looking at mouths would be work for nothing
        mode = "largest" if face == "speaker" and not info.has_audio else face
        finder = FaceFinder(mode=mode, size=settings.face_size, margin=settings.face_margin)
    if info.is_image:
        yield from _still(medium, windows, finder)
        return
    # who speaks is seen by the sound's own rhythm, whether or not the sound itself is asked for
    hears = wants_audio or (finder is not None and info.has_audio and face == "speaker")
    parts = _parts(windows, settings.longest)
    sound = _Sound(settings.audio_rate)
    clocks = {}
    if finder:
        clocks["video"] = parts[0].start
    if hears:
        clocks["audio"] = parts[0].start
    events = media.stream(
        medium.path,
        audio_rate=settings.audio_rate if hears else None,
        fps=settings.face_fps if finder else None,
        start=parts[0].start,
        end=max(part.end for part in parts),
    )
    for event in events if clocks else ():
        if isinstance(event, media.Frame):
            if finder:
                finder.add(_half(event, region))
            clocks["video"] = event.time
        else:
            sound.add(event.time, event.samples)
            clocks["audio"] = event.time + len(event.samples) / settings.audio_rate
        # a stream that ended early must not hold the other's material back
        while parts and (min(clocks.values()) >= parts[0].end or max(clocks.values()) >= parts[0].end + LAG):
            yield _emit(parts, medium, sound, finder, settings)
    while parts:
        yield _emit(parts, medium, sound, finder, settings)


def _half(frame: Frame, region: str | None) -> Frame:
    """Return the frame's left or right half, or all of it."""
    middle = frame.rgb.shape[1] // 2
    sides = {"left": slice(0, middle), "right": slice(middle, None)}
    return replace(frame, rgb=frame.rgb[:, sides[region]]) if region in sides else frame


def _emit(
    parts: deque[_Part], medium: Medium, sound: _Sound, finder: FaceFinder | None, settings: StreamSettings
) -> Piece:
    part = parts.popleft()
    missing = {}
    audio = sound.cut(part.start, part.end) if "audio" in medium.modalities else None
    if audio is None and "audio" in medium.modalities:
        missing["audio"] = "no audio" if not sound.chunks else "no audio in this stretch"
    track = finder.segment(part.start, part.end, sound.energy) if finder else None
    if track is None and "face" in medium.modalities:
        missing["face"] = finder.reason(part.start, part.end) if finder else "no video"
    following = parts[0].start if parts else part.end
    sound.forget(following)
    if finder:
        finder.forget(following)
    streams = Streams(
        audio=audio,
        audio_rate=settings.audio_rate,
        faces=track.faces if track else None,
        face_times=track.times - part.start if track else None,
        face_confidence=track.confidence if track else None,
        face_boxes=track.boxes if track else None,
        missing=missing,
    )
    return Piece(part.window, streams, part.start, last=part.last)


def _still(medium: Medium, windows: Sequence[Window], finder: FaceFinder | None) -> Iterator[Piece]:
    from mercli.streams import media

    missing = {"audio": "a still picture has no audio"} if "audio" in medium.modalities else {}
    track = None
    if finder:
        finder.add(media.Frame(0.0, media.read_image(medium.path)))
        track = finder.segment(0.0, float("inf"), None)
    if track is None:
        missing["face"] = finder.reason(0.0, float("inf")) if finder else "no picture"
    streams = Streams(
        faces=track.faces if track else None,
        face_times=track.times if track else None,
        face_confidence=track.confidence if track else None,
        face_boxes=track.boxes if track else None,
        missing=missing,
    )
    for window in range(len(windows)):
        yield Piece(window, streams, 0.0, last=True)


def words(source: Source, windows: Sequence[Window]) -> Iterator[Piece]:
    """Yield each window's text; a ``whole`` source gives all of it, others the words whose midpoint lies inside."""
    from mercli.streams import align

    for index, (start, end) in enumerate(windows):
        here, why = source.transcript, source.no_text
        if here is not None and not source.whole:
            why = align.why_no_words(here)
            here = align.cut_words(here, start, end)
        # words keep their times in the clip, so the piece starts where the clip does
        yield Piece(index, Streams(transcript=here, missing={} if here else {"text": why}), 0.0, last=True)


def pieces(source: Source, windows: Sequence[Window], settings: StreamSettings) -> Iterator[Piece]:
    """Yield every piece of every window of a source: its text first, then its media one after another."""
    wanted = [medium for medium in source.media if medium.modalities]
    steps = [words(source, windows), *(cut(m, windows, settings, source.face, source.region) for m in wanted)]
    for step in steps[:-1]:
        for piece in step:
            yield replace(piece, last=False)
    yield from steps[-1]


def length(source: Source) -> float:
    """Return the length in seconds of the longest medium; 0 for pictures; raises ``DataError`` where it has none.

    A container that does not tell (a browser's recording) is read through once.
    """
    from mercli.streams import media

    longest = 0.0
    for medium in source.media:
        info = media.probe(medium.path)
        if info.is_image:
            continue
        seconds = info.duration or _counted(medium.path)
        if seconds <= 0:
            raise DataError(f"'{medium.path}' has no length: no frame and no sound in it could be read")
        longest = max(longest, seconds)
    return longest


def _counted(path: Path) -> float:
    """Return where the last frame or sample of a medium ends, in seconds."""
    from mercli.streams import media

    end = 0.0
    for event in media.stream(path, audio_rate=RATE, fps=None if media.probe(path).has_audio else inf):
        length_here = len(event.samples) / RATE if isinstance(event, media.AudioChunk) else 0.0
        end = max(end, event.time + length_here)
    return end
