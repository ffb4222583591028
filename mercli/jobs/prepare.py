"""``mer prepare``: a raw corpus becomes a manifest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from mercli import log, registry
from mercli.config import PrepareConfig
from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import errata, manifest, splits
from mercli.corpora.expected import Tally, bare
from mercli.errors import ConfigError, DataError
from mercli.jobs.clips.probing import Prober, probed
from mercli.jobs.clips.transcribing import Scribe, transcribed
from mercli.rundir import sha256
from mercli.types import Clip, LabelMap, Segment

Items = Iterator[Clip | Segment | Excluded]


@dataclass
class Summary:
    """What was prepared: counts per split and label, hours, speakers, gaps, labels that have no canonical class."""

    corpus: str
    folder: Path | None
    scheme: str
    label_map: LabelMap | None = None
    labels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    speakers: dict[str, set[str | None]] = field(default_factory=lambda: defaultdict(set))
    dropped: Counter[str] = field(default_factory=Counter)
    clips: int = 0
    without_media: int = 0
    unusable: int = 0
    bare: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    layout: str = ""
    streams: tuple[int, int] | None = None
    tally: Tally | None = None
    _clip: Clip | None = None
    _first: bool = True

    def add(self, item: Clip | Segment | Excluded) -> None:
        """Count one item of the reader's stream."""
        if isinstance(item, Excluded):
            self.excluded += 1
        elif isinstance(item, Clip):
            self._clip, self._first = item, True
            self.clips += 1
            self.without_media += not (item.video or item.audio or item.image)
        else:
            self._add_segment(item)
            self._first = False

    def _add_segment(self, segment: Segment) -> None:
        split, label = segment.split or "(none)", str(segment.labels.get(self.scheme))
        self.labels[split][label] += 1
        self.speakers[split].add(segment.speaker)
        if self.label_map and self.label_map.table.get(label) is None:
            self.dropped[label] += 1
        clip, end = self._clip, segment.end
        if self._first and (reason := bare(clip, segment)):
            self.bare[reason] += 1
            self.unusable += not segment.text or "text" in segment.masked
        if end is None and clip:
            end = clip.duration if clip.duration is not None else clip.meta.get("seconds")
        if end is not None and end > segment.start:
            self.seconds[split] += end - segment.start

    def row(self) -> dict[str, Any]:
        """Return the summary for ``--json``, its splits in the order train, dev, test and others."""
        names = sorted(self.labels, key=lambda split: splits.NAMES.index(split) if split in splits.NAMES else 3)
        row = {
            "corpus": self.corpus,
            "manifest": str(self.folder) if self.folder else None,
            "layout": self.layout,
            "segments": {split: dict(sorted(self.labels[split].items())) for split in names},
            "hours": {split: round(self.seconds[split] / 3600, 3) for split in names},
            "speakers": {split: len(self.speakers[split] - {None}) for split in names},
            "clips": self.clips,
            "clips_without_media": self.without_media,
            "clips_unusable": self.unusable,
            "why_without_media": dict(self.bare),
            "excluded": self.excluded,
            "dropped_labels": dict(sorted(self.dropped.items())),
        }
        if self.streams:
            row["streams"] = dict(zip(("clips", "failed"), self.streams, strict=True))
        return {**row, "check": self._check()} if self.tally else row

    def _check(self) -> dict[str, Any]:
        tally = self.tally
        assert tally is not None
        return {
            "expected": [vars(row) for row in tally.rows()] if tally.expected else None,
            "faults": tally.faults(),
            "warnings": tally.warnings(),
            "missing_media": [identity for identity in tally.missing if identity not in tally.known],
            "undecodable": tally.undecodable,
            "lengths": [{"id": i, "labelled": said, "found": found} for i, said, found in tally.lengths],
            "recut": tally.recut,
        }


@dataclass(frozen=True)
class _Raw:
    """A raw corpus about to be read: its reader with the options, where it lies, and where its manifest goes."""

    reader: CorpusReader
    options: dict[str, Any]
    root: Path
    name: str
    folder: Path

    @property
    def base(self) -> Path:
        """What media paths are relative to."""
        return self.root.parent if self.root.is_file() else self.root

    def items(self) -> Items:
        """Return the reader's stream once it has begun: the scheme of a generic corpus is known only then."""
        items = self.reader.read(self.root, self.name)
        first = next(items, None)
        if first is None:
            raise DataError(f"'{self.root}' holds no clip: its tables have no row")
        return errata.applied(chain([first], items), self.reader.facts.errata)


def prepare(config: PrepareConfig) -> Summary:
    """Read a corpus and write its manifest under ``config.data``; return what was found.

    Raises ``DataError`` where the root is not this corpus. Nothing is written inside the corpus, except by ``made``,
    which makes it.
    """
    raw = _raw(config)
    # a reading of its own, so that nothing is held
    split = _assigned(raw, config) if config.split else None
    items = raw.items()
    card = _card(raw, config)
    summary = Summary(raw.name, None if config.dry_run else raw.folder, raw.reader.scheme.name, card.get("label_map"))
    summary.layout = str(card.get("layout") or "")
    if config.check:
        summary.tally = Tally(raw.reader.scheme.name, raw.reader.facts.expected.get(str(card.get("expected"))))
    with ExitStack() as stack:
        if config.probe:
            prober = stack.enter_context(Prober(raw.base, None if config.dry_run else raw.folder))
            items = probed(items, prober)
        items = summary.tally.watch(items) if summary.tally else items
        if config.transcribe:
            items = transcribed(items, Scribe(raw.base, None if config.dry_run else raw.folder, config.transcriber))
        items = splits.applied(items, split) if split else items
        items = _hash(items, raw.base) if config.hash else items
        counted = _count(log.progress(items, "prepare", unit="items"), summary)
        if config.dry_run:
            for _ in counted:
                pass
        else:
            manifest.write(raw.folder, card, counted)
    if config.streams and not config.dry_run:
        from mercli.jobs.clips.keeping import keep

        summary.streams = keep(Path(config.data), raw.name, config.recipe)
    return summary


def _raw(config: PrepareConfig) -> _Raw:
    """Return the reader on its root; a made corpus is rendered first where it is not there."""
    options = dict(config.corpus.options)
    if "seed" in registry.get("corpora", config.corpus.name).options():
        options.setdefault("seed", config.seed)
    if config.dry_run and options.pop("unpack", None):
        log.logger.info("--dry-run writes nothing, so no picture is unpacked")
    reader: CorpusReader = registry.build("corpora", config.corpus.name, options=options)
    root = Path(config.root).absolute()
    made = hasattr(reader, "plan")
    name = config.name or (options.get("like", "meld") if made else config.corpus.name)
    if name != Path(name).name or name == "..":
        raise ConfigError(f"--name '{name}' cannot be used, expected the name of one folder", "mer prepare --name NAME")
    folder = Path(config.data) / name
    if made and not config.dry_run:
        _make(reader, root, folder)
    if folder.resolve().is_relative_to(root.resolve()) and not config.dry_run:
        log.logger.warning("'%s' lies inside the corpus: --data DIR keeps it clean", folder)
    return _Raw(reader, options, root, name, folder)


def _card(raw: _Raw, config: PrepareConfig) -> dict[str, Any]:
    """Return what ``corpus.yaml`` keeps; asked for once reading has begun."""
    facts = raw.reader.facts
    return {
        "name": raw.name,
        "reader": config.corpus.name,
        "version": registry.get("corpora", config.corpus.name).version,
        "options": raw.options,
        "root": str(raw.base),
        "scheme": raw.reader.scheme,
        **raw.reader.card(),
        "separates": facts.separates or _promised(config.split),
        "known": facts.known,
        "folds": facts.folds,
        **({"splits": f"{config.split} seed {config.seed}"} if config.split else {}),
    }


def _promised(split: str | None) -> tuple[str, ...]:
    """Return what a drawn split keeps apart, for a corpus that promises nothing itself."""
    group = (split or "").partition(":")[0]
    return (group,) if group in ("speaker", "dialogue") else ()


def _make(reader: Any, root: Path, folder: Path) -> None:
    if (folder / "corpus.yaml").is_file() and not manifest.load(folder.parent, folder.name).card.get("made"):
        raise DataError(
            f"'{folder}' holds a corpus that is not made, and a made one must not replace it",
            "mer prepare --corpus made --name NAME --root DIR",
        )
    from mercli.jobs.clips import making

    making.make(reader, root)


def _count(items: Iterable[Clip | Segment | Excluded], summary: Summary) -> Items:
    for item in items:
        summary.add(item)
        yield item


def _assigned(raw: _Raw, config: PrepareConfig) -> splits.Assignment:
    segments = (item for item in raw.items() if isinstance(item, Segment))
    return splits.assigned(segments, config.split or "", raw.reader.facts.folds, config.seed)


def _hash(items: Iterable[Clip | Segment | Excluded], root: Path) -> Items:
    for item in items:
        medium = (item.video or item.audio or item.image) if isinstance(item, Clip) else None
        if isinstance(item, Clip) and medium:
            item = replace(item, sha256=sha256(root / medium))
        yield item
