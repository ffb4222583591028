"""Known faults of releases, applied to what a reader yields: modalities masked with the reason, clips flagged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mercli.contracts import Erratum, Excluded
from mercli.types import Clip, Segment


def applied(
    items: Iterable[Clip | Segment | Excluded], errata: Sequence[Erratum]
) -> Iterator[Clip | Segment | Excluded]:
    """Yield the items with each erratum's note in its clips' ``meta`` and its reason in its segments' ``masked``."""
    clips: dict[str, list[Erratum]] = {}
    dialogues: dict[str | None, list[Erratum]] = {}
    for erratum in errata:
        for identity in erratum.ids:
            (clips if erratum.by == "clip" else dialogues).setdefault(identity, []).append(erratum)
    for item in items:
        if isinstance(item, Clip):
            yield _flagged(item, clips[item.id]) if item.id in clips else item
        elif isinstance(item, Segment) and (item.clip_id in clips or item.dialogue in dialogues):
            yield _masked(item, [*clips.get(item.clip_id, ()), *dialogues.get(item.dialogue, ())])
        else:
            yield item


def _flagged(clip: Clip, errata: Sequence[Erratum]) -> Clip:
    notes = [f"{erratum.kind}: {erratum.note}" for erratum in errata]
    return replace(clip, meta={**clip.meta, "errata": [*clip.meta.get("errata", ()), *notes]})


def _masked(segment: Segment, errata: Sequence[Erratum]) -> Segment:
    masks = {modality: f"{erratum.kind}: {erratum.note}" for erratum in errata for modality in erratum.mask}
    return replace(segment, masked={**masks, **segment.masked})
