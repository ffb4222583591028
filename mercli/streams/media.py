"""Clips -> pictures, sound, subtitles, in one pass of PyAV and in flat memory, whatever the container.

Times are seconds from the start of the clip: where the first of its streams starts.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from mercli.errors import DataError
from mercli.streams.pictures import Frame, Pictures, display_size, quarter_turns, read_image, shrunk
from mercli.streams.sound import AudioChunk, Sound, Span
from mercli.streams.source import Damage, decode, find, is_image, is_mov, open_media, origin, packets, quoted

if TYPE_CHECKING:
    from mercli.types import FloatArray

__all__ = ["AudioChunk", "Frame", "MediaInfo", "listen", "probe", "read_audio", "read_image", "stream", "subtitles"]

PREROLL = 1.0  # seconds decoded before a cut: audio codecs need a frame or two, interleaving may lag
LOOSE = ("aac", "ac3", "amr", "eac3", "h264", "hevc", "mp3")  # bare streams: length and seeking are estimates
ESTIMATED = (*LOOSE, "mpeg", "mpegts", "mpegvideo")
TEXTS = ("ass", "mov_text", "srt", "ssa", "subrip", "text", "webvtt")


@dataclass(frozen=True)
class MediaInfo:
    """What a medium holds. ``width`` and ``height`` are as shown (square pixels, upright), ``rotation`` in degrees
    counter-clockwise is already in them; ``duration`` in seconds and ``fps`` are ``None`` where unknown.
    """

    duration: float | None
    has_video: bool
    has_audio: bool
    has_subtitles: bool
    width: int | None
    height: int | None
    fps: float | None
    rotation: int
    is_image: bool


def probe(path: Path) -> MediaInfo:
    """Return what a medium holds, having decoded its first frame; raises ``DataError`` where nothing decodes."""
    with open_media(path) as container:
        video, audio, image = find(container, "video"), find(container, "audio"), is_image(container)
        if video is None and audio is None:
            raise DataError(f"{quoted(path)} holds neither video nor audio, expected a media file")
        picture, heard = _first(container, video, audio)
        if picture is None and not heard:
            raise DataError(f"{quoted(path)} is damaged or of zero length: no frame can be decoded")
        turns, size = 0, None
        if picture is not None:
            turns, size = quarter_turns(picture), display_size(picture, video.sample_aspect_ratio)
            size = size[::-1] if turns % 2 else size
        rate = video.average_rate if picture is not None and not image else None
        return MediaInfo(
            duration=None if image else _duration(container),
            has_video=picture is not None and not image,
            has_audio=audio is not None and (heard or picture is not None),
            has_subtitles=_texts(container) is not None,
            width=size[0] if size else None,
            height=size[1] if size else None,
            fps=float(rate) if rate else None,
            rotation=90 * turns,
            is_image=image,
        )


def _first(container: av.container.InputContainer, video: Any, audio: Any) -> tuple[Any, bool]:
    """Return the first picture that decodes (``None`` after 300 packets without one) and whether sound decodes."""
    damage, heard, tried = Damage(), False, 0
    wanted = [part for part in (video, audio) if part is not None]
    for packet in packets(container, wanted, damage):
        frames = decode(packet.stream, packet, damage)
        if packet.stream is audio:
            heard = heard or bool(frames)
        elif frames:
            return frames[0], heard
        tried += packet.stream is video
        if heard and (video is None or tried >= 300):
            return None, True
    if video is not None:
        frames = decode(video, None, damage)
        return (frames[0] if frames else None), heard
    return None, heard or bool(decode(audio, None, damage))


def _duration(container: av.container.InputContainer) -> float | None:
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    lengths = [float(s.duration * s.time_base) for s in container.streams if s.duration and s.time_base]
    return max(lengths, default=None)


def _texts(container: av.container.InputContainer) -> Any:
    for part in container.streams.subtitles:
        if part.codec_context is not None and part.codec_context.name in TEXTS:
            return part
    return None


def stream(
    path: Path,
    *,
    audio_rate: int | None = 16_000,
    fps: float | None = 5.0,
    max_side: int = 640,
    start: float = 0.0,
    end: float | None = None,
    threads: int = 0,
) -> Iterator[Frame | AudioChunk]:
    """Yield pictures and sound of ``[start, end)`` in the order of the file, in one pass and flat memory.

    Pictures: the first frame in each cell of the grid ``start + k / fps`` with its true time, at most ``max_side``
    pixels long (0: full size); ``fps=inf`` keeps every frame, ``None`` decodes none. Sound: mono chunks without gaps
    at ``audio_rate`` Hz, ``None`` decodes none. ``threads`` decode video (0: as many as there are cores). A still
    picture is one frame at time 0. Damage is passed over with a warning on the logger ``mer``; raises ``DataError``
    where nothing can be decoded.
    """
    with open_media(path) as container:
        if is_image(container):
            if fps is not None and start <= 0:
                yield Frame(0.0, shrunk(read_image(path), max_side))
            return
        clip = _Pass(container, Span(start, math.inf if end is None else end, origin(container)))
        if fps is not None:
            clip.see(fps, max_side, threads)
        if audio_rate is not None:
            clip.hear(audio_rate)
        yield from clip.run()
        clip.judge(path)


class _Pass:
    """One pass over a container: which streams are wanted, how far each came, what was lost."""

    def __init__(self, container: av.container.InputContainer, span: Span) -> None:
        self.container, self.span, self.damage = container, span, Damage()
        self.video, self.audio = find(container, "video"), find(container, "audio")
        self.pictures: Pictures | None = None
        self.sound: Sound | None = None
        self._video_end: float | None = None

    def see(self, fps: float, max_side: int, threads: int) -> None:
        if self.video is not None:
            self.video.thread_type = "AUTO"
            self.video.codec_context.thread_count = threads
            self.pictures = Pictures(self.video, fps, max_side, self.span, self.damage)

    def hear(self, rate: int) -> None:
        if self.audio is not None:
            declared = self._declared(self.audio) if is_mov(self.container) else None
            longest = None if self.container.format.name in ESTIMATED else _duration(self.container)
            self.sound = Sound(self.audio, rate, self.span, self.damage, declared, longest)

    def run(self) -> Iterator[Frame | AudioChunk]:
        """Demux once and hand each packet to its sink."""
        sinks = {sink.stream.index: sink for sink in (self.pictures, self.sound) if sink is not None}
        if not sinks:
            return
        self._seek()
        for packet in packets(self.container, self._read(), self.damage):
            if packet.stream is self.video and packet.pts is not None:
                over = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self.span.origin
                self._video_end = max(over, self._video_end or over)
            sink = sinks.get(packet.stream.index)
            if sink is not None and not sink.done:
                yield from sink.feed(packet)
                if all(other.done for other in sinks.values()):
                    break
        if self.pictures is not None:
            yield from self.pictures.finish()
        if self.sound is not None:
            yield from self.sound.finish(self._video_end)

    def judge(self, path: Path) -> None:
        """Warn of what was lost; raise ``DataError`` where there was something and nothing could be decoded."""
        sinks = [sink for sink in (self.pictures, self.sound) if sink is not None]
        if self.video is None and self.audio is None:
            raise DataError(f"{quoted(path)} holds neither video nor audio, expected a media file")
        if sinks and not any(sink.decoded for sink in sinks) and (self.span.start <= 0 or self.damage.packets):
            raise DataError(f"{quoted(path)} is damaged or of zero length: no frame can be decoded")
        self.damage.cut = self._missing(sinks)
        self.damage.report(path)

    def _missing(self, sinks: list[Any]) -> float:
        """Return the seconds between where decoding ended and where the container says that it ends."""
        if self.container.format.name in ESTIMATED or any(sink.done for sink in sinks) or not sinks:
            return 0.0
        ends = [self._declared(sink.stream) for sink in sinks]
        whole = _duration(self.container)
        if None not in ends:
            short = max(end - sink.reached for end, sink in zip(ends, sinks, strict=True))  # type: ignore[operator]
        elif whole is not None and len(sinks) == (self.video is not None) + (self.audio is not None):
            short = whole - max(sink.reached for sink in sinks)
        else:
            return 0.0
        return short if short > 0.5 and self.span.start < (whole or math.inf) else 0.0

    def _declared(self, part: Any) -> float | None:
        if part.duration is None:
            return None
        return float((part.duration + (part.start_time or 0)) * part.time_base) - self.span.origin

    def _read(self) -> list[Any]:
        """Return the streams to demux: video also unseen, where only its packets tell the end of the clip."""
        wanted = {sink.stream.index for sink in (self.pictures, self.sound) if sink is not None}
        if self.video is not None and not is_mov(self.container):
            wanted.add(self.video.index)
        for part in self.container.streams:
            if part.index not in wanted:
                part.discard = av.stream.Discard.all
        return [part for part in self.container.streams if part.index in wanted]

    def _seek(self) -> None:
        target = self.span.start - PREROLL
        if target > 0 and self.container.format.name not in LOOSE:
            with contextlib.suppress(av.FFmpegError):  # what cannot seek is read from its start
                self.container.seek(round((target + self.span.origin) * av.time_base))


def listen(path: Path, *, rate: int = 16_000, start: float = 0.0, end: float | None = None) -> Iterator[FloatArray]:
    """Yield mono float32 pieces (N,) of ``[start, end)`` at ``rate`` Hz without gaps, the first sample at ``start``.

    Sound that begins later is preceded by silence; one that ends earlier is shorter. Memory is flat in length.
    """
    begun = False
    for chunk in stream(path, audio_rate=rate, fps=None, start=start, end=end):
        if isinstance(chunk, AudioChunk):
            ahead = round((chunk.time - start) * rate) if not begun else 0
            for first in range(0, ahead, rate):
                yield np.zeros(min(rate, ahead - first), np.float32)
            begun = True
            yield chunk.samples


def read_audio(path: Path, *, rate: int = 16_000, start: float = 0.0, end: float | None = None) -> FloatArray:
    """Return what ``listen`` yields as one array (N,); raises ``DataError`` where the clip has no audio."""
    pieces = list(listen(path, rate=rate, start=start, end=end))
    if not pieces and not probe(path).has_audio:
        raise DataError(f"{quoted(path)} has no audio")
    return np.concatenate([*pieces, np.empty(0, np.float32)])


def subtitles(path: Path) -> list[tuple[float, float, str]]:
    """Return (start, end, text) of each cue of the first text subtitle stream, tags removed; [] where there is none."""
    cues = []
    with open_media(path) as container:
        part, zero, damage = _texts(container), origin(container), Damage()
        if part is None:
            return []
        for packet in packets(container, [part], damage):
            if packet.pts is None:
                continue
            start = float(packet.pts * packet.time_base) - zero
            end = start + float((packet.duration or 0) * packet.time_base)
            text = " ".join(filter(None, (_plain(cue) for cue in decode(part, packet, damage))))
            if text:
                cues.append((start, end, text))
    return cues


def _plain(cue: Any) -> str:
    line = bytes(getattr(cue, "ass", b"")).decode("utf-8", "replace")
    text = line.split(",", 8)[-1].replace("\\N", " ").replace("\\n", " ").replace("\\h", " ")
    return " ".join(re.sub(r"\{\\[^}]*\}|</?[A-Za-z][^<>]*>", "", text).split())
