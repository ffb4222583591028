"""Where the faces are in a picture: MediaPipe's two detectors, their boxes turned into one framing.

A face's box is the square that FER2013 would have cut out: the embedded face encoder was trained on such crops, and a
crop from a video must look like them. MediaPipe's box lies inside that square. How far was measured with the face mesh
on FER2013's training pictures and on faces in real clips, then widened a little to where an encoder trained on FER2013
reads labelled clips best (a broad optimum): eyes at 0.38 and mouth at 0.73 of the crop's height, FER2013's medians
being 0.40 and 0.76. FER2013's faces are also stretched sideways by a tenth; a crop here is not.
"""

from __future__ import annotations

import atexit
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mercli.log import quiet_start

if TYPE_CHECKING:
    from mercli.types import ByteArray

SMALLEST = 8  # pixels: no expression can be read from less
FLAT = 8  # grey levels: a picture with less contrast is black, blank or faded out


class _Framing(NamedTuple):
    """FER2013's square in sides of MediaPipe's box: its side, and how far its centre lies above the box's."""

    side: float
    rise: float


# Full range (0..5 m) places eyes and mouth more exactly; short range (0..2 m) finds faces that fill the picture.
_FULL, _SHORT = 1, 0
_FRAMINGS = {_FULL: _Framing(1.22, 0.045), _SHORT: _Framing(1.31, 0.1)}


class Detection(NamedTuple):
    """A face: its square (left, top, width, height) in pixels, which may reach beyond the picture, and its score."""

    box: tuple[float, float, float, float]
    confidence: float


_lock = threading.Lock()


def detect(rgb: ByteArray, min_confidence: float = 0.5) -> list[Detection]:
    """Return the faces of a picture (H, W, 3), largest first; where full range finds none, short range is asked."""
    height, width = rgb.shape[:2]
    if min(height, width) < SMALLEST or np.ptp(rgb[::8, ::8]) < FLAT:
        return []
    picture = np.ascontiguousarray(rgb)
    for model in (_FULL, _SHORT):
        with _lock:
            answer = _detector(model, min_confidence).process(picture).detections or []
        faces = [_framed(face, width, height, _FRAMINGS[model]) for face in answer]
        faces = [face for face in faces if _usable(face, width, height)]
        if faces:
            return sorted(faces, key=lambda face: -face.box[2])
    return []


def _framed(face: Any, width: int, height: int, framing: _Framing) -> Detection:
    box = face.location_data.relative_bounding_box
    side = (box.width * width + box.height * height) / 2
    x = (box.xmin + box.width / 2) * width
    y = (box.ymin + box.height / 2) * height - framing.rise * side
    side *= framing.side
    return Detection((x - side / 2, y - side / 2, side, side), float(face.score[0]))


def _usable(face: Detection, width: int, height: int) -> bool:
    left, top, side, _ = face.box
    inside = 0 <= left + side / 2 < width and 0 <= top + side / 2 < height
    return inside and side >= SMALLEST


@cache
def _detector(model: int, min_confidence: float) -> Any:
    """Return the process's one detector of a kind; building it costs ten pictures' time."""
    with quiet_start():
        from mediapipe.python.solutions import face_detection

        made = face_detection.FaceDetection(model_selection=model, min_detection_confidence=min_confidence)
        made.process(np.zeros((64, 64, 3), np.uint8))
    atexit.register(made.close)
    return made
