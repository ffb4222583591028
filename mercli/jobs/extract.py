"""``mer extract``: the segments of prepared corpora become features in the store."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from mercli import log, registry
from mercli.config import ExtractConfig, shard
from mercli.contracts import Engine
from mercli.corpora import manifest
from mercli.engines import devices
from mercli.errors import ConfigError, DataError, PartialError
from mercli.features.store import Store
from mercli.jobs.clips import kept as keeping
from mercli.jobs.clips import transcripts
from mercli.jobs.clips.cutting import Piece
from mercli.jobs.clips.pieces import Unit, pieces
from mercli.jobs.features import encoding
from mercli.jobs.features.storing import Coverage, Encoded, Filling, by_clip
from mercli.rundir import json_line

CHUNK = 16
PIECES = 16
"""Pieces in a batch where none is asked for; memory that runs out halves it."""
HOPELESS = 3
"""So many chunks lost before any was encoded: it is not their clips that workers die of."""


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
    return {modality: Store(encoding.shelf(held.folder, encoders, modality), prints) for modality in encoders.keys}


def extract(config: ExtractConfig) -> list[Coverage]:
    """Encode what the store lacks, corpus by corpus; return the coverage, failures counted (see ``judge``).

    With ``strict`` the first clip that fails raises ``DataError``; what was encoded before it is kept.
    """
    part = shard(config.shard) if config.shard else (0, 1)
    device = devices.resolve(config.device)
    config = config.model_copy(update={"recipe": encoding.settled(config.recipe, device)})
    engine: Engine = registry.build("engines", config.engine.name, config.device, options=config.engine.options)
    settings = config.model_dump_json(exclude={"corpora", "runs", "data", "engine", "shard"})
    _tools.cache_clear()  # weights on disk may have changed since this process last looked
    _, encoders, _ = _tools(settings)
    fillings = [_open(config, name, encoders, part) for name in config.corpora]
    total = sum(math.ceil(len(filling.units) / CHUNK) for filling in fillings)
    current = fillings[0]
    with closing(_spread(engine, partial(_encode, settings, dict(encoders.keys)), fillings)) as every:
        try:
            for filling, made in log.progress(every, "extract", total=total, unit="chunks"):
                if filling is not current:
                    current.close()
                    current = filling
                filling.take(made)
                if config.strict and made.failures:
                    raise DataError(f"clip '{made.failures[0]['id']}': {made.failures[0]['error']}")
        finally:
            current.close()
    for filling in fillings:
        filling.close()
    return [filling.count() for filling in fillings]


def _open(config: ExtractConfig, name: str, encoders: encoding.EncoderSet, part: tuple[int, int]) -> Filling:
    held = manifest.load(Path(config.data), name)
    own = stores(held, encoders)
    for modality, store in own.items():
        made = {"encoder": encoders.names[modality], "key": encoders.keys[modality]}
        store.describe({**made, "recipe": config.recipe.model_dump()})
    stored = keeping.place(held.folder, encoders.settings, config.recipe.face)
    units = list(_todo(held, own, stored if stored.is_dir() else None, part))
    return Filling(held, own, units, part, Coverage(name))


def _spread(
    engine: Engine, work: Callable[[list[Unit]], Encoded], fillings: Sequence[Filling]
) -> Generator[tuple[Filling, Encoded], None, None]:
    """Yield what became of each chunk of clips; those of a chunk that workers died of come once more, one by one.

    Raises ``DataError`` where workers die of whatever they begin with.
    """
    chunks = [(f, f.units[first : first + CHUNK]) for f in fillings for first in range(0, len(f.units), CHUNK)]
    again: list[tuple[Filling, list[Unit]]] = []
    lost = 0
    made = engine.map(work, [units for _, units in chunks], _lost)
    for number, ((filling, _), encoded) in enumerate(zip(chunks, made, strict=True), start=1):
        again += [(filling, [unit]) for unit in encoded.again]
        lost += bool(encoded.again)
        if lost == number == HOPELESS:
            raise DataError("workers were killed whatever clips they had (out of memory?)", "--jobs 1")
        yield filling, encoded
    alone = engine.map(work, [units for _, units in again], _lost)
    yield from ((filling, encoded) for (filling, _), encoded in zip(again, alone, strict=True))


def _lost(units: list[Unit], why: str) -> Encoded:
    if len(units) > 1:
        return Encoded(again=units)
    log.logger.warning("clip '%s': %s", units[0].clip.id, why)
    return Encoded(failures=[{"id": units[0].clip.id, "error": why}])


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


def _todo(
    held: manifest.Manifest, own: Mapping[str, Store], stored: Path | None, part: tuple[int, int]
) -> Iterator[Unit]:
    """Yield the clips of this part (number, count) with segments that lack a feature (or a reason) in some store.

    Parts are taken of all clips, whatever is done already, so that parts run at any time are disjoint and complete.
    """
    clips = {clip.id: clip for clip in held.clips()}
    for here, clip_id, group in by_clip(held, part):
        if not here:
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
    device = devices.resolve(config.device)
    encoders = encoding.build(config.recipe, config.modalities, device)
    return config, encoders, transcripts.Finder(config.recipe.transcriber, device)


def _encode(settings: str, keys: dict[str, str], units: list[Unit]) -> Encoded:
    """Encode some clips, all as their driver would: ``keys`` are those of its features, by modality."""
    config, encoders, finder = _tools(settings)
    if encoders.keys != keys:
        raise ConfigError(
            f"this worker makes features {encoders.keys}, expected {keys}: its weights or versions are other ones"
        )
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
