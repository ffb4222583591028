"""``mer extract``: the segments of prepared corpora become features in the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path

from mercli import log, registry
from mercli.config import ExtractConfig, shard
from mercli.contracts import Engine
from mercli.corpora import manifest
from mercli.engines.devices import resolve
from mercli.errors import DataError, PartialError
from mercli.features.store import Store
from mercli.jobs import encoding, transcripts
from mercli.jobs import kept as keeping
from mercli.jobs.cutting import Piece
from mercli.jobs.pieces import Unit, pieces
from mercli.rundir import json_line, write_lines
from mercli.types import FeatureBundle

CHUNK = 16
FLUSH = 256
PIECES = 16
"""Pieces in a batch where none is asked for; memory that runs out halves it."""


@dataclass(eq=False)
class Encoded:
    """What became of a chunk of clips."""

    bundles: list[FeatureBundle] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Coverage:
    """What the store holds of a corpus after extraction, and how many of its clips failed."""

    corpus: str
    segments: int = 0
    clips: int = 0
    encoded: int = 0
    failed: int = 0
    present: dict[str, int] = field(default_factory=dict)
    missing: dict[str, dict[str, int]] = field(default_factory=dict)


def fingerprints(held: manifest.Manifest) -> dict[str, str]:
    """Return per segment what its features depend on: times, region, words, masks and media (by hash if known)."""
    clips = {clip.id: clip for clip in held.clips()}
    prints = {}
    for segment in held.segments():
        clip = clips[segment.clip_id]
        media_of = (clip.video, clip.audio, clip.image, clip.sha256, clip.meta.get("offset"))
        said = (segment.text, segment.language, segment.text_trust, segment.words)
        made_of = (segment.start, segment.end, segment.region, said, segment.masked, media_of)
        prints[segment.id] = hashlib.sha256(json_line(made_of).encode()).hexdigest()[:12]
    return prints


def stores(held: manifest.Manifest, encoders: encoding.EncoderSet) -> dict[str, Store]:
    """Return the store of each modality of a corpus, for exactly these encoders and the manifest as it is."""
    prints = fingerprints(held)
    return {
        modality: Store(held.folder / "features" / modality / f"{encoders.names[modality]}-{key}", prints)
        for modality, key in encoders.keys.items()
    }


def extract(config: ExtractConfig) -> list[Coverage]:
    """Encode what the store lacks, corpus by corpus; return the coverage, failures counted (see ``judge``).

    With ``strict`` the first clip that fails raises ``DataError``; what was encoded before it is kept.
    """
    encoders = encoding.build(config.recipe, config.modalities, resolve(config.device))
    engine: Engine = registry.build("engines", config.engine.name, options=config.engine.options)
    return [_corpus(config, name, encoders, engine) for name in config.corpora]


def judge(coverages: Sequence[Coverage], config: ExtractConfig) -> None:
    """Raise ``PartialError`` when some clips failed, ``DataError`` when all or more than ``max_fail`` of them did."""
    failed = [coverage for coverage in coverages if coverage.failed]
    if not failed:
        return
    hint = f"cat {config.data}/{failed[0].corpus}/failures*.jsonl"
    for one in failed:
        if one.failed == one.clips or one.failed > config.max_fail * one.clips:
            raise DataError(f"{one.failed} of {one.clips} clips of '{one.corpus}' could not be encoded", hint)
    count = sum(one.failed for one in failed)
    raise PartialError(f"{count} clips could not be encoded; the others are in the store", hint)


def _corpus(config: ExtractConfig, name: str, encoders: encoding.EncoderSet, engine: Engine) -> Coverage:
    held = manifest.load(Path(config.data), name)
    own = stores(held, encoders)
    for modality, store in own.items():
        made = {"encoder": encoders.names[modality], "key": encoders.keys[modality]}
        store.describe({**made, "recipe": config.recipe.model_dump()})
    stored = keeping.place(held.folder, encoders.settings, config.recipe.face)
    part = shard(config.shard) if config.shard else (0, 1)
    units = list(_todo(held, own, stored if stored.is_dir() else None, part))
    work = partial(_encode, config.model_dump_json(exclude={"corpora", "runs", "data"}))
    chunks = [units[i : i + CHUNK] for i in range(0, len(units), CHUNK)]
    coverage = Coverage(name)
    failures: list[dict[str, str]] = []
    waiting: list[FeatureBundle] = []
    try:
        for result in log.progress(engine.map(work, chunks), f"extract {name}", total=len(chunks), unit="chunks"):
            waiting += result.bundles
            failures += result.failures
            if config.strict and failures:
                raise DataError(f"clip '{failures[0]['id']}': {failures[0]['error']}")
            if len(waiting) >= FLUSH:
                coverage.encoded += _write(own, waiting)
                waiting = []
    finally:
        coverage.encoded += _write(own, waiting)
        _record(held.folder, failures, part)
    coverage.failed = len(failures)
    _count(coverage, held, own)
    return coverage


def _todo(
    held: manifest.Manifest, own: Mapping[str, Store], stored: Path | None, part: tuple[int, int]
) -> Iterator[Unit]:
    """Yield the clips of this part (number, count) with segments that lack a feature (or a reason) in some store.

    Parts are taken of all clips, whatever is done already, so that parts run at any time are disjoint and complete.
    """
    clips = {clip.id: clip for clip in held.clips()}
    for number, (clip_id, group) in enumerate(groupby(held.segments(), key=lambda segment: segment.clip_id)):
        if number % part[1] != part[0]:
            continue
        segments = tuple(group)
        lacking = tuple(m for m, store in own.items() if any(s.id not in store for s in segments))
        if lacking:
            wanted = tuple(s for s in segments if any(s.id not in own[m] for m in lacking))
            yield Unit(held.root, clips[clip_id], wanted, lacking, stored)


@cache
def _tools(settings: str) -> tuple[ExtractConfig, encoding.EncoderSet, transcripts.Finder]:
    """Build encoders and transcriber once per process."""
    config = ExtractConfig.model_validate_json('{"corpora": ["-"], ' + settings[1:])
    device = resolve(config.device)
    encoders = encoding.build(config.recipe, config.modalities, device)
    return config, encoders, transcripts.Finder(config.recipe.transcriber, device)


def _encode(settings: str, units: list[Unit]) -> Encoded:
    config, encoders, finder = _tools(settings)
    result = Encoded()

    def every() -> Iterator[tuple[str, Piece]]:
        for unit in units:
            try:
                yield from pieces(unit, encoders.settings, config.recipe.face, finder, encoders.ready)
            except DataError as fault:  # the unit boundary: one bad clip never stops the others
                log.logger.warning("clip '%s': %s", unit.clip.id, fault.message)
                result.failures.append({"id": unit.clip.id, "error": fault.message})

    batch = PIECES if config.batch == "auto" else config.batch
    for identity, bundle in encoding.features(encoders, every(), batch):
        result.bundles.append(replace(bundle, segment_id=identity))
    return result


def _write(own: Mapping[str, Store], bundles: list[FeatureBundle]) -> int:
    """Write what is new of each modality; return of how many segments anything was.

    Text that nobody could transcribe is not written: it may be there next time.
    """
    written = set()
    for modality, store in own.items():
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


def _count(coverage: Coverage, held: manifest.Manifest, own: Mapping[str, Store]) -> None:
    coverage.clips = sum(1 for _ in held.clips())
    for segment in held.segments():
        coverage.segments += 1
        for modality, store in own.items():
            absent = transcripts.NOT_FOUND if modality == "text" else "the clip failed"
            why = store.missing(segment.id) or (None if segment.id in store else absent)
            if why is not None:
                reasons = coverage.missing.setdefault(modality, {})
                reasons[why] = reasons.get(why, 0) + 1
    coverage.present = {modality: len(store) for modality, store in own.items()}
