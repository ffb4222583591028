"""Decoded audio frames -> mono float32 chunks at one rate, on the clip's true time line, in flat memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from mercli.streams.source import Damage, decode

if TYPE_CHECKING:
    from mercli.types import FloatArray

CHUNK = 1.0  # seconds a chunk holds
HOLD = 0.3  # seconds kept back until the end is known: more than the longest codec frame
GAP = 0.05  # seconds by which timestamps may disagree with the sample count before silence is filled in
BATCH = 0.25  # seconds resampled at once: calls cost more than samples
LEAP = 60.0  # a longer hole, where the length is unknown, is a broken timestamp
SAMPLES = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}


@dataclass(frozen=True, eq=False)
class AudioChunk:
    """Consecutive samples: ``samples`` float32 (N,) mono, the first at ``time`` seconds from the start of the clip."""

    time: float
    samples: FloatArray


@dataclass(frozen=True)
class Span:
    """The wanted part of a clip, ``[start, end)`` in clip seconds; ``origin`` is the timestamp of clip time 0."""

    start: float
    end: float
    origin: float


def downmix(frame: av.AudioFrame) -> FloatArray:
    """Return mono float32 (N,) in -1..1: the mean of stereo; a front centre keeps its full weight.

    With a centre channel (dialogue) mono is ``FC + (FL + FR) / 2``: surrounds and LFE carry no voice.
    """
    names = [channel.name for channel in frame.layout.channels]
    kind = np.dtype(SAMPLES[frame.format.packed.name])
    each = frame.samples if frame.format.is_planar else frame.samples * len(names)
    buffers: Any = frame.planes
    planes = [np.frombuffer(buffer, kind, each) for buffer in buffers]
    channels = planes if frame.format.is_planar else list(planes[0].reshape(-1, len(names)).T)
    full = 1.0 if kind.kind == "f" else 2.0 ** (8 * kind.itemsize - 1)
    mono = np.zeros(frame.samples, np.float32)
    for weight, channel in zip(weights(names), channels, strict=True):
        if weight:
            mono += (channel - np.float32(128) if kind == np.uint8 else channel) * np.float32(weight / full)
    return np.clip(mono, -1, 1, out=mono) if len(names) > 2 else mono


def weights(names: list[str]) -> FloatArray:
    """Return what each channel contributes to mono (C,), by channel names such as ``FL FR FC LFE``."""
    if "FC" not in names and "FL" not in names and len(names) in (6, 8):
        names = ["FL", "FR", "FC", *names[3:]]  # unnamed channels of this count come in the order of 5.1 and 7.1
    if "FC" in names:
        return np.array([{"FC": 1.0, "FL": 0.5, "FR": 0.5}.get(name, 0.0) for name in names], np.float32)
    used = np.array([name != "LFE" for name in names], np.float32)
    return used / used.sum()


class Sound:
    """Turns one audio stream's packets into chunks at ``rate`` Hz; gaps become silence, padding is cut.

    ``declared`` is the end of the track in clip seconds where the container knows it exactly; ``longest`` the length
    beyond which a timestamp is not believed.
    """

    def __init__(
        self, stream: Any, rate: int, span: Span, damage: Damage, declared: float | None, longest: float | None
    ) -> None:
        self.stream, self.rate, self.span, self.damage = stream, rate, span, damage
        self.declared, self.longest = declared, longest
        self.done, self.decoded = False, 0
        self._resampler: av.AudioResampler | None = None
        self._source_rate = 0
        self._anchor = 0.0  # clip time of the resampler's first sample
        self._taken = self._made = 0  # samples put into and got out of it
        self._skip = 0  # source samples to drop before the first
        self._queue: list[FloatArray] = []  # source samples not yet resampled
        self._queued = 0
        self._held: list[FloatArray] = []
        self._count = 0
        self._head = 0.0  # clip time of the first held sample

    @property
    def reached(self) -> float:
        """Clip time up to which samples were decoded."""
        return self._anchor + self._taken / self._source_rate if self._source_rate else 0.0

    def feed(self, packet: av.Packet) -> Iterator[AudioChunk]:
        """Yield the chunks that a packet completes."""
        for frame in decode(self.stream, packet, self.damage):
            yield from self._take(frame)

    def finish(self, video_end: float | None) -> Iterator[AudioChunk]:
        """Yield what is left, cut to the declared end or, where codec padding reaches beyond it, to ``video_end``."""
        if not self.done:
            for frame in decode(self.stream, None, self.damage):
                yield from self._take(frame)
            self._flush()
            self._trim(video_end)
        while self._count:
            yield self._pop()

    def _take(self, frame: av.AudioFrame) -> Iterator[AudioChunk]:
        wave, rate = downmix(frame), frame.sample_rate
        time = self.reached if frame.pts is None or frame.time is None else frame.time - self.span.origin
        self.decoded += 1
        if rate != self._source_rate:
            self._restart(rate, time)
        gap = time - self.reached
        limit = self.longest if self.longest is not None else self.reached + LEAP
        if gap > GAP and time <= limit:
            yield from self._silence(gap)
        elif gap < -GAP and -gap * rate < len(wave):
            wave = wave[round(-gap * rate) :]
        if self._skip:
            dropped = min(self._skip, len(wave))
            wave, self._skip = wave[dropped:], self._skip - dropped
        self._push(wave)
        yield from self._emit()

    def _silence(self, seconds: float) -> Iterator[AudioChunk]:
        left = round(seconds * self._source_rate)
        while left > 0 and not self.done:
            piece = min(left, self._source_rate)
            self._push(np.zeros(piece, np.float32))
            left -= piece
            yield from self._emit()

    def _restart(self, rate: int, time: float) -> None:
        self._flush()
        if self.span.start > 0 and time > 0:  # begin where both rates have a sample, so that a cut equals the whole
            step = rate // math.gcd(rate, self.rate)
            first = round(time * rate)
            self._skip = -first % step if step <= GAP * rate else 0
            time = (first + self._skip) / rate
        self._source_rate, self._anchor, self._taken, self._made = rate, time, 0, 0
        self._resampler = av.AudioResampler("flt", "mono", self.rate) if rate != self.rate else None

    def _flush(self) -> None:
        self._drain()
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                self._accept(frame.to_ndarray()[0])
            self._resampler = None

    def _push(self, wave: FloatArray) -> None:
        self._taken += len(wave)
        self._queued += len(wave)
        self._queue.append(wave)
        if self._queued >= BATCH * self._source_rate:
            self._drain()

    def _drain(self) -> None:
        if not self._queued:
            return
        wave = np.concatenate(self._queue)
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = self._source_rate, self._taken - self._queued
        self._queue, self._queued = [], 0
        for made in [frame] if self._resampler is None else self._resampler.resample(frame):
            self._accept(made.to_ndarray()[0])

    def _accept(self, wave: FloatArray) -> None:
        time = self._anchor + self._made / self.rate
        self._made += len(wave)
        skip = max(0, round((self.span.start - time) * self.rate))
        wave, time = wave[skip:], time + skip / self.rate
        if time + len(wave) / self.rate >= self.span.end:
            wave, self.done = wave[: max(0, round((self.span.end - time) * self.rate))], True
        if len(wave):
            if not self._count:
                self._head = max(time, self.span.start)
            self._held.append(wave)
            self._count += len(wave)

    def _emit(self) -> Iterator[AudioChunk]:
        while self._count > round((CHUNK + HOLD) * self.rate):
            yield self._pop()

    def _pop(self) -> AudioChunk:
        wave = np.concatenate(self._held)
        piece, rest = np.split(wave, [round(CHUNK * self.rate)])
        chunk = AudioChunk(self._head, piece)
        self._held, self._count = [rest], len(rest)
        self._head += len(piece) / self.rate
        return chunk

    def _trim(self, video_end: float | None) -> None:
        if self.declared is not None:
            limit, most = self.declared, HOLD
        elif video_end is not None:
            limit, most = video_end, (self.stream.codec_context.frame_size or 0) / (self._source_rate or 1)
        else:
            return
        over = self._head + self._count / self.rate - limit
        if 0 < over <= most + 1e-3:
            keep = max(0, self._count - round(over * self.rate))
            self._held, self._count = [np.concatenate([*self._held, np.empty(0, np.float32)])[:keep]], keep
