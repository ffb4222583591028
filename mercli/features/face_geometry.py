"""Ratios and angles of a face mesh (468 points of MediaPipe FaceMesh; Kartynnik et al. 2019)."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mercli.contracts import TrainedOn
from mercli.log import quiet_start
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import ByteArray, FloatArray

# MediaPipe's point numbers; "right" is the person's right, on the left of the picture
EYE = {"right": (33, 133, 159, 145), "left": (263, 362, 386, 374)}  # outer, inner, upper lid, lower lid
BROW = {"right": (107, 105, 70), "left": (336, 334, 300)}  # inner, middle, outer
MOUTH = (61, 291, 13, 14, 0, 17)  # corners, inner lips, outer lips
NOSE, FOREHEAD, CHIN, CHEEKS = 1, 10, 152, (234, 454)
STATIC = 16


class FaceGeometry:
    """Distances in units of the distance between the eyes, with the head's roll taken out; then the head's pose."""

    modality = "face"
    dim = 2 * STATIC
    weights = "none"
    trained_on: tuple[TrainedOn, ...] = ()

    def __init__(self, size: int, margin: float) -> None:
        self.settings = StreamSettings(face_size=size, face_margin=margin)

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network of ours to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return features (F, 32): a row per frame, valid where a mesh fits the face."""
        return [self._one(streams) for streams in batch]

    def _one(self, streams: Streams) -> Feature:
        faces, times, seen = streams.faces, streams.face_times, streams.face_confidence
        if faces is None or times is None or seen is None:
            raise ValueError("face-geometry needs faces with times and confidence")
        values = np.zeros((len(faces), self.dim), np.float32)
        valid = np.zeros(len(faces), np.bool_)
        before: FloatArray | None = None
        for row, (face, confidence) in enumerate(zip(faces, seen, strict=True)):
            points = mesh(face) if confidence > 0 else None
            if points is None:
                before = None
                continue
            now = geometry(points)
            values[row, :STATIC] = now
            values[row, STATIC:] = 0 if before is None else np.abs(now - before)
            valid[row] = True
            before = now
        return Feature(values, np.stack([times, times], 1).astype(np.float32), valid)


def geometry(points: FloatArray) -> FloatArray:
    """Return sixteen numbers (16,) of mesh points (468, 3) in pixels: eyes, brows, mouth, face, roll, yaw, pitch."""
    right, left = points[list(EYE["right"][:2]), :2].mean(0), points[list(EYE["left"][:2]), :2].mean(0)
    between = left - right
    unit = float(np.linalg.norm(between)) or 1.0
    roll = float(np.arctan2(between[1], between[0]))
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    flat = (points[:, :2] - (left + right) / 2) @ turn.T / unit
    numbers = [*_eyes(flat), *_brows(flat), *_mouth(flat)]
    height = float(flat[CHIN, 1] - flat[FOREHEAD, 1]) or 1.0
    width = float(flat[CHEEKS[1], 0] - flat[CHEEKS[0], 0]) or 1.0
    yaw = float(flat[NOSE, 0] - (flat[CHEEKS[0], 0] + flat[CHEEKS[1], 0]) / 2) / width
    pitch = float(flat[NOSE, 1] - (flat[FOREHEAD, 1] + flat[CHIN, 1]) / 2) / height
    return np.asarray([*numbers, width / height, roll, yaw, pitch], np.float32)


def _eyes(flat: Any) -> list[float]:
    return [float(flat[low, 1] - flat[up, 1]) for _, _, up, low in EYE.values()]


def _brows(flat: Any) -> list[float]:
    heights = [float(-flat[point, 1]) for points in BROW.values() for point in (points[0], points[2])]
    return [*heights, float(flat[BROW["left"][0], 0] - flat[BROW["right"][0], 0])]


def _mouth(flat: Any) -> list[float]:
    corner_r, corner_l, inner_up, inner_low, up, low = (flat[i] for i in MOUTH)
    middle = (up[1] + low[1]) / 2
    return [
        float(corner_l[0] - corner_r[0]),
        float(inner_low[1] - inner_up[1]),
        float(low[1] - up[1]),
        float(middle - corner_r[1]),
        float(middle - corner_l[1]),
    ]


def mesh(face: ByteArray) -> FloatArray | None:
    """Return the mesh points (468, 3) of a face crop (H, W, 3) in pixels, or ``None`` where none fits."""
    found = _mesher().process(np.ascontiguousarray(face)).multi_face_landmarks
    if not found:
        return None
    height, width = face.shape[:2]
    points = np.asarray([(p.x * width, p.y * height, p.z * width) for p in found[0].landmark], np.float32)
    return points[:468]


@cache
def _mesher() -> Any:
    with quiet_start():
        from mediapipe.python.solutions import face_mesh

        made = face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3)
        made.process(np.zeros((64, 64, 3), np.uint8))
    atexit.register(made.close)
    return made
