"""Transcripts that lie beside a clip: ``clip.srt``, ``.vtt``, ``.txt``, ``.json``, also ``clip.en.srt``."""

from __future__ import annotations

import codecs
import json
import logging
import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from mercli import languages
from mercli.errors import DataError
from mercli.streams.cues import Cue, parse_srt, parse_vtt, words_of
from mercli.streams.language import guess
from mercli.streams.trust import Heard, HeardTranscript, trust_of_all
from mercli.types import Transcript, Word

SUFFIXES = (".srt", ".vtt", ".txt", ".json")
SOURCE = "sidecar"

_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2}(?:-[A-Za-z0-9]{2,4})?|eng|deu|ger|fra|fre|spa|ita|por|nld|dut")
_HEARD = tuple(field.name for field in fields(Heard) if field.name not in ("start", "end", "text"))


def find_sidecar(medium: Path) -> Path | None:
    """Return the transcript file of a clip, or ``None``.

    Same stem first, in the order .srt .vtt .txt .json; then a language tag before the suffix, English first.
    """
    for suffix in SUFFIXES:
        plain = medium.with_suffix(suffix)
        if plain != medium and plain.is_file():
            return plain
    try:
        changed = medium.parent.stat().st_mtime_ns
    except OSError:
        return None
    return _tagged(medium.parent, changed).get(medium.stem)


@lru_cache(maxsize=4)
def _tagged(folder: Path, changed: int) -> dict[str, Path]:
    """Return the best language-tagged transcript of each stem; read once per state of a folder, not once per clip."""
    best: dict[str, tuple[bool, int, str]] = {}
    for name in os.listdir(folder):
        path = Path(name)
        stem, _, tag = path.stem.rpartition(".")
        if path.suffix not in SUFFIXES or not stem or not _LANGUAGE_TAG.fullmatch(tag):
            continue
        rank = (languages.code(tag) != "en", SUFFIXES.index(path.suffix), name)
        best[stem] = min(best.get(stem, rank), rank)
    return {stem: folder / name for stem, (_, _, name) in best.items()}


def read_sidecar(path: Path, stem: str | None = None) -> Transcript | None:
    """Return the transcript in a file, or ``None`` where it holds no words or is JSON of another purpose.

    Words of .srt and .vtt share their cue's time evenly; .txt has no times; .json is openai-whisper's own output. The
    language comes from the JSON, else from the name (``stem`` is the clip's), else from the words. Raises ``DataError``
    naming file and line.
    """
    text = read_text(path)
    named = languages.code(_tag(path, stem))
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _from_json(_load(text, path), path, named)
    if suffix in (".srt", ".vtt"):
        return from_cues((parse_srt if suffix == ".srt" else parse_vtt)(text, str(path)), SOURCE, named)
    plain = " ".join(text.split())
    return Transcript(plain, SOURCE, (), named or guess(plain)) if plain else None


def read_text(path: Path) -> str:
    """Return a text file's content, line ends made one: UTF-8 (with or without mark), UTF-16 (with), else cp1252.

    Raises ``DataError`` where the file cannot be read or is not text.
    """
    try:
        data = path.read_bytes()
    except OSError as fault:
        raise DataError(f"transcript '{path}' cannot be read: {fault.strerror or fault}") from fault
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise DataError(f"transcript '{path}' is not text, expected utf-8 or cp1252")


def from_cues(cues: list[Cue], source: str, language: str | None = None) -> Transcript | None:
    """Return the transcript of timed cues, its language guessed where none is given; ``None`` without cues."""
    if not cues:
        return None
    cues = sorted(cues, key=lambda cue: cue.start)
    text = " ".join(cue.text for cue in cues)
    return Transcript(text, source, words_of(cues), language or guess(text))


def _tag(path: Path, stem: str | None) -> str | None:
    """Return the language tag in ``stem.TAG.suffix``, or ``None`` where the name is not of that form."""
    before, _, tag = path.stem.rpartition(".")
    return tag if stem and before == stem and _LANGUAGE_TAG.fullmatch(tag) else None


def _load(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as fault:
        line = fault.lineno if isinstance(fault, json.JSONDecodeError) else 1
        raise DataError(f"'{path}' line {line}: not JSON ({fault})") from fault


def _from_json(data: Any, path: Path, named: str | None) -> Transcript | None:
    if not isinstance(data, dict) or not ("segments" in data or "text" in data):
        logging.getLogger("mer").info("'%s' is not a transcript (neither 'segments' nor 'text'): passed over", path)
        return None
    segments, text, spoken = data.get("segments", []), data.get("text", ""), data.get("language")
    _expect(isinstance(segments, list), path, "segments", segments, "a list")
    _expect(isinstance(text, str), path, "text", text, "a string")
    _expect(spoken is None or isinstance(spoken, str), path, "language", spoken, "a string")
    words: list[Word] = []
    heard: list[Heard] = []
    for index, segment in enumerate(segments):
        words += _segment_words(segment, path, f"segments[{index}]")
        if all(isinstance(segment.get(key), int | float) for key in _HEARD):
            measures = {key: float(segment[key]) for key in _HEARD}
            heard.append(Heard(float(segment["start"]), float(segment["end"]), segment["text"].strip(), **measures))
    joined = " ".join((" ".join(s["text"] for s in segments) or text).split())
    if not joined:
        return None
    language = languages.code(spoken) or named or guess(joined)
    timed = tuple(sorted(words, key=lambda word: word.start))
    if not heard:
        return Transcript(joined, SOURCE, timed, language)
    return HeardTranscript(joined, SOURCE, timed, language, trust_of_all(heard), tuple(heard))


def _segment_words(segment: Any, path: Path, where: str) -> list[Word]:
    _expect(isinstance(segment, dict), path, where, segment, "an object")
    start, end = _times(segment, path, where)
    text = segment.get("text")
    _expect(isinstance(text, str), path, f"{where}.text", text, "a string")
    words = segment.get("words") or []
    _expect(isinstance(words, list), path, f"{where}.words", words, "a list")
    if not words or any(isinstance(word, dict) and "start" not in word for word in words):
        return list(words_of([Cue(start, end, text)]))
    read = [_word(word, path, f"{where}.words[{index}]") for index, word in enumerate(words)]
    return [word for word in read if word.text]


def _word(word: Any, path: Path, where: str) -> Word:
    _expect(isinstance(word, dict), path, where, word, "an object")
    start, end = _times(word, path, where)
    text, probability = word.get("word"), word.get("probability")
    _expect(isinstance(text, str), path, f"{where}.word", text, "a string")
    known = probability is None or (isinstance(probability, int | float) and 0 <= probability <= 1)
    _expect(known, path, f"{where}.probability", probability, "a number in 0..1")
    return Word(text.strip(), start, end, None if probability is None else float(probability))


def _times(item: Mapping[str, Any], path: Path, where: str) -> tuple[float, float]:
    for key in ("start", "end"):
        value = item.get(key)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        _expect(number, path, f"{where}.{key}", value, "seconds")
    start, end = float(item["start"]), float(item["end"])
    _expect(0 <= start <= end, path, where, [start, end], "0 <= start <= end")
    return start, end


def _expect(holds: bool, path: Path, where: str, found: Any, wanted: str) -> None:
    if not holds:
        raise DataError(f"'{path}': {where} is {str(found)[:60]!r}, expected {wanted}")


class Sidecar:
    """A transcriber that reads the file beside the clip."""

    def transcribe(self, medium: Path, audio: Any = None) -> Transcript | None:
        """Return the sidecar's transcript, ``None`` where there is no sidecar; ``DataError`` where it is malformed."""
        path = find_sidecar(medium)
        return None if path is None else read_sidecar(path, medium.stem)
