"""Writes films: pictures and sound come as they are made and none is kept (moviepy drives ffmpeg)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mercli.errors import DataError

if TYPE_CHECKING:
    from mercli.types import ByteArray, FloatArray

RATE = 44_100
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}


def write(
    path: Path,
    kind: str,
    pictures: Iterable[ByteArray],
    fps: float,
    count: int,
    sound: Iterable[FloatArray] | None,
) -> None:
    """Write ``count`` pictures (H, W, 3), both sides even, at ``fps`` (two decimals) with mono sound at ``RATE`` Hz.

    ``kind`` is the container, a value of ``FORMATS``. Sound that is shorter than the pictures ends in silence.
    Raises ``DataError`` where ffmpeg cannot write.
    """
    from moviepy import VideoClip

    # moviepy rounds what it gets down: half a picture more makes sure of the last
    clip = VideoClip(_Pictures(pictures, fps).at, duration=(count + 0.5) / fps)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".mer-") as folder:
        wave = _wave(Path(folder), sound, count / fps) if sound is not None else False
        try:
            clip.write_videofile(
                str(path), fps=fps, codec="libx264", audio=wave, audio_codec="aac", logger=None,
                ffmpeg_params=["-f", kind, "-crf", "20", "-b:a", "160k", "-movflags", "+faststart"],
            )  # fmt: skip
        except OSError as fault:
            raise DataError(f"'{path.name}' cannot be written: {fault}") from fault


def _wave(folder: Path, sound: Iterable[FloatArray], seconds: float) -> str:
    """Write the sound as a file of samples, which ffmpeg then encodes as it muxes: codecs add no delay that way."""
    from moviepy import AudioClip

    path = str(folder / "sound.wav")
    AudioClip(_Samples(sound).at, duration=seconds, fps=RATE).write_audiofile(path, codec="pcm_s16le", logger=None)
    return path


class _Pictures:
    """Pictures by time, for a reader that goes forward and may ask for the same one again."""

    def __init__(self, pictures: Iterable[ByteArray], fps: float) -> None:
        self.coming, self.fps = iter(pictures), fps
        self.number, self.picture = -1, np.empty((0, 0, 3), np.uint8)

    def at(self, time: float) -> ByteArray:
        while self.number < round(time * self.fps):
            self.picture = next(self.coming, self.picture)
            self.number += 1
        return self.picture


class _Samples:
    """Samples by time, for a reader that goes forward block after block; silence after the last."""

    def __init__(self, sound: Iterable[FloatArray]) -> None:
        self.coming: Iterator[FloatArray] = iter(sound)
        self.held = np.empty(0, np.float32)

    def at(self, times: Any) -> Any:
        if np.ndim(times) == 0:  # moviepy asks for time 0 to count the channels
            return 0.0
        while len(self.held) < len(times):
            piece = next(self.coming, None)
            self.held = np.concatenate([self.held, np.zeros(len(times), np.float32) if piece is None else piece])
        block, self.held = np.split(self.held, [len(times)])
        return block
