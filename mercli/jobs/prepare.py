"""``mer prepare``: a raw corpus becomes a manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from mercli import log, registry
from mercli.config import PrepareConfig
from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import errata, manifest, splits
from mercli.errors import DataError
from mercli.types import Clip, LabelMap, Segment


@dataclass
class Summary:
    """What was prepared: counts per split and label, speakers, gaps, labels that have no canonical class."""

    corpus: str
    folder: Path | None
    labels: dict[str, Counter[str]] = field(default_factory=dict)
    label_map: LabelMap | None = None
    dropped: Counter[str] = field(default_factory=Counter)
    speakers: set[str] = field(default_factory=set)
    without_media: int = 0
    excluded: int = 0

    def add(self, item: Clip | Segment | Excluded) -> None:
        """Count one item of the reader's stream."""
        if isinstance(item, Excluded):
            self.excluded += 1
        elif isinstance(item, Clip):
            self.without_media += not (item.video or item.audio or item.image)
        else:
            for label in item.labels.values():
                self.labels.setdefault(item.split or "(none)", Counter())[str(label)] += 1
            raw = str(item.labels.get(self.label_map.source)) if self.label_map else ""
            if self.label_map and self.label_map.table.get(raw) is None:
                self.dropped[raw] += 1
            self.speakers |= {item.speaker} if item.speaker else set()

    def row(self) -> dict[str, Any]:
        """Return the summary for ``--json``."""
        return {
            "corpus": self.corpus,
            "manifest": str(self.folder) if self.folder else None,
            "segments": {split: dict(sorted(counts.items())) for split, counts in self.labels.items()},
            "speakers": len(self.speakers),
            "clips_without_media": self.without_media,
            "excluded": self.excluded,
            "dropped_labels": dict(sorted(self.dropped.items())),
        }


def prepare(config: PrepareConfig) -> Summary:
    """Read a corpus and write its manifest under ``config.data``; return what was found.

    Raises ``DataError`` where the root is not this corpus. Nothing is written inside the corpus, except by ``made``,
    which makes it.
    """
    spec = registry.get("corpora", config.corpus.name)
    options = dict(config.corpus.options)
    if "seed" in spec.options():
        options.setdefault("seed", config.seed)
    reader: CorpusReader = registry.build("corpora", config.corpus.name, options=options)
    root = Path(config.root).absolute()
    name = config.name or (options.get("like", "meld") if hasattr(reader, "plan") else config.corpus.name)
    folder = Path(config.data) / name
    if hasattr(reader, "plan"):
        _make(reader, root, folder)
    items = errata.applied(_begun(reader, root, name), reader.facts.errata)
    base = root.parent if root.is_file() else root
    if config.split:
        items = _split(list(items), config)
    if config.hash:
        items = _hash(items, base)
    card = {
        "name": name,
        "reader": config.corpus.name,
        "version": spec.version,
        "options": options,
        "root": str(base),
        "scheme": reader.scheme,
        **reader.card(),
        "separates": reader.facts.separates,
        "known": reader.facts.known,
        "folds": reader.facts.folds,
        **({"splits": f"{config.split} seed {config.seed}"} if config.split else {}),
    }
    summary = Summary(name, None if config.dry_run else folder, label_map=card.get("label_map"))
    counted = _count(log.progress(items, "prepare", unit="items"), summary)
    if config.dry_run:
        for _ in counted:
            pass
    else:
        manifest.write(folder, card, counted)
    return summary


def _begun(reader: CorpusReader, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
    """Return the reader's stream once it has begun: the scheme of a generic corpus is known only then."""
    items = reader.read(root, name)
    first = next(items, None)
    if first is None:
        raise DataError(f"'{root}' holds no clip: its tables have no row")
    return chain([first], items)


def _make(reader: Any, root: Path, folder: Path) -> None:
    if (folder / "corpus.yaml").is_file() and not manifest.load(folder.parent, folder.name).card.get("made"):
        raise DataError(
            f"'{folder}' holds a corpus that is not made, and a made one must not replace it",
            "mer prepare --corpus made --name NAME --root DIR",
        )
    from mercli.jobs import making

    making.make(reader, root)


def _count(items: Iterable[Clip | Segment | Excluded], summary: Summary) -> Iterator[Clip | Segment | Excluded]:
    for item in items:
        summary.add(item)
        yield item


def _split(items: list[Clip | Segment | Excluded], config: PrepareConfig) -> Iterator[Clip | Segment | Excluded]:
    rule = splits.parse(config.split or "")
    table = splits.assign((item for item in items if isinstance(item, Segment)), rule, config.seed)
    for item in items:
        yield next(iter(splits.apply([item], rule, table))) if isinstance(item, Segment) else item


def _hash(items: Iterable[Clip | Segment | Excluded], root: Path) -> Iterator[Clip | Segment | Excluded]:
    import hashlib

    for item in items:
        medium = (item.video or item.audio or item.image) if isinstance(item, Clip) else None
        if isinstance(item, Clip) and medium:
            with (root / medium).open("rb") as handle:
                item = replace(item, sha256=hashlib.file_digest(handle, "sha256").hexdigest())
        yield item
