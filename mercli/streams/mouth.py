"""Who is speaking: the face whose mouth moves while there is sound."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from mercli.log import quiet_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mercli.streams.tracks import Track
    from mercli.types import ByteArray, FloatArray

Energy = Callable[[float, float], float]

# Points of MediaPipe's face mesh: the inner lips at the middle, and the outer corners of the eyes.
_UPPER_LIP, _LOWER_LIP, _RIGHT_EYE, _LEFT_EYE = 13, 14, 33, 263
LEAST = 5  # measurements below which a correlation says nothing
MOVING = 0.01  # mean change of opening from frame to frame: talking faces show 0.012 to 0.06, still ones less
QUIET = 0.05  # of the loudest amplitude: what is softer counts as silence
LEVEL = 1e-6  # spread of a curve that does not change
UNKNOWN = 1.0  # the score of a mouth that was not seen: between a still one and one that fits

_lock = threading.Lock()


def opening(face: ByteArray) -> float | None:
    """Return how far a mouth is open, in distances between the outer eye corners; ``None`` where no mesh fits.

    ``face`` (H, W, 3) shows one face with room around it. The mesh does not track: consecutive crops may be of
    different people, and its smoothing would flatten the movement this is about.
    """
    height, width = face.shape[:2]
    with _lock:
        meshes = _mesh().process(np.ascontiguousarray(face)).multi_face_landmarks
    if not meshes:
        return None
    points = np.array([(p.x * width, p.y * height) for p in meshes[0].landmark])
    size = float(np.linalg.norm(points[_LEFT_EYE] - points[_RIGHT_EYE]))
    return float(np.linalg.norm(points[_LOWER_LIP] - points[_UPPER_LIP])) / size if size > 0 else None


def speaker(tracks: Sequence[Track], frames: int, energy: Energy) -> Track:
    """Return the track that speaks among those of a segment of so many frames, the first where no mouth tells.

    Who is there for longer is more likely meant: a score counts by the share of frames that show the face.
    """
    scores = [speech_score(track.mouth, energy) for track in tracks]
    if all(score is None for score in scores):
        return tracks[0]
    worth = [
        (UNKNOWN if score is None else score) * len(track.samples) / frames
        for track, score in zip(tracks, scores, strict=True)
    ]
    return tracks[worth.index(max(worth))]


def speech_score(mouth: Sequence[tuple[float, float]], energy: Energy) -> float | None:
    """Return in 0..4 how well a mouth (time in seconds, opening) fits the sound; ``None`` where too little is known.

    Two plus the correlations of the sound's level with the mouth's movement and with its opening, times how far the
    movement exceeds that of a still mouth. Chosen on true pairs of picture and voice against other talking faces.
    """
    if len(mouth) < LEAST:
        return None
    times, openings = np.array(mouth, np.float64).T
    motion = np.abs(np.diff(openings))
    half = float(np.median(np.diff(times))) / 2
    during = _level([energy(a, b) for a, b in pairwise(times)])
    around = _level([energy(max(0.0, t - half), t + half) for t in times])
    if during is None or around is None:
        return None
    fit = 2.0 + _correlation(motion, during) + _correlation(openings, around)
    return min(1.0, float(motion.mean()) / MOVING) * fit


def _level(energies: Sequence[float]) -> FloatArray | None:
    """Return the logarithm of amplitudes relative to the loudest; ``None`` for silence."""
    loudest = max(energies)
    return np.log(np.array(energies, np.float32) / loudest + QUIET) if loudest > 0 else None


def _correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    if min(first.std(), second.std()) < LEVEL:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


@cache
def _mesh() -> Any:
    import atexit

    with quiet_start():
        from mediapipe.python.solutions import face_mesh

        made = face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3)
        made.process(np.zeros((64, 64, 3), np.uint8))
    atexit.register(made.close)
    return made
