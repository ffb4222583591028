"""``mer predict --annotate``: the clip again, with its face framed and its answers below the picture."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from mercli import log, rundir
from mercli.config import PredictConfig
from mercli.errors import ConfigError, DataError
from mercli.jobs.clips.cutting import Medium, Piece, Source, length
from mercli.jobs.clips.items import Item
from mercli.jobs.predict import Predictor
from mercli.results.exports.tiers import Window, windows
from mercli.types import Prediction

if TYPE_CHECKING:
    from mercli.streams.media import MediaInfo
    from mercli.types import ByteArray

LARGEST = 1920
SLOW, FAST, USUAL = 20.0, 60.0, 30.0
BETWEEN = 0.6
"""Seconds between two sights of a face across which its frame moves; alone it stays for half of them."""
Box = tuple[float, ...]


@dataclass
class Faces:
    """Where the face was seen that the model looked at: boxes by time, for each window by its number."""

    seen: dict[int, list[tuple[float, Box]]] = field(default_factory=dict)

    def see(self, piece: Piece) -> None:
        """Keep the boxes of one piece."""
        streams = piece.streams
        if streams.face_boxes is None or streams.face_times is None or streams.face_confidence is None:
            return
        rows = zip(streams.face_times, streams.face_boxes, streams.face_confidence, strict=True)
        found = [(float(time) + piece.start, tuple(map(float, box))) for time, box, sure in rows if sure > 0]
        self.seen.setdefault(piece.window, []).extend(found)

    def at(self, number: int, time: float) -> list[Box]:
        """Return the boxes of a window's face (or faces) at a time, moved on between two sights of one."""
        rows = self.seen.get(number, [])
        after = bisect_right(rows, time, key=_moment)
        near = [row for row in rows[max(0, after - 1) : after + 1] if abs(row[0] - time) <= BETWEEN / 2]
        if not near:
            return []
        closest = min(near, key=lambda row: abs(row[0] - time))[0]
        together = rows[bisect_left(rows, closest, key=_moment) : bisect_right(rows, closest, key=_moment)]
        if len(together) > 1 or len(near) == 1 or near[0][0] == near[1][0]:
            return [box for _, box in together]
        (before, first), (then, second) = near
        share = (time - before) / (then - before)
        return [tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))]


def _moment(row: tuple[float, Box]) -> float:
    return row[0]


def annotated(config: PredictConfig, item: Item, output: Path) -> list[Prediction]:
    """Return the item's predictions, having written its film; without an answer there is none.

    Raises ``ConfigError`` for a container that is none or several models, ``DataError`` where there is no video.
    """
    from mercli.streams import film, media

    if output.suffix.lower() not in film.FORMATS:
        raise ConfigError(f"'{output}' is no film, expected a name that ends with {', '.join(film.FORMATS)}")
    if len(config.model) > 1:
        raise ConfigError("--annotate shows one model", f"--model {config.model[0]} --annotate {output}")
    if output.exists() and not output.is_file():
        raise DataError(f"'{output}' is no file, expected the name of one", f"--annotate {output / 'film.mp4'}")
    if output.exists() and item.video and output.samefile(item.video):
        raise DataError(
            f"'{output}' is the clip itself, expected another name", f"--annotate {output.stem}-annotated.mp4"
        )
    faces = Faces()
    predictor = Predictor(config, watch=faces.see)
    predictions = list(predictor.predict(item))
    if not all(prediction.error for prediction in predictions):
        info = media.probe(item.video) if item.video else None
        if item.video is None or info is None or not info.has_video:
            raise DataError(f"'{item.clip}' holds no video to annotate", "mer predict ... --format vtt")
        _film(item, info, predictions, faces, output)
    return predictions


def _film(item: Item, info: MediaInfo, predictions: list[Prediction], faces: Faces, output: Path) -> None:
    from mercli.streams import film, media

    assert item.video is not None
    seconds = length(Source((Medium(item.video, ()),)))
    end = min(seconds, item.end or inf)
    fps = round(min(info.fps, FAST), 2) if info.fps and info.fps >= SLOW else USUAL
    count = max(1, round((end - item.start) * fps))
    heard = item.audio or (item.video if info.has_audio else None)
    sound = media.listen(heard, rate=film.RATE, start=item.start, end=end) if heard else None
    drawn = _drawn(item, fps, count, predictions, faces, seconds)
    with rundir.atomic(output) as part:
        pictures = log.progress(drawn, "annotate", total=count, unit="pictures")
        film.write(part, film.FORMATS[output.suffix.lower()], pictures, fps, count, sound)


def _drawn(
    item: Item, fps: float, count: int, predictions: list[Prediction], faces: Faces, seconds: float
) -> Iterator[ByteArray]:
    from mercli.results.overlay import Layout, Overlay

    overlay = None
    numbers = {start: number for number, start in enumerate(sorted({p.start for p in predictions}))}
    for time, rgb in _pictures(item, fps, count):
        if overlay is None:
            overlay = Overlay(Layout(rgb.shape[1], rgb.shape[0]), windows(predictions, seconds))
        window = overlay.window(time)
        yield overlay.draw(rgb, time, faces.at(numbers[_start(window)], time) if window else [])


def _start(window: Window) -> float:
    return next(iter(window.answers.values())).start


def _pictures(item: Item, fps: float, count: int) -> Iterator[tuple[float, ByteArray]]:
    """Yield ``count`` pictures at a constant rate with their times in the clip: the one that is shown then."""
    from mercli.streams import media

    assert item.video is not None
    events = media.stream(item.video, audio_rate=None, fps=inf, max_side=LARGEST, start=item.start, end=item.end)
    frames = (event for event in events if isinstance(event, media.Frame))
    shown = coming = next(frames, None)
    for number in range(count):
        time = item.start + number / fps
        while coming is not None and coming.time <= time + 0.5 / fps:
            shown, coming = coming, next(frames, None)
        if shown is None:
            raise DataError(f"'{item.clip}' has no picture that can be decoded")
        yield time, shown.rgb
