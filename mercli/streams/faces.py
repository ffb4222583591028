"""A clip's frames become one face's crops: detected, followed from frame to frame, one chosen per segment.

Frames are added as they are decoded and only small crops are kept, so memory follows the segment, not the clip.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from mercli.errors import ConfigError
from mercli.registry import near
from mercli.streams.detector import detect
from mercli.streams.mouth import Energy, opening, speaker
from mercli.streams.tracks import GAP, Box, Sample, Track, Tracker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mercli.types import ByteArray, FloatArray

MODES = ("speaker", "largest", "all", "whole")
NO_FRAME = "no frame in this stretch"
NO_FACE = "no face found in {frames} frames"

EVERYONE = -1  # the track number of all faces together
_ROOM = 0.4  # of the face's square, on top of it, when the mesh looks at it
_MESH_SIDE = 256


class Frame(Protocol):
    """A decoded picture: seconds from the start of the clip, uint8 (H, W, 3)."""

    @property
    def time(self) -> float:
        """Return the frame's own time."""
        ...

    @property
    def rgb(self) -> ByteArray:
        """Return the picture."""
        ...


@dataclass(frozen=True, eq=False)
class FaceTrack:
    """One face over a segment: a row for each of its F sampled frames, also for those where the face is not seen.

    ``faces`` uint8 (F, S, S, 3) RGB; ``times`` float32 (F,) seconds; ``confidence`` float32 (F,), 0 where the face is
    not seen (the crop is then black, the box NaN); ``boxes`` float32 (F, 4): left, top, width, height in 0..1 of the
    picture, without the margin. ``track`` is the person's number in the clip, ``EVERYONE`` for all together.
    """

    faces: ByteArray
    times: FloatArray
    confidence: FloatArray
    track: int
    boxes: FloatArray


class FaceFinder:
    """Finds, follows and chooses faces in a stream of frames.

    ``mode``: ``speaker`` (the mouth that moves with the sound, else the largest), ``largest``, ``all``, or ``whole``
    (the picture is the face: nothing is detected). ``size``: side of the crops in pixels. ``margin``: border around
    FER2013's framing, in face sides. ``min_confidence``: detections below are not faces.
    """

    def __init__(
        self, *, mode: str = "speaker", size: int = 112, margin: float = 0.0, min_confidence: float = 0.5
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"unknown face mode '{mode}'{near(mode, MODES)}", f"--face {MODES[0]}")
        self._mode = mode
        self._size = size
        self._margin = margin
        self._min_confidence = min_confidence
        self._tracker = Tracker()
        self._times: list[float] = []

    def add(self, frame: Frame) -> None:
        """Find the faces of the next frame and keep their crops; frames come in the order of their times."""
        self._times.append(frame.time)
        height, width = frame.rgb.shape[:2]
        if self._mode == "whole":
            side = max(height, width)
            found = [((width - side) / 2, (height - side) / 2, float(side), float(side))]
            confidences = [1.0]
        else:
            faces = detect(frame.rgb, self._min_confidence)
            found, confidences = [face.box for face in faces], [face.confidence for face in faces]
        tracks = self._tracker.assign(found, frame.time)
        for box, confidence, track in zip(found, confidences, tracks, strict=True):
            relative = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
            crop = cut_out(frame.rgb, box, self._size, self._margin)
            track.samples.append(Sample(frame.time, box, relative, confidence, crop))
            if self._mode == "speaker" and 2 * box[2] > found[0][2] and self._has_rival(track):
                gap = opening(cut_out(frame.rgb, box, _MESH_SIDE, _ROOM / 2))
                if gap is not None:
                    track.mouth.append((frame.time, gap))

    def segment(self, start: float, end: float | None = None, energy: Energy | None = None) -> FaceTrack | None:
        """Return the face of ``[start, end)``, chosen by the mode; ``None`` where there is none (see ``reason``).

        ``energy(start, end)`` gives the level of the sound, for ``speaker``. Mode ``all`` returns everyone's faces.
        """
        tracks = self._within(start, end)
        if not tracks:
            return None
        times = self._sampled(start, end)
        if self._mode == "all":
            return _rows([sample for track in tracks for sample in track.samples], times, EVERYONE, self._size)
        chosen = tracks[0]
        if self._mode == "speaker" and energy is not None and len(tracks) > 1:
            chosen = speaker(tracks, len(times), energy)
        return _rows(chosen.samples, times, chosen.number, self._size)

    def tracks(self, start: float, end: float | None = None) -> list[FaceTrack]:
        """Return every face of ``[start, end)`` by itself; the one that is largest and longest there comes first."""
        times = self._sampled(start, end)
        return [_rows(track.samples, times, track.number, self._size) for track in self._within(start, end)]

    def reason(self, start: float, end: float | None = None) -> str:
        """Return why ``[start, end)`` has no face."""
        frames = len(self._sampled(start, end))
        return NO_FACE.format(frames=frames) if frames else NO_FRAME

    def forget(self, before: float) -> None:
        """Drop all that was seen before a time; who is who stays known."""
        self._times = self._sampled(before, None)
        self._tracker.forget(before)

    def _has_rival(self, track: Track) -> bool:
        return any(other is not track and track.seen - other.seen <= GAP for other in self._tracker.tracks)

    def _sampled(self, start: float, end: float | None) -> list[float]:
        last = len(self._times) if end is None else bisect_left(self._times, end)
        return self._times[bisect_left(self._times, start) : last]

    def _within(self, start: float, end: float | None) -> list[Track]:
        """Return the tracks cut to ``[start, end)``, by the area they cover there."""
        stop = float("inf") if end is None else end
        cut = [
            Track(
                track.number,
                track.box,
                track.seen,
                [sample for sample in track.samples if start <= sample.time < stop],
                [(time, gap) for time, gap in track.mouth if start <= time < stop],
            )
            for track in self._tracker.tracks
        ]
        seen = [track for track in cut if track.samples]
        return sorted(seen, key=lambda track: -sum(s.relative[2] * s.relative[3] for s in track.samples))


def cut_out(rgb: ByteArray, box: Box, size: int, margin: float = 0.0) -> ByteArray:
    """Return a box of a picture (H, W, 3) at (size, size, 3), ``margin`` box sides wider on each edge.

    What lies beyond the picture repeats its edge.
    """
    columns, rows = _span(box[0], box[2], margin), _span(box[1], box[3], margin)
    inside = rgb.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
    shrinks = inside.shape[0] > size
    crop = cv2.resize(inside, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(crop, np.uint8)


def _span(start: float, length: float, margin: float) -> NDArray[np.intp]:
    """Return the pixel numbers that a box covers along one axis, at least one."""
    return round(start - margin * length) + np.arange(max(1, round(length * (1 + 2 * margin))))


def _rows(samples: list[Sample], times: list[float], number: int, size: int) -> FaceTrack:
    """Return samples as arrays, with a marked row for each sampled time that has none."""
    seen = {sample.time for sample in samples}
    rows = sorted([(s.time, s) for s in samples] + [(t, None) for t in times if t not in seen], key=lambda row: row[0])
    faces = np.zeros((len(rows), size, size, 3), np.uint8)
    confidence = np.zeros(len(rows), np.float32)
    boxes = np.full((len(rows), 4), np.nan, np.float32)
    for index, (_, sample) in enumerate(rows):
        if sample is not None:
            faces[index], confidence[index], boxes[index] = sample.crop, sample.confidence, sample.relative
    return FaceTrack(faces, np.array([time for time, _ in rows], np.float32), confidence, number, boxes)
