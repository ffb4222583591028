"""What a release should hold against what was found: counts per part and label, media that are absent or too long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mercli.contracts import Excluded, Expected
from mercli.types import Clip, Segment

TOTAL = "(all)"
"""The label under which ``Expected.counts`` gives a part's size where its labels are not known."""
TOLERANCE = 0.2
"""Seconds by which a medium may differ from its row's times: codecs pad by a frame or two."""


@dataclass(frozen=True)
class Row:
    """One count: part, label, how many were expected (``None``: nothing is known) and found."""

    part: str
    label: str
    expected: int | None
    found: int

    @property
    def differs(self) -> bool:
        """Whether something else was found than expected."""
        return self.expected is not None and self.expected != self.found


@dataclass
class Tally:
    """Counts of one reader's stream, and its clips that lack media or whose media do not last as their rows say.

    ``missing``: why a clip has no media, by its id; a corpus of text alone misses none.
    """

    scheme: str
    expected: Expected | None = None
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    undecodable: list[str] = field(default_factory=list)
    lengths: list[tuple[str, float, float]] = field(default_factory=list)
    recut: int = 0
    known: set[str] = field(default_factory=set)
    _clip: Clip | None = None

    def watch(self, items: Iterable[Clip | Segment | Excluded]) -> Iterator[Clip | Segment | Excluded]:
        """Yield the items, counted; clips must come before their segments."""
        for item in items:
            if isinstance(item, Clip):
                self._count_clip(item)
            elif isinstance(item, Segment):
                self.counts.setdefault(self._part(item), Counter())[str(item.labels.get(self.scheme))] += 1
                if reason := bare(self._clip, item):
                    self.missing[item.clip_id] = reason
            yield item

    def _count_clip(self, clip: Clip) -> None:
        self._clip = clip
        if clip.meta.get("errata"):
            self.known.add(clip.id)
        if clip.meta.get("undecodable"):
            self.undecodable.append(clip.id)
        self.recut += bool(clip.meta.get("recut"))
        said = clip.meta.get("seconds")
        if said is not None and clip.duration is not None and abs(clip.duration - said) > TOLERANCE:
            self.lengths.append((clip.id, float(said), clip.duration))

    def _part(self, segment: Segment) -> str:
        by = self.expected.by if self.expected else "split"
        if by == "all":
            return "all"
        value = segment.split if by == "split" else (self._clip.meta.get(by) if self._clip else None)
        return str(value or "(none)")

    def rows(self) -> list[Row]:
        """Return one row per part and label, in the order of the expectation, then what it does not know."""
        rows = []
        wanted = self.expected.counts if self.expected else {}
        for part in [*wanted, *sorted(set(self.counts) - set(wanted))]:
            found, labels = self.counts.get(part, Counter()), dict(wanted.get(part, {}))
            total = labels.pop(TOTAL, sum(labels.values()) if labels else None)
            for label in [*labels, *sorted(set(found) - set(labels))]:
                # a part whose size alone is known says nothing of its labels
                known = labels.get(label, 0 if labels else None) if part in wanted else None
                rows.append(Row(part, label, known, found[label]))
            rows.append(Row(part, TOTAL, total, found.total()))
        return rows

    def faults(self) -> list[str]:
        """Return what differs though it should not: counts of an exact release, media that do not decode."""
        said = []
        differing = [row for row in self.rows() if row.differs]
        if self.expected and self.expected.exact:
            gone = {row.part: row.expected for row in differing if row.label == TOTAL and not row.found}
            said += [f"'{part}' is not here ({size} segments)" for part, size in gone.items()]
            others = sum(row.part not in gone for row in differing)
            said += [f"{others} counts differ from the release"] if others else []
        broken = [identity for identity in self.undecodable if identity not in self.known]
        if broken:
            said.append(f"{len(broken)} media do not decode: {_named(broken)}")
        return said

    def warnings(self) -> list[str]:
        """Return what is worth knowing and no fault: absent media, other lengths, a release known to vary."""
        said = []
        gone: dict[str, list[str]] = {}
        for identity, reason in self.missing.items():
            if identity not in self.known:
                gone.setdefault(reason, []).append(identity)
        said += [f"{len(ids)} clips have no media ({reason}): {_named(ids)}" for reason, ids in gone.items()]
        longer = [identity for identity, _, _ in self.lengths if identity not in self.known]
        if longer:
            said.append(f"{len(longer)} media differ from their rows' times by > {TOLERANCE} s: {_named(longer)}")
        if self.expected and not self.expected.exact and any(row.differs for row in self.rows()):
            said.append("copies of this release differ in size; these are the counts of another one")
        return said


def bare(clip: Clip | None, segment: Segment) -> str | None:
    """Return why a segment's clip has no medium though its corpus has media, else ``None``."""
    if clip is None or clip.video or clip.audio or clip.image:
        return None
    return segment.masked.get("face") or segment.masked.get("audio")


def _named(ids: list[str], most: int = 5) -> str:
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")
