"""The spoken parts of a clip's audio, in windows a recogniser takes.

Silence never reaches it, so that it has nothing to fill with words of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mercli.streams.vad import RATE, speech_segments

if TYPE_CHECKING:
    from mercli.types import FloatArray

LONGEST = 30.0
GAP = 3.0
# Acted whispers and sobs score low; a recogniser says itself when it has heard nothing.
BEGIN = 0.35

_KEPT = 40 * RATE


def speech_windows(
    chunks: Iterable[FloatArray], *, longest: float = LONGEST, gap: float = GAP, begin: float = BEGIN
) -> Iterator[tuple[float, FloatArray]]:
    """Yield (start in seconds, samples (N,)) of each window: stretches of speech and the pauses under ``gap`` in them.

    ``chunks`` are 16 kHz mono float32 (N,); a window ends in a pause and is at most ``longest`` seconds (15 or more)
    long. Memory is bounded by a minute of audio, whatever the length of the clip.
    """
    tape = _Tape(chunks)
    pieces: list[FloatArray] = []
    start = stop = 0.0
    for onset, end in speech_segments(tape, begin=begin):
        if pieces and (onset - stop > gap or end - start > longest):
            yield start, np.concatenate(pieces)
            pieces = []
        if not pieces:
            start = stop = onset
        pieces.append(tape.cut(stop, end))
        stop = end
    if pieces:
        yield start, np.concatenate(pieces)


class _Tape:
    """Passes chunks on and remembers the last of them."""

    def __init__(self, chunks: Iterable[FloatArray]) -> None:
        self._chunks = chunks
        self._held: deque[FloatArray] = deque()
        self._first = 0
        self._count = 0

    def __iter__(self) -> Iterator[FloatArray]:
        for chunk in self._chunks:
            while self._held and self._count - len(self._held[0]) >= _KEPT:
                dropped = len(self._held.popleft())
                self._first += dropped
                self._count -= dropped
            self._held.append(np.asarray(chunk, np.float32))
            self._count += len(chunk)
            yield self._held[-1]

    def cut(self, start: float, end: float) -> FloatArray:
        """Return the samples of ``[start, end)`` seconds, which must still be held."""
        first, last = (round(time * RATE) - self._first for time in (start, end))
        assert first >= 0, "the tape is shorter than a stretch of speech and its pause"
        return np.concatenate(self._held)[first:last].copy()
