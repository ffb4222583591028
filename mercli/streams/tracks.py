"""Which face is which from frame to frame: boxes that overlap are the same person, across short gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mercli.types import ByteArray

Box = tuple[float, float, float, float]  # left, top, width, height

# A square that moved three quarters of its side still overlaps its old place by 0.14.
SAME = 0.14
GAP = 2.0  # seconds a face may be hidden and still be the same


class Sample(NamedTuple):
    """A face in one frame: box in pixels and relative to the picture, crop uint8 (S, S, 3)."""

    time: float
    box: Box
    relative: Box
    confidence: float
    crop: ByteArray


@dataclass(eq=False)
class Track:
    """One person's face over time; ``mouth`` is the opening at each time it was measured, in face sizes."""

    number: int
    box: Box
    seen: float
    samples: list[Sample] = field(default_factory=list)
    mouth: list[tuple[float, float]] = field(default_factory=list)


def overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, 0 where they do not touch."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (first[2] * first[3] + second[2] * second[3] - both)


class Tracker:
    """Hands each face of a frame to the track it continues, or starts one."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self._count = 0

    def assign(self, boxes: Sequence[Box], time: float) -> list[Track]:
        """Return the track of each box; the best overlaps choose first, and a track takes one box a frame."""
        live = [track for track in self.tracks if time - track.seen <= GAP]
        pairs = [(overlap(track.box, box), t, b) for t, track in enumerate(live) for b, box in enumerate(boxes)]
        owner: dict[int, Track] = {}
        continued: set[int] = set()
        for shared, t, b in sorted(pairs, key=lambda pair: -pair[0]):
            if shared >= SAME and t not in continued and b not in owner:
                owner[b] = live[t]
                continued.add(t)
        for b, box in enumerate(boxes):
            if b not in owner:
                owner[b] = self._start(box, time)
            owner[b].box, owner[b].seen = box, time
        return [owner[b] for b in range(len(boxes))]

    def forget(self, before: float) -> None:
        """Drop the samples before a time, and the tracks that have none left and cannot be continued."""
        for track in self.tracks:
            track.samples = [sample for sample in track.samples if sample.time >= before]
            track.mouth = [(time, opening) for time, opening in track.mouth if time >= before]
        self.tracks = [track for track in self.tracks if track.samples or before - track.seen <= GAP]

    def _start(self, box: Box, time: float) -> Track:
        track = Track(self._count, box, time)
        self._count += 1
        self.tracks.append(track)
        return track
