"""How far a recogniser's words can be trusted: a number in 0..1 that the text modality is weighted by.

The marks are those at which openai-whisper's own decoding gives a window up (``whisper.transcribe``): mean token
log-probability below -1, zlib compression ratio above 2.4 (loops), no-speech probability above 0.6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mercli.types import Transcript, Word

LOG_PROBABILITY = -1.0
COMPRESSION = 2.4
NO_SPEECH = 0.6

# Widths of the soft steps: at a mark a factor is one half, three widths away it is within 5 % of its end.
LOG_PROBABILITY_WIDTH = 0.15
COMPRESSION_WIDTH = 0.15
NO_SPEECH_WIDTH = 0.1
# Whisper keeps fluent text over a silent window ("thank you"), and so do we, at half its weight.
NO_SPEECH_PENALTY = 0.5

LOW_TRUST = 0.5


@dataclass(frozen=True)
class Heard:
    """A window the recogniser decoded in one go, ``[start, end)`` in seconds, with its own doubts about it."""

    start: float
    end: float
    text: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float

    @property
    def trust(self) -> float:
        """Return ``trust_of`` this window's three measures."""
        return trust_of(self.avg_logprob, self.no_speech_prob, self.compression_ratio)


@dataclass(frozen=True)
class HeardTranscript(Transcript):
    """A recogniser's transcript that keeps the measures of each window, so that a cut of it has its own trust."""

    heard: tuple[Heard, ...] = ()


def trust_of(avg_logprob: float, no_speech_prob: float, compression_ratio: float) -> float:
    """Return fluent * varied * (1 - penalty * silent), each factor a logistic step at Whisper's mark.

    Exactly 0 where Whisper itself would call the window silent (no-speech above 0.6 and log-probability below -1),
    and for measures that are not finite.
    """
    if not all(map(math.isfinite, (avg_logprob, no_speech_prob, compression_ratio))):
        return 0.0
    if no_speech_prob > NO_SPEECH and avg_logprob < LOG_PROBABILITY:
        return 0.0
    fluent = _step((avg_logprob - LOG_PROBABILITY) / LOG_PROBABILITY_WIDTH)
    varied = _step((COMPRESSION - compression_ratio) / COMPRESSION_WIDTH)
    silent = _step((no_speech_prob - NO_SPEECH) / NO_SPEECH_WIDTH)
    return fluent * varied * (1.0 - NO_SPEECH_PENALTY * silent)


def trust_of_all(heard: Sequence[Heard]) -> float | None:
    """Return the mean trust of the windows, weighted by their words; ``None`` where no window has a word."""
    counts = [len(window.text.split()) for window in heard]
    if not sum(counts):
        return None
    return sum(window.trust * count for window, count in zip(heard, counts, strict=True)) / sum(counts)


def trust_of_words(words: Sequence[Word], heard: Sequence[Heard]) -> float | None:
    """Return the mean trust of the windows that the words lie in; ``None`` where no word lies in any."""
    middles = [(word.start + word.end) / 2 for word in words]
    trusts = [window.trust for middle in middles for window in heard if window.start <= middle < window.end]
    return sum(trusts) / len(trusts) if trusts else None


def text_weight(transcript: Transcript) -> float:
    """Return the weight of the text modality in 0..1: its trust, and 1 for words that a person gave."""
    return 1.0 if transcript.trust is None else transcript.trust


def is_doubtful(transcript: Transcript) -> bool:
    """Return whether the transcript is to be marked: its trust is below one half."""
    return text_weight(transcript) < LOW_TRUST


def _step(x: float) -> float:
    return 0.5 * (1.0 + math.tanh(x / 2.0))
