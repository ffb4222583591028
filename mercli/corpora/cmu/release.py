"""What CMU-MOSI and CMU-MOSEI share: videos cut into numbered segments, the standard folds, clips from either form."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from mercli.contracts import Excluded
from mercli.corpora.cmu.media import Media
from mercli.errors import DataError
from mercli.types import Clip, Label, LabelScheme, Segment

SENTIMENT = LabelScheme("sentiment", "values", ("sentiment",), -3.0, 3.0)
DEPTH = 8  # known sub-trees such as Videos/Segmented/Combined lie at most 4 folders below the root


@dataclass(frozen=True)
class Utterance:
    """One labelled segment of a video as a release tells it: times in the whole video, and what had to be mended."""

    video: str
    number: str | None
    start: float | None = None
    end: float | None = None
    text: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What tells it from the video's other segments: its number, else its start."""
        return self.number if self.number is not None else f"at{self.start or 0.0:.3f}"

    @property
    def turn(self) -> int | None:
        """Its clip number, where that is a number."""
        return int(self.number) if self.number is not None and self.number.isdecimal() else None


@dataclass(frozen=True)
class Release:
    """One layout that was found: its name, its ``Facts.expected``, the schemes it carries, each video's segments."""

    layout: str
    expected: str | None
    schemes: tuple[LabelScheme, ...]
    videos: Mapping[str, Sequence[Utterance | Excluded]]
    media: Sequence[Path]


@cache
def folds(corpus: str) -> Mapping[str, str]:
    """Return the split of each video in the SDK's standard folds of ``mosei`` or ``mosi``."""
    held = json.loads((Path(__file__).parents[1] / "facts" / "cmu_std_folds.json").read_text(encoding="utf-8"))
    names = {"train": "train", "valid": "dev", "test": "test"}
    return {video: names[split] for split, videos in held[f"cmu_{corpus}"].items() for video in videos}


def described(release: Release, corpus: str) -> str:
    """Return the layout in words, with how many segments lie outside the standard folds.

    Raises ``DataError`` where the release is that of the sister corpus.
    """
    outside = sorted(set(release.videos) - set(folds(corpus)))
    other = {"mosei": "mosi", "mosi": "mosei"}[corpus]
    if outside and len(outside) == len(release.videos) and set(outside) <= set(folds(other)):
        raise DataError(
            f"the videos found are those of CMU-{other.upper()}, expected CMU-{corpus.upper()}",
            f"mer prepare --corpus {other} --root DIR",
        )
    segments = sum(isinstance(item, Utterance) for video in outside for item in release.videos[video])
    said = f"; {segments} segments of {len(outside)} videos outside the standard folds have no split"
    return release.layout + (said if outside else "")


def timed(utterance: Utterance, start: float, end: float) -> Utterance:
    """Return the utterance with its times in seconds; a negative start is clamped to 0, impossible times left out."""
    notes = []
    if start < 0:
        notes.append(f"times: start {start:.3f} clamped to 0")
        start = 0.0
    if not (math.isfinite(start) and math.isfinite(end) and start < end):
        return replace(utterance, notes=(*utterance.notes, f"times: {start:g} to {end:g} is no stretch"))
    return replace(utterance, start=start, end=end, notes=(*utterance.notes, *notes))


def clipped(values: Mapping[str, float], low: float, high: float) -> tuple[dict[str, float], list[str]]:
    """Return the values within ``low..high``, and a note for each that lay outside.

    Raises ``ValueError`` for a value that is no finite number.
    """
    notes = []
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}, expected a number of {low:g} to {high:g}")
        if not low <= value <= high:
            notes.append(f"{name}: {value:g} clipped to the scale of {low:g} to {high:g}")
    return {name: min(max(value, low), high) for name, value in values.items()}, notes


def items(release: Release, corpus: str, name: str, root: Path) -> Iterator[Clip | Segment | Excluded]:
    """Stream each video's clips and segments, then the media that no label speaks of."""
    media = Media(release.media, root)
    for video in sorted(release.videos):
        utterances, seen = [], set()
        for item in release.videos[video]:
            if isinstance(item, Excluded):
                media.cut(video, item.id.rpartition("/")[2])  # so that its medium is not told a second time
                yield item
            elif item.key in seen:
                yield Excluded(f"{video}/{item.key}", "its id is already that of another segment of the video")
            else:
                seen.add(item.key)
                utterances.append(item)
        utterances.sort(key=lambda u: (math.inf if u.turn is None else u.turn, u.start or 0.0, u.key))
        split = folds(corpus).get(video)
        for made in _placed(name, video, utterances, media):
            yield replace(made, split=split) if isinstance(made, Segment) else made
    for identity in media.unnamed():
        yield Excluded(identity, "media without a label")


def _placed(name: str, video: str, utterances: Sequence[Utterance], media: Media) -> Iterator[Clip | Segment]:
    """Yield one clip of the whole video where it is there and times are known, else one clip a segment."""
    known = [u for u in utterances if u.start is not None]
    cuts = {u.key: media.cut(video, u.number) for u in utterances}
    whole = media.whole(video)
    # a whole video wins over its cuts, cut videos over a sound track of the whole
    if known and (whole.video or (whole.audio and not any(cut.video for cut in cuts.values()))):
        notes = [f"segment {u.key}: {note}" for u in known for note in u.notes]
        yield Clip(video, name, video=whole.video, audio=whole.audio, meta={"errata": notes} if notes else {})
        for u in known:
            yield _segment(u, f"{name}/{video}/{u.key}", video, u.start or 0.0, u.end, whole.masked)
        utterances = [u for u in utterances if u.start is None]
    for u in utterances:
        cut, identity = cuts[u.key], f"{video}/{u.key}"
        seconds = None if u.start is None or u.end is None else round(u.end - u.start, 3)
        meta = {"seconds": seconds} if seconds else {}
        yield Clip(
            identity,
            name,
            video=cut.video,
            audio=cut.audio,
            meta={**meta, **({"errata": [*u.notes]} if u.notes else {})},
        )
        there = cut.video or cut.audio
        end = None if there else seconds  # a cut lasts as long as its medium
        # where neither is there, the whole video's reason tells more: it may be a pointer
        masked = cut.masked if there or not whole.masked else {**cut.masked, **whole.masked}
        yield _segment(u, f"{name}/{identity}/0", identity, 0.0, end, masked)


def _segment(
    u: Utterance, identity: str, clip_id: str, start: float, end: float | None, masked: Mapping[str, str]
) -> Segment:
    return Segment(
        id=identity,
        clip_id=clip_id,
        start=start,
        end=end,
        dialogue=u.video,
        turn=u.turn,
        text=u.text or None,
        text_source="corpus" if u.text else None,
        language="en",
        masked=masked,
        labels=u.labels,
    )
