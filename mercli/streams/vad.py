"""Where somebody speaks: Silero VAD over a stream of audio, in memory that does not grow with the clip."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from mercli.errors import PluginError

if TYPE_CHECKING:
    from mercli.types import FloatArray

RATE = 16_000
FRAME = 512
FRAME_SECONDS = FRAME / RATE

# The package's own defaults: speech begins at 0.5 and holds until 0.35; a frame's length is left on either side.
BEGIN, HOLD = 0.5, 0.35


def voice_model() -> Any:
    """Return the package's own network, its memory empty; raises ``PluginError`` where it is not installed.

    The package is found but not imported: its import would set torch's threads to one for the whole process.
    """
    package = importlib.util.find_spec("silero_vad")
    places = list(package.submodule_search_locations or ()) if package else []
    if not places:
        raise PluginError("the package 'silero-vad' is not installed", "pip install silero-vad")
    model = torch.jit.load(str(Path(places[0]) / "data" / "silero_vad.jit"), map_location="cpu").eval()
    model.reset_states()
    return model


class Frame(NamedTuple):
    """A speech probability and the end, in seconds, of the samples it was computed from."""

    probability: float
    end: float


def speech_frames(chunks: Iterable[FloatArray]) -> Iterator[Frame]:
    """Yield one frame per 32 ms of 16 kHz mono audio that comes in chunks (N,) of any length.

    The last frame is filled with silence, and its end is the end of the audio.
    """
    model, done = voice_model(), 0
    for block in _blocks(chunks):
        samples = np.zeros(FRAME, np.float32)
        samples[: len(block)] = block
        with torch.inference_mode():
            probability = float(model(torch.from_numpy(samples), RATE))
        done += len(block)
        yield Frame(probability, done / RATE)


def _blocks(chunks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Regroup chunks into frames; only the last may be shorter."""
    held = np.zeros(0, np.float32)
    for chunk in chunks:
        held = np.concatenate([held, np.asarray(chunk, np.float32)])
        whole = len(held) // FRAME * FRAME
        yield from held[:whole].reshape(-1, FRAME)
        held = held[whole:]
    if len(held):
        yield held


def speech_segments(
    chunks: Iterable[FloatArray],
    *,
    min_speech: float = 0.25,
    min_silence: float = 0.5,
    max_len: float = 15.0,
    begin: float = BEGIN,
) -> Iterator[tuple[float, float]]:
    """Yield ``[start, end)`` in seconds of each stretch of speech, as soon as it is over.

    ``chunks`` are 16 kHz mono float32 (N,). Pauses under ``min_silence`` are bridged, stretches under ``min_speech``
    dropped, those above ``max_len`` cut where speech is least likely. Speech begins at probability ``begin``.
    """
    return spans(speech_frames(chunks), min_speech=min_speech, min_silence=min_silence, max_len=max_len, begin=begin)


def spans(
    frames: Iterable[Frame], *, min_speech: float, min_silence: float, max_len: float, begin: float = BEGIN
) -> Iterator[tuple[float, float]]:
    """Yield the stretches of speech in a sequence of frames: ordered, disjoint, none longer than ``max_len``.

    Hysteresis between ``begin`` and 0.15 below it (Silero's rule); one frame is left on either side of a stretch.
    """
    hold, pause = begin - (BEGIN - HOLD), min_silence / FRAME_SECONDS
    most = max(2, int(max_len / FRAME_SECONDS) - 2)
    stretch: list[Frame] = []  # from the onset on, the pause that may end it included
    voiced, onset, floor, time = 0, 0.0, 0.0, 0.0
    for frame in frames:
        before, time = time, frame.end
        if frame.probability >= (hold if stretch else begin):
            onset = onset if stretch else before
            stretch.append(frame)
            voiced = len(stretch)
        elif stretch:
            stretch.append(frame)
        while voiced >= most:  # a pause that did not end it may have made it much longer at once
            cut = _quietest(stretch[:most]) + 1
            span = max(floor, onset - FRAME_SECONDS), stretch[cut - 1].end
            stretch, voiced, onset, floor = stretch[cut:], voiced - cut, span[1], span[1]
            yield span
        if stretch and len(stretch) - voiced >= pause and voiced < len(stretch):
            stop = stretch[voiced - 1].end
            stretch, voiced = [], 0
            if stop - onset >= min_speech:
                span = max(floor, onset - FRAME_SECONDS), min(time, stop + FRAME_SECONDS)
                floor = span[1]
                yield span
    if stretch and stretch[voiced - 1].end - onset >= min_speech:
        yield max(floor, onset - FRAME_SECONDS), min(time, stretch[voiced - 1].end + FRAME_SECONDS)


def _quietest(stretch: list[Frame]) -> int:
    """Return the frame of the later half at which speech is least likely: where a stretch that is too long is cut."""
    half = len(stretch) // 2
    return min(range(half, len(stretch)), key=lambda index: stretch[index].probability)
