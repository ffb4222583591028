"""Making corpora: the plan of a made corpus is rendered as real mp4s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mercli import log
from mercli.corpora.made import MadeClip
from mercli.errors import DataError
from mercli.rundir import atomic, write_text

MARK = "MADE.txt"
BEGUN, DONE = "being made by mer: ", "made by mer: "
SIDE = 160
FPS = 10
RATE = 16_000


def make(reader: Any, root: Path) -> None:
    """Render a made corpus under ``root`` unless it is there already.

    Raises ``DataError`` where ``root`` holds anything else: nothing of a user's is ever mixed with made clips.
    """
    files, clips = reader.plan()
    options = f"clips={reader.clips} strength={reader.strength} seed={reader.seed}\n"
    if _is_made(root, options):
        return
    write_text(root / MARK, BEGUN + options)
    import cv2
    import numpy as np

    picture = Path(__file__).parent.parent / "assets" / "made" / "face.jpg"
    face = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    for clip in log.progress(clips, "make clips", total=len(clips)):
        with atomic(root / clip.path) as part:
            _render(part, clip, face)
    for name, text in files.items():
        write_text(root / name, text)
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


def _render(path: Path, clip: MadeClip, face: Any) -> None:
    """Write one clip: H.264 frames of the moving face and an AAC tone."""
    import av

    with av.open(str(path), "w", format="mp4") as container:
        video: Any = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "threads": "1"})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream("aac", rate=RATE, layout="mono")
        for index in range(round(clip.seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(_picture(face, clip, index / FPS), format="bgr24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(_tone(clip)[None], format="fltp", layout="mono")
        sound.sample_rate = RATE
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _picture(face: Any, clip: MadeClip, time: float) -> Any:
    """Return frame (160, 160, 3) at ``time`` seconds: tilt and stretch tell the class, a slow sway the speaker."""
    import cv2
    import numpy as np

    tilt = (-18, -12, -6, 0, 6, 12, 18)[clip.face] + 1.5 * np.sin(2 * np.pi * time + clip.speaker)
    stretch = 1 + 0.08 * ((clip.face % 3) - 1)
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), float(tilt), 1.0)
    matrix[1] *= stretch
    matrix[1, 2] += SIDE * (1 - stretch) / 2
    return cv2.warpAffine(face, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def _tone(clip: MadeClip) -> Any:
    """Return samples (N,) float32: pitch and tremolo tell the class, the speaker shifts both a little."""
    import numpy as np

    time = np.arange(round(clip.seconds * RATE)) / RATE
    pitch = 140 * 1.28**clip.audio * (1 + 0.004 * (clip.speaker % 6))
    tremolo = 1 + 0.5 * np.sin(2 * np.pi * (2 + clip.audio) * time)
    noise = np.random.default_rng(clip.speaker * 7 + clip.audio).normal(0, 0.01, time.size)
    sound = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in (1, 2, 3))
    return (0.2 * tremolo * sound + noise).astype(np.float32)
