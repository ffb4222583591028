"""Where a clip's words come from: the transcribers, and the order in which ``auto`` asks them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mercli.contracts import Transcriber
from mercli.registry import plugin
from mercli.types import Transcript

if TYPE_CHECKING:
    from mercli.types import FloatArray


@plugin("transcribers", "sidecar", needs="a file beside the clip")
def sidecar() -> Transcriber:
    """Words from a file beside the clip: clip.srt, .vtt, .txt or .json, also clip.en.srt."""
    from mercli.streams.sidecar import Sidecar

    return Sidecar()


@plugin("transcribers", "subtitles", needs="a text subtitle stream in the clip")
def subtitles() -> Transcriber:
    """Words from the first subtitle stream inside the clip."""
    return _Subtitles()


@plugin("transcribers", "whisper", needs="openai-whisper's weights")
def whisper(
    *,
    model: str = "base",
    language: str | None = None,
    offline: bool = False,
    weights: Path | None = None,
    device: str = "auto",
) -> Transcriber:
    """Words that Whisper hears: a model's name or the path of a .pt file; weights lie in ~/.cache/whisper."""
    from mercli.streams.whisper_asr import WhisperTranscriber

    return WhisperTranscriber(model=model, language=language, offline=offline, weights=weights, device=device)


@plugin("transcribers", "none", needs="nothing")
def none() -> Transcriber:
    """No words at all: the text modality is absent."""
    return _FirstOf(())


@plugin("transcribers", "auto", needs="nothing: it takes what there is")
def auto(
    *,
    model: str = "base",
    language: str | None = None,
    offline: bool = False,
    weights: Path | None = None,
    device: str = "auto",
) -> Transcriber:
    """The first that has words: sidecar, subtitle stream, Whisper where its weights are there or can be fetched."""
    heard = whisper(model=model, language=language, offline=offline, weights=weights, device=device)
    return _FirstOf((sidecar(), subtitles(), heard))


class _Subtitles:
    def transcribe(self, medium: Path, audio: Callable[[], Iterable[FloatArray]] | None = None) -> Transcript | None:
        """Return the words of the subtitle stream, ``None`` where there is none."""
        from mercli.streams.cues import Cue, strip_markup
        from mercli.streams.media import subtitles as read
        from mercli.streams.sidecar import from_cues

        cues = [Cue(start, end, text) for start, end, line in read(medium) if (text := strip_markup(line))]
        return from_cues(cues, "subtitles")


class _FirstOf:
    def __init__(self, sources: Sequence[Transcriber]) -> None:
        self._sources = sources

    def transcribe(self, medium: Path, audio: Callable[[], Iterable[FloatArray]] | None = None) -> Transcript | None:
        """Return the transcript of the first source that has one."""
        for source in self._sources:
            transcript = source.transcribe(medium, audio)
            if transcript is not None:
                return transcript
        return None
