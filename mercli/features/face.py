"""``face-geometry``: how the parts of a face stand to each other; no trained weights of ours."""

from __future__ import annotations

from mercli.contracts import Encoder
from mercli.registry import plugin


@plugin("encoders", "face-geometry", modality="face", dim=32, trained_on=())
def face_geometry(*, size: int = 192, margin: float = 0.3) -> Encoder:
    """Sixteen ratios and angles of MediaPipe's face mesh per frame, and how each moved since the last one."""
    from mercli.features.face_geometry import FaceGeometry

    return FaceGeometry(size, margin)
