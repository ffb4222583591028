"""What Whisper hears: one greedy pass over each spoken window, with language, word times and its own doubts.

Windows do not see each other's text and nothing is drawn at random, so the same clip gives the same words; a loop or
a guess is not decoded again but weighted down (``trust``).
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli.errors import ConfigError, DataError, DeviceError
from mercli.languages import code
from mercli.registry import near
from mercli.streams.trust import LOW_TRUST, Heard, HeardTranscript, is_doubtful, trust_of_all
from mercli.streams.whisper_weights import checkpoints, locate
from mercli.types import Transcript, Word

if TYPE_CHECKING:
    from mercli.types import FloatArray

SOURCE = "whisper"
RATE = 16_000
_HOP = 160
# Fast talk in a script of one letter a token; a network that loops is stopped here rather than after 224 tokens.
_TOKENS_PER_SECOND = 12

# Word times come from hooks on the network, which two threads must not set at once.
_lock = threading.Lock()


class WhisperTranscriber:
    """A transcriber over openai-whisper; its network loads at the first clip that has audio, once per process."""

    def __init__(
        self, *, model: str, language: str | None, offline: bool, weights: Path | None = None, device: str = "auto"
    ) -> None:
        self._model = model
        self._language = language
        self._offline = offline
        self._weights = weights
        self._device = device

    def transcribe(self, medium: Path, audio: Callable[[], Iterable[FloatArray]] | None) -> Transcript | None:
        """Return the words heard, ``None`` where there is no audio, no speech or no weights (said once in the log)."""
        if audio is None:
            return None
        checkpoint = locate(self._model, self._weights, offline=self._offline)
        if checkpoint is None:
            return None
        with _lock:
            network = _network(self._model, checkpoint, _device(self._device))
            transcript = hear(network, audio(), language=self._language)
        if transcript is not None and is_doubtful(transcript):
            logging.getLogger("mer").info(
                "'%s': the words heard have trust %.2f, below %.2f", medium, transcript.trust, LOW_TRUST
            )
        return transcript


def hear(network: Any, chunks: Iterable[FloatArray], *, language: str | None = None) -> HeardTranscript | None:
    """Return the transcript of 16 kHz mono chunks (N,), or ``None`` where nobody is heard.

    ``network`` is a ``whisper.model.Whisper``; the language, where not given, is told from the first spoken window.
    Raises ``ConfigError`` for a language that Whisper does not know.
    """
    import torch

    from mercli.streams.speech_windows import speech_windows

    language = _known(language) if network.is_multilingual else "en"
    heard: list[Heard] = []
    words: list[Word] = []
    for start, samples in speech_windows(chunks):
        mel = _mel(network, samples)
        with torch.inference_mode():
            encoded = network.encoder(mel[None])[0]
        if language is None:
            _, shares = network.detect_language(encoded)
            language = max(shares, key=shares.get)
        window, said = _decode(network, mel, encoded, start, len(samples), language)
        if window.text:
            heard.append(window)
            words += said
    if not heard:
        return None
    text = " ".join(window.text for window in heard)
    return HeardTranscript(text, SOURCE, tuple(words), language, trust_of_all(heard), tuple(heard))


def _decode(network: Any, mel: Any, encoded: Any, start: float, count: int, language: str) -> tuple[Heard, list[Word]]:
    """Return a window's text with Whisper's doubts, and its words; ``encoded`` is the encoder's picture of ``mel``."""
    import whisper
    from whisper.timing import add_word_timestamps
    from whisper.tokenizer import get_tokenizer

    end = start + count / RATE
    options = whisper.DecodingOptions(
        language=language,
        without_timestamps=True,
        temperature=0.0,
        fp16=network.device.type == "cuda",
        sample_len=min(network.dims.n_text_ctx // 2, 8 + round(_TOKENS_PER_SECOND * (end - start))),
    )
    result = whisper.decode(network, encoded, options)
    text = " ".join(result.text.split())
    heard = Heard(start, end, text, result.avg_logprob, result.no_speech_prob, result.compression_ratio)
    segment = {"seek": 0, "start": 0.0, "end": end - start, "text": text, "tokens": result.tokens}
    tokenizer = get_tokenizer(
        network.is_multilingual, num_languages=network.num_languages, language=language, task="transcribe"
    )
    add_word_timestamps(
        segments=[segment],
        model=network,
        tokenizer=tokenizer,
        mel=mel,
        num_frames=count // _HOP,
        last_speech_timestamp=0.0,
    )
    return heard, [word for item in segment["words"] if (word := _word(item, start, end)).text]


def _word(item: dict[str, Any], start: float, end: float) -> Word:
    """Return a word in the clip's time, within its window."""
    onset = min(max(start, start + float(item["start"])), end)
    offset = min(max(onset, start + float(item["end"])), end)
    return Word(item["word"].strip(), onset, offset, float(item["probability"]))


def _mel(network: Any, samples: FloatArray) -> Any:
    """Return the log-mel picture (bands, 3000) of a window, filled to 30 s with silence."""
    import torch
    import whisper

    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples), n_mels=network.dims.n_mels, device=network.device)
    return mel.to(torch.float16 if network.device.type == "cuda" else torch.float32)


def _known(language: str | None) -> str | None:
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    if language is None:
        return None
    name = TO_LANGUAGE_CODE.get(language.lower(), code(language))
    if name not in LANGUAGES:
        raise ConfigError(f"whisper knows no language '{language}'{near(language, [*LANGUAGES, *TO_LANGUAGE_CODE])}")
    return name


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError(f"device '{name}' is not there", "mer doctor")
    return name


@lru_cache(maxsize=1)
def _network(model: str, checkpoint: Path, device: str) -> Any:
    """Load a checkpoint (as tensors only: whisper asks torch for ``weights_only``); ``DataError`` where it is none."""
    import whisper

    name = model if model in checkpoints() else str(checkpoint)
    try:
        return whisper.load_model(name, device=device, download_root=str(checkpoint.parent)).eval()
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as fault:
        raise DataError(
            f"whisper weights '{checkpoint}' cannot be read: {str(fault).splitlines()[0]}",
            f"remove '{checkpoint}' and run again",
        ) from fault
