"""The segments of one clip as pieces: their words, then each medium in one pass, or what was stored of them before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mercli.errors import DataError
from mercli.jobs.clips import kept
from mercli.jobs.clips.cutting import Medium, Piece, Source, cut, length, words
from mercli.jobs.clips.transcripts import Finder
from mercli.rundir import sha256
from mercli.types import Clip, Segment, Streams, StreamSettings

NOT_ASKED = Source((), None, "not asked for")


@dataclass(frozen=True)
class Unit:
    """A clip, those of its segments that are asked for, the modalities they lack, and where streams are stored."""

    root: Path
    clip: Clip
    segments: tuple[Segment, ...]
    lacking: tuple[str, ...]
    stored: Path | None = None


def pieces(
    unit: Unit, settings: StreamSettings, face: str, finder: Finder | None, ready: Sequence[str] = ()
) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces of a clip's segments with the segment's id; the last of each segment says so.

    Without a ``finder`` no words are looked for. ``ready`` modalities take nothing from media and words: each segment
    has a bare piece for them. Raises ``DataError`` where a medium cannot be read.
    """
    if finder and set(ready) & set(unit.lacking):
        # the pieces of words, one a segment whether it has any or none, come behind these
        yield from ((segment.id, _told(_bare(segment), segment, last=False)) for segment in unit.segments)
        unit = replace(unit, lacking=tuple(modality for modality in unit.lacking if modality not in ready))
    media = _media(unit)
    wanted = [segment for segment in unit.segments if any(_from(medium, segment) for medium in media)]
    if finder:
        yield from _words(unit, finder, {segment.id for segment in wanted})
    decoded = []
    for segment in wanted:
        stored = kept.read(unit.stored, segment, unit.clip) if unit.stored else None
        if stored is None:
            decoded.append(segment)
        for piece in stored or ():
            yield segment.id, _told(_only(piece, unit.lacking), segment, piece.last)
    if decoded:
        _unchanged(unit)
        yield from _decoded(media, decoded, settings, face)


def _bare(segment: Segment) -> Piece:
    return Piece(0, Streams(), segment.start, bare=True)


def _unchanged(unit: Unit) -> None:
    """Raise ``DataError`` where a medium whose hash was kept (``prepare --hash``) holds something else now."""
    clip = unit.clip
    medium = clip.video or clip.audio or clip.image
    if clip.sha256 is None or medium is None:
        return
    if not (unit.root / medium).is_file():
        raise DataError(f"'{medium}' has vanished since it was prepared", f"mer prepare --corpus {clip.corpus} ...")
    if sha256(unit.root / medium) != clip.sha256:
        raise DataError(f"'{medium}' has changed since it was prepared", f"mer prepare --corpus {clip.corpus} ...")


def _media(unit: Unit) -> tuple[Medium, ...]:
    """Return the clip's media with what is taken from each: sound from a file of its own where there is one."""
    clip = unit.clip
    seen = ("face",) if clip.audio else ("audio", "face")
    offsets = clip.meta.get("offset", {})  # where a release cut the sound into utterances and left the video whole
    gives = (("video", clip.video, seen), ("audio", clip.audio, ("audio",)), ("image", clip.image, ("face",)))
    media = [
        Medium(unit.root / path, tuple(m for m in modalities if m in unit.lacking), offsets.get(kind, 0.0))
        for kind, path, modalities in gives
        if path
    ]
    return tuple(medium for medium in media if medium.modalities)


def _from(medium: Medium, segment: Segment) -> tuple[str, ...]:
    """Return what of a medium a segment may use: what is masked is not even opened."""
    return tuple(modality for modality in medium.modalities if modality not in segment.masked)


def _words(unit: Unit, finder: Finder, more: set[str]) -> Iterator[tuple[str, Piece]]:
    main = unit.clip.video or unit.clip.audio
    for segment in unit.segments:
        asked = "text" in unit.lacking
        source = finder.source(segment, unit.root / main if main else None) if asked else NOT_ASKED
        end = math.inf if segment.end is None else segment.end
        for piece in words(source, [(segment.start, end)]):
            yield segment.id, _told(piece, segment, last=segment.id not in more)


def _decoded(
    media: Sequence[Medium], segments: Sequence[Segment], settings: StreamSettings, face: str
) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces of each medium, decoded in one pass for all segments that need the same of it."""
    whole = length(Source(tuple(media))) if any(segment.end is None for segment in segments) else 0.0
    final = {s.id: max(n for n, medium in enumerate(media) if _from(medium, s)) for s in segments}
    for number, medium in enumerate(media):
        groups: dict[tuple[tuple[str, ...], str | None], list[Segment]] = {}
        for segment in segments:
            groups.setdefault((_from(medium, segment), segment.region), []).append(segment)
        for (modalities, region), members in groups.items():
            ends = [whole if segment.end is None else segment.end for segment in members]
            placed = [(s.start + medium.offset, end + medium.offset) for s, end in zip(members, ends, strict=True)]
            part = replace(medium, modalities=modalities)
            for piece in cut(part, placed, settings, face, region) if modalities else ():
                segment = members[piece.window]
                moved = replace(piece, start=piece.start - medium.offset)
                yield segment.id, _told(moved, segment, last=piece.last and number == final[segment.id])


def _told(piece: Piece, segment: Segment, last: bool) -> Piece:
    """Return a piece that knows whether it is its segment's last, and why what is masked is missing."""
    missing = {**piece.streams.missing, **segment.masked}
    return replace(piece, streams=replace(piece.streams, missing=missing), last=last)


def _only(piece: Piece, modalities: Sequence[str]) -> Piece:
    """Return a stored piece without what is not asked for, so that no encoder works for nothing."""
    streams = piece.streams
    if "audio" not in modalities:
        streams = replace(streams, audio=None)
    if "face" not in modalities:
        streams = replace(streams, faces=None, face_times=None, face_confidence=None)
    return replace(piece, streams=streams)
