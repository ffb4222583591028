"""Making corpora: the plan of a made corpus is rendered as real media, in the formats of the imitated release."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from mercli import log
from mercli.corpora.made_layouts.plan import LADDER, Csd, MadeClip, Shot
from mercli.errors import DataError
from mercli.rundir import atomic, write_text

MARK = "MADE.txt"
BEGUN, DONE = "being made by mer: ", "made by mer: "
SIDE = 160
ORDER = list(LADDER)


@dataclass(frozen=True)
class _Format:
    """How a container is written: its codecs, the form of its samples, and how many frames and samples a second."""

    video: str | None
    audio: str
    samples: str
    fps: int = 10
    rate: int = 16_000


FORMATS = {
    "mp4": _Format("libx264", "aac", "fltp"),
    "avi": _Format("mpeg4", "pcm_mulaw", "s16"),
    "flv": _Format("flv", "libmp3lame", "fltp", fps=15, rate=22_050),
    "wav": _Format(None, "pcm_s16le", "s16"),
}


def make(reader: Any, root: Path) -> None:
    """Render a made corpus under ``root`` unless it is there already.

    Raises ``DataError`` where ``root`` holds anything else: nothing of a user's is ever mixed with made clips.
    """
    options = f"{reader.options}\n"
    if _is_made(root, options):
        return
    plan = reader.plan()
    write_text(root / MARK, BEGUN + options)
    import cv2
    import numpy as np

    picture = Path(__file__).parents[2] / "assets" / "made" / "face.jpg"
    face = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    for clip in log.progress(plan.clips, "make clips", total=len(plan.clips)):
        if (root / clip.path).is_file():
            continue  # rendered whole before the interruption, by the same options
        with atomic(root / clip.path) as part:
            _render(part, clip, face)
    for name, content in plan.files.items():
        if isinstance(content, Csd):
            _write_csd(root / name, content)
        else:
            write_text(root / name, content)
    write_text(root / MARK, DONE + options)


def _is_made(root: Path, options: str) -> bool:
    """Return whether the corpus is whole; one begun with equal options, or an empty place, is to be rendered."""
    if (root / MARK).is_file():
        mark = (root / MARK).read_text(encoding="utf-8", errors="replace")
        if mark not in (BEGUN + options, DONE + options):
            raise DataError(f"'{root}' holds a corpus made with other options", "mer prepare --root ANOTHER-DIR")
        return mark == DONE + options
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"'{root}' is not empty, expected a new folder for the made corpus")
    return False


def _write_csd(path: Path, sequence: Csd) -> None:
    """Write a computational sequence as the CMU SDK does: features and intervals per video, names in the metadata."""
    import h5py
    import numpy as np

    with atomic(path) as part, h5py.File(part, "w") as file:
        group = file.create_group(sequence.name)
        for video, rows in sequence.rows.items():
            held = group.create_group(f"data/{video}")
            held["features"] = np.array([values for _, _, values in rows], np.float32)
            held["intervals"] = np.array([times for *times, _ in rows], np.float32)
        group["metadata/dimension names"] = np.array([json.dumps(sequence.dimensions).encode()])


def _render(path: Path, clip: MadeClip, face: Any) -> None:
    """Write one clip in the format its ending names: frames of the moving face, where it has any, and the tones."""
    import av

    kind = Path(clip.path).suffix.removeprefix(".")
    form = FORMATS[kind]
    # streams whose packets lie far apart are interleaved, too, so that a reader meets sight and sound together
    with av.open(str(path), "w", format=kind, container_options={"max_interleave_delta": "0"}) as container:
        video: Any = None
        if form.video:
            fast = {"preset": "ultrafast"} if form.video == "libx264" else {}
            video = container.add_stream(form.video, rate=form.fps, options={**fast, "threads": "1"})
            video.width, video.height = SIDE * (1 + clip.pair), SIDE
            video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream(form.audio, rate=form.rate, layout="mono")
        if video:
            for picture in _pictures(face, clip, form.fps):
                container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(_sound(clip, form)[None], format=form.samples, layout="mono")
        sound.sample_rate = form.rate
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _spans(clip: MadeClip, rate: int) -> list[tuple[Shot, int, int]]:
    """Return each shot with the numbers of its first frame or sample and of the one after its last."""
    marks = [round(time * rate) for time in accumulate((shot.seconds for shot in clip.shots), initial=0.0)]
    return [(shot, first, last) for shot, (first, last) in zip(clip.shots, pairwise(marks), strict=True)]


def _pictures(face: Any, clip: MadeClip, fps: int) -> Iterator[Any]:
    """Yield the frames (160, 160 or 320, 3): in a pair, who does not speak is neutral and still."""
    import numpy as np

    still = _picture(face, "neutral", 0.0)
    for shot, first, last in _spans(clip, fps):
        for index in range(first, last):
            # a slow sway tells the speaker
            picture = _picture(face, shot.face, 1.5 * float(np.sin(2 * np.pi * (index / fps) + shot.speaker)))
            left, right = (picture if shot.side == side else still for side in ("left", "right"))
            yield np.concatenate([left, right], axis=1) if clip.pair else picture


def _picture(face: Any, emotion: str, sway: float) -> Any:
    """Return a picture (160, 160, 3) whose tilt (degrees, and ``sway``) and stretch tell the emotion."""
    import cv2

    tilt = 6 * LADDER[emotion] - 18 + sway
    stretch = 1 + 0.08 * (ORDER.index(emotion) % 3 - 1)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), tilt, 1.0)
    matrix[1] *= stretch
    matrix[1, 2] += SIDE * (1 - stretch) / 2
    return cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def _sound(clip: MadeClip, form: _Format) -> Any:
    """Return the samples (N,) of a clip, one tone a shot, as its format takes them: float32 or int16."""
    import numpy as np

    spans = _spans(clip, form.rate)
    sound = np.concatenate([_tone(shot, last - first, form.rate) for shot, first, last in spans])
    sound += np.random.default_rng(clip.grain).normal(0, 0.01, len(sound)).astype(np.float32)
    return np.round(sound * 32_767).astype(np.int16) if form.samples == "s16" else sound


def _tone(shot: Shot, count: int, rate: int) -> Any:
    """Return ``count`` samples, float32: pitch and tremolo tell the emotion, the speaker shifts both a little."""
    import numpy as np

    if shot.audio is None:
        return np.zeros(count, np.float32)
    step = LADDER[shot.audio]
    time = np.arange(count) / rate
    pitch = 140 * 1.28**step * (1 + 0.004 * (shot.speaker % 6))
    tremolo = 1 + 0.5 * np.sin(2 * np.pi * (2 + step) * time)
    sound = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
    return (0.2 * tremolo * sound).astype(np.float32)
