"""Storing what became of clips: features into the stores of their corpus, what failed into its list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from mercli.corpora.manifest import Manifest
from mercli.features.store import Store
from mercli.jobs.clips import transcripts
from mercli.jobs.clips.pieces import Unit
from mercli.rundir import write_lines
from mercli.types import FeatureBundle, Segment

FLUSH = 256


@dataclass(eq=False)
class Encoded:
    """What became of some clips; ``again`` are those nobody came to, for another died of one of them."""

    bundles: list[FeatureBundle] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)
    again: list[Unit] = field(default_factory=list)


@dataclass
class Coverage:
    """What the store holds of a corpus after extraction, and how many of the part's own ``clips`` ``failed``."""

    corpus: str
    segments: int = 0
    clips: int = 0
    encoded: int = 0
    failed: int = 0
    present: dict[str, int] = field(default_factory=dict)
    missing: dict[str, dict[str, int]] = field(default_factory=dict)


@dataclass(eq=False)
class Filling:
    """A corpus whose stores are filled: ``units`` are its clips that lack something, ``part`` (number, count) of it."""

    held: Manifest
    own: Mapping[str, Store]
    units: list[Unit]
    part: tuple[int, int]
    coverage: Coverage
    waiting: list[FeatureBundle] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def take(self, made: Encoded) -> None:
        """Take what became of some clips; it is written when there is enough of it."""
        self.waiting += made.bundles
        self.failures += made.failures
        if len(self.waiting) >= FLUSH:
            self._flush()

    def close(self) -> None:
        """Write what has not been written, and the list of what failed."""
        try:
            self._flush()
        finally:
            _record(self.held.folder, self.failures, self.part)

    def _flush(self) -> None:
        self.coverage.encoded += _write(self.own, self.waiting)
        self.waiting = []

    def count(self) -> Coverage:
        """Return what the stores hold now."""
        found = self.coverage
        found.failed = len(self.failures)
        failed = {failure["id"] for failure in self.failures}
        for here, clip_id, segments in by_clip(self.held, self.part):
            found.clips += here
            for segment in segments:
                found.segments += 1
                for modality, store in self.own.items():
                    why = store.missing(segment.id)
                    if why is None and segment.id not in store:
                        why = _absent(modality, failed=clip_id in failed, here=here)
                    if why is not None:
                        reasons = found.missing.setdefault(modality, {})
                        reasons[why] = reasons.get(why, 0) + 1
        found.present = {modality: len(store) for modality, store in self.own.items()}
        return found


def by_clip(held: Manifest, part: tuple[int, int]) -> Iterator[tuple[bool, str, Iterator[Segment]]]:
    """Yield each clip's id and segments, and whether it is of this part (number, count): every count-th clip is."""
    for place, (clip_id, segments) in enumerate(groupby(held.segments(), key=lambda segment: segment.clip_id)):
        yield place % part[1] == part[0], clip_id, segments


def _absent(modality: str, *, failed: bool, here: bool) -> str:
    """Return why a store knows nothing of a segment."""
    if not here:
        return "of another shard"
    return transcripts.NOT_FOUND if modality == "text" and not failed else "the clip failed"


def _write(own: Mapping[str, Store], bundles: list[FeatureBundle]) -> int:
    """Write what is new of each modality; return of how many segments anything was.

    Text that nobody could transcribe is not written: it may be there next time.
    """
    written = set()
    for modality, store in own.items():
        store.refresh()  # another ``mer extract`` may have been here in the meantime
        fresh = [b for b in bundles if b.segment_id not in store]
        found = {b.segment_id: f for b in fresh if (f := b.features.get(modality)) is not None}
        gone = {b.segment_id: b.missing.get(modality, "") for b in fresh if b.segment_id not in found}
        missing = {i: why for i, why in gone.items() if why not in (transcripts.NOT_FOUND, "not asked for")}
        trust = {b.segment_id: b.text_trust for b in fresh if modality == "text" and b.text_trust is not None}
        store.append(found, missing, trust)
        written |= {*found, *missing}
    return len(written)


def _record(folder: Path, failures: list[dict[str, str]], part: tuple[int, int]) -> None:
    number, count = part
    path = folder / ("failures.jsonl" if count == 1 else f"failures-{number}-of-{count}.jsonl")
    path.unlink(missing_ok=True)
    if failures:
        write_lines(path, failures)
