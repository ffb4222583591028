"""Aligned streams as files: sound as FLAC of 24 bits, face crops as one lossless PNG strip, their times beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.rundir import atomic
from mercli.types import Streams


def write(streams: Streams, base: Path) -> dict[str, Any]:
    """Write sound and faces beside ``base`` (``base.flac``, ``base.png``); return the rest as plain JSON."""
    facts: dict[str, Any] = {"audio_rate": streams.audio_rate, "missing": dict(streams.missing)}
    if streams.audio is not None:
        facts["peak"] = _write_sound(streams, base.with_suffix(".flac"))
    if streams.faces is not None and streams.face_times is not None and streams.face_confidence is not None:
        _write_faces(streams, base.with_suffix(".png"))
        facts["times"] = [float(time) for time in streams.face_times]
        facts["confidence"] = [float(value) for value in streams.face_confidence]
    return facts


def read(base: Path, facts: Mapping[str, Any]) -> Streams:
    """Return what ``write`` stored; raises ``DataError`` where a file is missing or damaged."""
    import numpy as np

    times = np.asarray(facts["times"], np.float32) if "times" in facts else None
    return Streams(
        audio=_read_sound(base.with_suffix(".flac"), facts["peak"]) if "peak" in facts else None,
        audio_rate=facts["audio_rate"],
        faces=_read_faces(base.with_suffix(".png"), len(times)) if times is not None else None,
        face_times=times,
        face_confidence=np.asarray(facts["confidence"], np.float32) if times is not None else None,
        missing=dict(facts["missing"]),
    )


def _write_sound(streams: Streams, path: Path) -> float:
    """Write the samples, divided by their peak where that is beyond what FLAC holds; return the divisor."""
    import numpy as np
    import soundfile

    samples = np.asarray(streams.audio, np.float32)
    peak = max(1.0, float(np.abs(samples).max(initial=0.0)))
    with atomic(path) as part:
        soundfile.write(part, samples / peak, streams.audio_rate, format="FLAC", subtype="PCM_24")
    return peak


def _read_sound(path: Path, peak: float) -> Any:
    import soundfile

    try:
        samples, _ = soundfile.read(path, dtype="float32")
    except (soundfile.LibsndfileError, OSError) as fault:
        raise DataError(f"stored sound '{path}' cannot be read ({fault})", "mer prepare --streams ...") from fault
    return samples * peak if peak != 1.0 else samples


def _write_faces(streams: Streams, path: Path) -> None:
    import cv2

    count, height, width, _ = streams.faces.shape  # type: ignore[union-attr]
    strip = streams.faces.reshape(count * height, width, 3)[:, :, ::-1]  # type: ignore[union-attr]
    done, data = cv2.imencode(".png", strip, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise DataError(f"face crops of shape {strip.shape} cannot be stored as '{path}'")
    with atomic(path) as part:
        part.write_bytes(data.tobytes())


def _read_faces(path: Path, count: int) -> Any:
    import cv2
    import numpy as np

    strip = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.is_file() else None
    if strip is None or count == 0 or strip.shape[0] % count:
        raise DataError(f"stored face crops '{path}' cannot be read", "mer prepare --streams ...")
    return np.ascontiguousarray(strip[:, :, ::-1]).reshape(count, -1, strip.shape[1], 3)
