"""What two parts of data share: a ``leak`` breaks what a protocol promises, what is ``known`` belongs to the corpus.

Parts are the splits of a corpus, or whole corpora. Looked for: media of equal content, clips, dialogues, speakers, and
texts of at least five words that are the same word for word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import combinations
from typing import Literal

from mercli.contracts import Folds
from mercli.types import Segment

WORDS = 5
"""Shorter texts are common property: "I don't know" proves nothing."""
EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """What ``left`` and ``right`` share: ``count`` of the ``of`` there are on the smaller side, with examples."""

    kind: Literal["leak", "known"]
    what: str
    left: str
    right: str
    count: int
    of: int
    examples: tuple[str, ...]


@dataclass
class Part:
    """One split of a corpus: who speaks, in which dialogues and clips, what is said, and each medium's content."""

    name: str
    speakers: set[str] = field(default_factory=set)
    dialogues: set[str] = field(default_factory=set)
    clips: set[str] = field(default_factory=set)
    texts: dict[bytes, str] = field(default_factory=dict)
    said: list[bytes] = field(default_factory=list)
    media: dict[str, str] = field(default_factory=dict)

    def add(self, segment: Segment, media: Iterable[tuple[str, str]] = ()) -> None:
        """Take in one segment, and the (content, path) of its clip's media where the content is known."""
        self.clips.add(segment.clip_id)
        self.speakers |= {segment.speaker} if segment.speaker else set()
        self.dialogues |= {segment.dialogue} if segment.dialogue else set()
        self.media.update(media)
        key = fingerprint(segment)
        if key:
            self.texts.setdefault(key, segment.text or "")
            self.said.append(key)


def untested(held: Mapping[str, Sequence[Segment]], apart: Iterable[Segment] = ()) -> dict[str, list[int]]:
    """Return, per corpus, the rows to learn from: not what another corpus tests, or a segment of ``apart`` says.

    Of the test split itself every row stays.
    """
    tested = {
        name: {fingerprint(segment) for segment in segments if segment.split == "test"} - {None}
        for name, segments in held.items()
    }
    banned = {fingerprint(segment) for segment in apart} - {None}
    rows = {}
    for name, segments in held.items():
        taken = banned.union(*(texts for other, texts in tested.items() if other != name))
        rows[name] = [i for i, s in enumerate(segments) if s.split == "test" or fingerprint(s) not in taken]
    return rows


def fingerprint(segment: Segment) -> bytes | None:
    """Return what stands for a segment's words, whatever their case and punctuation; ``None`` for < 5 words.

    A text that must not be used (``masked``) is not compared.
    """
    words = re.findall(r"[^\W_]+", (segment.text or "").replace("'", "").replace("\u2019", "").lower())
    if len(words) < WORDS or "text" in segment.masked:
        return None
    return blake2b(" ".join(words).encode(), digest_size=8).digest()


def parts(name: str, segments: Iterable[Segment], media: Mapping[str, Sequence[tuple[str, str]]]) -> list[Part]:
    """Return the splits of a corpus in the order they occur; ``media`` gives (content, path) by clip."""
    found: dict[str, Part] = {}
    for segment in segments:
        part = found.setdefault(segment.split or "", Part(f"{name}/{segment.split}" if segment.split else name))
        part.add(segment, media.get(segment.clip_id, ()))
    return list(found.values())


def within(own: Sequence[Part], separates: Sequence[str]) -> Iterator[Finding]:
    """Yield what the splits of one corpus share; a leak where they promise to be ``separates`` in it.

    Where nothing is promised (``separates`` empty), one clip on two sides is a leak all the same.
    """
    promised = set(separates) | ({"clip"} if not separates or "dialogue" in separates else set())
    for left, right in combinations(own, 2):
        for what, one, other in (
            ("speaker", left.speakers, right.speakers),
            ("dialogue", left.dialogues, right.dialogues),
            ("clip", left.clips, right.clips),
        ):
            kind: Literal["leak", "known"] = "leak" if what in promised else "known"
            yield from _shared(kind, what, left, right, one, other)
        yield from _same_media(left, right)
        yield from _same_texts(left, right)


def between(one: Sequence[Part], other: Sequence[Part]) -> Iterator[Finding]:
    """Yield what two corpora share: equal media are a leak, equal texts are known (``loco`` leaves them out)."""
    left, right = _joined(one), _joined(other)
    yield from _same_media(left, right)
    yield from _same_texts(left, right)


def across(own: Sequence[Part]) -> Iterator[Finding]:
    """Yield, for each fold's test part, which of its texts the other folds hold: re-acted scripts are found here."""
    for part in own:
        rest = _joined([other for other in own if other is not part])
        yield from _same_texts(replace(rest, name="other folds"), part)


def by_fold(name: str, folds: Folds, segments: Iterable[Segment]) -> list[Part]:
    """Return the test part of each fold of a cross-validation, in order."""
    number = {group: k for k, fold in enumerate(folds.folds, start=1) for group in fold.get("test", ())}
    found = {k: Part(f"{name}:{k}") for k in range(1, len(folds.folds) + 1)}
    for segment in segments:
        groups = {"speaker": segment.speaker, "dialogue": segment.dialogue, "clip": segment.clip_id}
        fold = number.get(groups[folds.group] or "")
        if fold is not None:
            found[fold].add(segment)
    return list(found.values())


def _joined(own: Sequence[Part]) -> Part:
    joined = Part(own[0].name.split("/")[0])
    for part in own:
        joined.texts = {**part.texts, **joined.texts}
        joined.said += part.said
        joined.media = {**part.media, **joined.media}
        joined.clips |= part.clips
    return joined


def _shared(
    kind: Literal["leak", "known"], what: str, left: Part, right: Part, one: set[str], other: set[str]
) -> Iterator[Finding]:
    both = sorted(one & other)
    if both:
        yield Finding(kind, what, left.name, right.name, len(both), min(len(one), len(other)), tuple(both[:EXAMPLES]))


def _same_media(left: Part, right: Part) -> Iterator[Finding]:
    """Yield the media of equal content, every pair: somebody has to take one of each out."""
    both = sorted(
        left.media[key] + " = " + right.media[key]
        for key in left.media.keys() & right.media.keys()
        if left.media[key] != right.media[key]
    )
    if both:
        most = min(len(left.clips), len(right.clips))
        yield Finding("leak", "media", left.name, right.name, len(both), most, tuple(both))


def _same_texts(left: Part, right: Part) -> Iterator[Finding]:
    """Yield how many of the right side's utterances the left one holds word for word."""
    both = [key for key in right.said if key in left.texts]
    if both:
        examples = sorted({right.texts[key] for key in both})[:EXAMPLES]
        yield Finding("known", "text", left.name, right.name, len(both), len(right.said), tuple(examples))
