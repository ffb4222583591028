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
    tables: dict[str, dict[str, list[Erratum]]] = {"clip": {}, "dialogue": {}}
    for erratum in errata:
        for identity in erratum.ids:
            tables[erratum.by].setdefault(identity, []).append(erratum)
    for item in items:
        if isinstance(item, Clip) and item.id in tables["clip"]:
            notes = [f"{erratum.kind}: {erratum.note}" for erratum in tables["clip"][item.id]]
            item = replace(item, meta={**item.meta, "errata": [*item.meta.get("errata", ()), *notes]})
        elif isinstance(item, Segment):
            found = tables["clip"].get(item.clip_id, []) + tables["dialogue"].get(item.dialogue or "", [])
            masks = {modality: f"{e.kind}: {e.note}" for e in found for modality in e.mask}
            if masks:
                item = replace(item, masked={**masks, **item.masked})
        yield item
