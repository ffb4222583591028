"""``mer extract``: the segments of prepared corpora become features in the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from mercli import log, registry
from mercli.config import ExtractConfig
from mercli.contracts import Engine
from mercli.corpora import manifest
from mercli.engines.devices import resolve
from mercli.errors import DataError, MerError, PartialError
from mercli.features.store import Store
from mercli.jobs import encoding, transcripts
from mercli.jobs.cutting import Medium, Piece, Source, length, pieces
from mercli.rundir import write_lines
from mercli.types import Clip, Feature, FeatureBundle, Segment

CHUNK = 16
FLUSH = 256


@dataclass(frozen=True)
class Unit:
    """A clip with the segments of it that are still to be encoded."""

    root: Path
    clip: Clip
    segments: tuple[Segment, ...]


@dataclass(eq=False)
class Encoded:
    """What became of a chunk of clips."""

    bundles: list[FeatureBundle] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Coverage:
    """What the store holds of a corpus after extraction."""

    corpus: str
    segments: int = 0
    encoded: int = 0
    present: dict[str, int] = field(default_factory=dict)
    missing: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: int = 0


def stores(config: Any, folder: Path, encoders: encoding.EncoderSet) -> dict[str, Store]:
    """Return the store of each modality of a corpus, for exactly these encoders."""
    return {
        modality: Store(folder / "features" / modality / f"{encoders.names[modality]}-{key}")
        for modality, key in encoders.keys.items()
    }


def extract(config: ExtractConfig) -> list[Coverage]:
    """Encode what the store lacks, corpus by corpus; return the coverage.

    Raises ``PartialError`` when some clips failed (``failures.jsonl`` beside the manifest says which), ``DataError``
    when all did, or more than ``max_fail`` of them.
    """
    encoders = encoding.build(config.recipe, config.modalities, resolve(config.device))
    engine: Engine = registry.build("engines", config.engine.name, options=config.engine.options)
    coverages = [_corpus(config, name, encoders, engine) for name in config.corpora]
    failed = sum(coverage.failed for coverage in coverages)
    if failed:
        raise PartialError(
            f"{failed} clips could not be encoded; the others are in the store",
            f"cat {config.data}/{next(c.corpus for c in coverages if c.failed)}/failures.jsonl",
        )
    return coverages


def _corpus(config: ExtractConfig, name: str, encoders: encoding.EncoderSet, engine: Engine) -> Coverage:
    held = manifest.load(Path(config.data), name)
    own = stores(config, held.folder, encoders)
    for modality, store in own.items():
        store.describe(
            {"encoder": encoders.names[modality], "key": encoders.keys[modality], "recipe": config.recipe.model_dump()}
        )
    units = list(_todo(held, own))
    total = sum(len(unit.segments) for unit in units)
    work = partial(_encode, config.model_dump_json(exclude={"corpora", "runs", "data"}))
    chunks = [units[i : i + CHUNK] for i in range(0, len(units), CHUNK)]
    failures: list[dict[str, str]] = []
    waiting: list[FeatureBundle] = []
    done = 0
    for result in log.progress(engine.map(work, chunks), f"extract {name}", total=len(chunks), unit="chunks"):
        done += len(result.bundles)
        waiting += result.bundles
        failures += result.failures
        if config.strict and failures:
            raise DataError(f"clip '{failures[0]['id']}': {failures[0]['error']}")
        if len(waiting) >= FLUSH:
            _write(own, waiting)
            waiting = []
    _write(own, waiting)
    _record(held.folder, failures, len(units), config)
    return _coverage(held, own, done, len(failures), total)


def _todo(held: manifest.Manifest, own: Mapping[str, Store]) -> Iterator[Unit]:
    """Yield the clips with segments that lack a feature (or a reason) in some modality's store."""
    clips = {clip.id: clip for clip in held.clips()}
    for clip_id, group in groupby(held.segments(), key=lambda segment: segment.clip_id):
        lacking = tuple(s for s in group if any(s.id not in store for store in own.values()))
        if lacking:
            yield Unit(held.root, clips[clip_id], lacking)


@cache
def _tools(settings: str) -> tuple[ExtractConfig, encoding.EncoderSet, transcripts.Finder]:
    """Build encoders and transcriber once per process."""
    config = ExtractConfig.model_validate_json('{"corpora": ["-"], ' + settings[1:])
    encoders = encoding.build(config.recipe, config.modalities, resolve(config.device))
    return config, encoders, transcripts.Finder(config.recipe.transcriber)


def _encode(settings: str, units: list[Unit]) -> Encoded:
    config, encoders, finder = _tools(settings)
    result = Encoded()

    def every() -> Iterator[tuple[str, Piece]]:
        for unit in units:
            try:
                yield from _pieces(unit, encoders, finder, config.recipe.face)
            except MerError as fault:  # the unit boundary: one bad clip never stops the others
                log.logger.warning("clip '%s': %s", unit.clip.id, fault.message)
                result.failures.append({"id": unit.clip.id, "error": fault.message})

    for identity, bundle in encoding.features(encoders, every(), config.batch):
        result.bundles.append(replace(bundle, segment_id=identity))
    return result


def _pieces(
    unit: Unit, encoders: encoding.EncoderSet, finder: transcripts.Finder, face: str
) -> Iterator[tuple[str, Piece]]:
    """Yield the pieces of a clip's segments; masked modalities are left out with the manifest's reason."""
    path = unit.clip.video or unit.clip.audio or unit.clip.image
    media_files = (Medium(unit.root / path, tuple(m for m in encoders.encoders if m != "text")),) if path else ()
    whole = None
    for segment in unit.segments:
        if segment.end is None and whole is None:
            whole = length(Source(media_files))
        wanted = tuple(replace(m, modalities=_unmasked(m.modalities, segment)) for m in media_files)
        source = finder.source(segment, wanted, face)
        window = (segment.start, segment.end if segment.end is not None else whole or 0.0)
        for piece in pieces(source, [window], encoders.settings):
            reasons = {**piece.streams.missing, **segment.masked}
            yield segment.id, replace(piece, streams=replace(piece.streams, missing=reasons))


def _unmasked(modalities: Iterable[str], segment: Segment) -> tuple[str, ...]:
    return tuple(m for m in modalities if m not in segment.masked)


def _write(own: Mapping[str, Store], bundles: list[FeatureBundle]) -> None:
    for modality, store in own.items():
        fresh = [b for b in bundles if b.segment_id not in store]
        found: dict[str, Feature] = {}
        for bundle in fresh:
            feature = bundle.features.get(modality)
            if feature is not None:
                found[bundle.segment_id] = feature
        store.append(found, {b.segment_id: b.missing[modality] for b in fresh if b.segment_id not in found})


def _record(folder: Path, failures: list[dict[str, str]], units: int, config: ExtractConfig) -> None:
    path = folder / "failures.jsonl"
    path.unlink(missing_ok=True)
    if not failures:
        return
    write_lines(path, failures)
    if len(failures) == units or len(failures) > config.max_fail * units:
        raise DataError(
            f"{len(failures)} of {units} clips could not be encoded: '{failures[0]['id']}': {failures[0]['error']}",
            f"cat {path}",
        )


def _coverage(held: manifest.Manifest, own: Mapping[str, Store], encoded: int, failed: int, total: int) -> Coverage:
    coverage = Coverage(held.name, encoded=encoded, failed=failed)
    for segment in held.segments():
        coverage.segments += 1
        for modality, store in own.items():
            if (why := store.missing(segment.id)) is not None:
                reasons = coverage.missing.setdefault(modality, {})
                reasons[why] = reasons.get(why, 0) + 1
    coverage.present = {modality: len(store) for modality, store in own.items()}
    log.logger.debug("%s: %d segments were to be encoded", held.name, total)
    return coverage
