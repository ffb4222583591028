"""Timed cues of subtitle files (SubRip, WebVTT) and streams, and the words that are in them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mercli.errors import DataError
from mercli.types import Word

_CLOCK = r"(?:(\d+):)?([0-5]?\d):([0-5]?\d)(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:\s.*)?")
# Markup is a tag that begins like one, so that "<3" stays; "{\an8}" is SubStation's.
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
_VTT_BLOCKS = ("NOTE", "STYLE", "REGION")


class Cue(NamedTuple):
    """A line of subtitles: shown during ``[start, end)`` seconds, its text without markup."""

    start: float
    end: float
    text: str


def parse_srt(text: str, name: str) -> list[Cue]:
    """Return the cues of a SubRip file; raises ``DataError`` naming ``name`` and the line that is not one."""
    return [cue for block in _blocks(text) if (cue := _cue(block, name))]


def parse_vtt(text: str, name: str) -> list[Cue]:
    """Return the cues of a WebVTT file; raises ``DataError`` naming ``name`` and the line that is not one."""
    head, _, _ = text.partition("\n")
    if not re.fullmatch(r"WEBVTT(?:[ \t].*)?", head):
        raise DataError(f"'{name}' line 1: {_quoted(head)}, expected 'WEBVTT'")
    blocks = list(_blocks(text))
    header = blocks.pop(0)[1]
    if any("-->" in line for line in header):
        raise DataError(f"'{name}' line 2: a cue, expected a blank line after 'WEBVTT'")
    spoken = (block for block in blocks if not block[1][0].startswith(_VTT_BLOCKS))
    return [cue for block in spoken if (cue := _cue(block, name))]


def strip_markup(text: str) -> str:
    """Return one line of plain text: tags, inner times and entities resolved, blanks single."""
    return " ".join(html.unescape(_MARKUP.sub("", text)).split())


def words_of(cues: Iterable[Cue]) -> tuple[Word, ...]:
    """Return the words of the cues in order of time, each cue's time shared evenly among its words.

    A subtitle says when a line is shown, not when each word is said: the times are a guess, good to the cue's length.
    """
    words = []
    for cue in cues:
        texts = cue.text.split()
        step = (cue.end - cue.start) / max(1, len(texts))
        words += [Word(w, cue.start + i * step, cue.start + (i + 1) * step) for i, w in enumerate(texts)]
    return tuple(sorted(words, key=lambda word: word.start))


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield stretches of non-blank lines with the number of their first line."""
    block: list[str] = []
    for number, content in enumerate([*text.split("\n"), ""], start=1):
        if content.strip():
            block.append(content)
        elif block:
            yield number - len(block), block
            block = []


def _cue(block: tuple[int, list[str]], name: str) -> Cue | None:
    """Read an optional identifier, the timing and the text; ``None`` for a cue that shows nothing."""
    first, lines = block
    at = 0 if "-->" in lines[0] else 1
    if at >= len(lines) or not (timing := _TIMING.fullmatch(lines[at])):
        at = min(at, len(lines) - 1)
        expected = "expected a time like 00:00:01,000 --> 00:00:02,500"
        raise DataError(f"'{name}' line {first + at}: {_quoted(lines[at])}, {expected}")
    start, end = _seconds(*timing.groups()[:4]), _seconds(*timing.groups()[4:])
    if end < start:
        raise DataError(f"'{name}' line {first + at}: {_quoted(lines[at])} ends before it starts")
    text = strip_markup(" ".join(lines[at + 1 :]))
    return Cue(start, end, text) if text else None


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int((fraction or "0").ljust(3, "0"))) / 1000


def _quoted(line: str) -> str:
    return repr(line.strip()[:60])
