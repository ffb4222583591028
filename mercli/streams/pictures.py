"""Decoded video frames -> upright RGB pictures on a sampling grid, with their true times; still pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from mercli.errors import DataError
from mercli.streams.sound import Span
from mercli.streams.source import Damage, check, decode, quoted

if TYPE_CHECKING:
    from mercli.types import ByteArray

EPSILON = 1e-6  # seconds: a frame due on a grid point may carry a timestamp this much below it


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture: ``rgb`` uint8 (H, W, 3), upright, shown at ``time`` seconds from the start of the clip."""

    time: float
    rgb: ByteArray


def display_size(frame: Any, aspect: Any) -> tuple[int, int]:
    """Return (width, height) in square pixels before rotation; ``aspect`` is a stored pixel's shape or ``None``."""
    ratio = float(aspect) if aspect else 1.0
    if not 0.2 < ratio < 5 or ratio == 1:
        return frame.width, frame.height
    return round(frame.width * ratio), frame.height


def quarter_turns(frame: av.VideoFrame) -> int:
    """Return by how many quarter turns counter-clockwise the stored picture must be turned to stand upright."""
    return round(frame.rotation / 90) % 4


def upright(frame: av.VideoFrame, max_side: int, aspect: Any = None) -> ByteArray:
    """Return RGB uint8 (H, W, 3), turned upright, shrunk to a long side of at most ``max_side`` (0: as it is)."""
    rgb = np.asarray(frame.reformat(format="rgb24", threads=1).to_ndarray(), np.uint8)
    rgb = shrunk(rgb, max_side, display_size(frame, aspect))
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns(frame)))


class Pictures:
    """Samples one video stream: in each cell of the grid ``start + k / fps`` the first frame shown is kept."""

    def __init__(self, stream: Any, fps: float, max_side: int, span: Span, damage: Damage) -> None:
        self.stream, self.fps, self.max_side, self.span, self.damage = stream, fps, max_side, span, damage
        self.done, self.decoded = False, 0
        self.reached = 0.0
        self._cell, self._last = -1, -math.inf

    def feed(self, packet: av.Packet) -> Iterator[Frame]:
        """Yield the kept frames that a packet completes."""
        for frame in decode(self.stream, packet, self.damage):
            yield from self._take(frame)

    def finish(self) -> Iterator[Frame]:
        """Yield the kept frames still inside the decoder."""
        if not self.done:
            for frame in decode(self.stream, None, self.damage):
                yield from self._take(frame)

    def _take(self, frame: av.VideoFrame) -> Iterator[Frame]:
        time = self.reached if frame.pts is None else max(0.0, frame.time - self.span.origin)
        self.reached = max(self.reached, time + self._length(frame))
        if frame.is_corrupt:
            self.damage.pictures += 1
            return
        self.decoded += 1
        if time >= self.span.end:
            self.done = True
        elif time >= self.span.start - EPSILON and time > self._last and self._due(time):
            self._last = time
            yield Frame(time, upright(frame, self.max_side, self.stream.sample_aspect_ratio))

    def _length(self, frame: av.VideoFrame) -> float:
        if frame.duration and frame.time_base:
            return float(frame.duration * frame.time_base)
        rate = self.stream.average_rate
        return float(1 / rate) if rate else 0.0

    def _due(self, time: float) -> bool:
        if math.isinf(self.fps):
            return True
        cell = math.floor((time - self.span.start + EPSILON) * self.fps)
        if cell <= self._cell:
            return False
        self._cell = cell
        return True


def read_image(path: Path) -> ByteArray:
    """Return a still picture as RGB uint8 (H, W, 3), upright by its EXIF orientation; raises ``DataError``."""
    import cv2

    check(path)
    try:
        bgr = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as fault:
        raise DataError(f"{quoted(path)} is no picture that can be decoded ({str(fault).strip()[:80]})") from None
    if bgr is None:
        raise DataError(f"{quoted(path)} is no picture that can be decoded, expected jpg, png, webp or bmp")
    return np.ascontiguousarray(bgr[:, :, ::-1])


def shrunk(rgb: ByteArray, max_side: int, shown: tuple[int, int] | None = None) -> ByteArray:
    """Return a picture (H, W, 3) shrunk to a long side of at most ``max_side`` (0: as it is).

    ``shown`` is the (width, height) it is to be seen at, where its pixels are not square.
    """
    width, height = shown or rgb.shape[1::-1]
    scale = min(1.0, max_side / max(width, height)) if max_side else 1.0
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == rgb.shape[1::-1]:
        return rgb
    import cv2

    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
