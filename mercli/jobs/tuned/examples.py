"""Prepared corpora as examples for tuning: labelled segments by split, and where their streams are read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from mercli import log, registry
from mercli.config_tune import FinetuneConfig
from mercli.corpora import audit, manifest
from mercli.errors import ConfigError, DataError
from mercli.jobs.clips import keeping, kept
from mercli.jobs.fits import labelling
from mercli.jobs.fits.dataset import identity
from mercli.jobs.fits.fitting import cluster
from mercli.labels import narrowed
from mercli.tuning.examples import Example
from mercli.types import Clip, LabelScheme, Segment, Streams, StreamSettings, Transcript

SPLITS = ("train", "dev", "test")
UNDECODED = "its clip could not be decoded"


@dataclass(frozen=True, eq=False)
class Corpora:
    """The corpora of a tuning under one label scheme: their labelled segments, and what of them was left out.

    ``unread`` {corpus: {reason: count}}: segments that have not the modality, or whose clip could not be decoded.
    """

    held: Mapping[str, manifest.Manifest]
    scheme: LabelScheme
    segments: Mapping[str, Sequence[Segment]]
    labels: Mapping[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    unread: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def part(self, split: str) -> list[tuple[str, Segment]]:
        """Return corpus and segment of a split."""
        return [(name, s) for name, own in self.segments.items() for s in own if s.split == split]


def load(config: FinetuneConfig) -> Corpora:
    """Return the labelled segments that have the modality, without texts that another corpus tests or an excluded has.

    Raises ``ConfigError`` for a corpus that is both taken and excluded, ``DataError`` where one is not prepared, where
    no label fits, or where a class has no training segment.
    """
    if both := sorted({*config.corpora} & {*config.exclude}):
        raise ConfigError(f"corpus '{both[0]}' is excluded, and named to learn from", "--exclude another")
    held = {name: manifest.load(Path(config.data), name) for name in dict.fromkeys(config.corpora)}
    scheme = labelling.common_scheme(list(held.values()))
    scheme = narrowed(scheme, config.classes) if config.classes else scheme
    labels: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    segments: dict[str, list[Segment]] = {name: [] for name in held}
    for name, one in held.items():
        for segment in one.segments():
            label = labelling.label_in(segment, one, scheme)
            if label is None:
                dropped[name] += 1
            else:
                labels[segment.id] = label
                segments[name].append(segment)
    rows = audit.untested(segments, _excluded(config))
    left_out = {name: len(own) - len(rows[name]) for name, own in segments.items() if len(rows[name]) < len(own)}
    used = {name: [own[i] for i in rows[name]] for name, own in segments.items()}
    found = Corpora(held, scheme, used, labels, left_out, dropped)
    return _read(config, replace(found, scheme=_learnt(found)), None)


def _excluded(config: FinetuneConfig) -> Iterable[Segment]:
    """Yield the segments of excluded corpora that are prepared here: their texts are nothing to learn from."""
    here = {path.parent.name for path in Path(config.data).glob("*/corpus.yaml")}
    readers = {spec.name for spec in registry.specs("corpora")}
    for name in config.exclude:
        if name in here:
            yield from manifest.load(Path(config.data), name).segments()
        elif name in readers:
            log.logger.info("%s is not prepared here, so its texts cannot be kept out", name)
        else:
            close = registry.near(name, readers | here)
            log.logger.warning("no corpus is called '%s', so nothing is kept out by that name%s", name, close)


def refuse_excluded(config: FinetuneConfig, saw: Iterable[str], who: str, hint: str) -> None:
    """Raise ``ConfigError`` where ``who`` saw a corpus that is excluded, by its name here or by which it is."""
    known = {*saw}
    for name in config.exclude:
        here = (Path(config.data) / name / "corpus.yaml").is_file()
        names = {name, identity(manifest.load(Path(config.data), name))} if here else {name}
        if names & known:
            raise ConfigError(f"{who} was trained on '{name}', which is excluded", hint)


def _learnt(found: Corpora) -> LabelScheme:
    """Return the scheme's classes that some segment has; raises ``DataError`` for one that training lacks."""
    learn = Counter(found.labels[segment.id] for _, segment in found.part("train"))
    if not learn or not found.part("dev"):
        lacking = "train" if not learn else "dev"
        raise DataError(f"the corpora have no {lacking} split", "mer prepare ... --split speaker:0.8/0.1/0.1")
    asked = Counter(found.labels.values())
    absent = [name for name in found.scheme.names if asked[name] and not learn[name]]
    if absent:
        others = " ".join(name for name in found.scheme.names if learn[name])
        raise DataError(f"class '{absent[0]}' has no training segment", f"--classes {others}")
    names = tuple(name for name in found.scheme.names if learn[name])
    if len(names) < 2:
        raise DataError(f"the training part has one class only: '{names[0]}'")
    return found.scheme if names == found.scheme.names else replace(found.scheme, names=names)


def keep(config: FinetuneConfig, held: Mapping[str, manifest.Manifest], settings: StreamSettings) -> None:
    """Decode what the modality's streams lack, once; what is there is passed over."""
    if config.modality != "text":
        for one in held.values():
            keeping.keep_for(one, settings, config.face, (config.modality,))


def decoded(config: FinetuneConfig, corpora: Corpora, settings: StreamSettings) -> Corpora:
    """Return the corpora without segments whose streams ``keep`` could not make.

    Raises ``DataError`` where a class thereby has no training segment, and with ``strict`` for any such segment.
    """
    return _read(config, corpora, settings)


def _read(config: FinetuneConfig, corpora: Corpora, settings: StreamSettings | None) -> Corpora:
    """Return the corpora without what cannot be read; streams are looked at where their ``settings`` are told."""
    unread = {name: Counter(corpora.unread.get(name, {})) for name in corpora.held}
    segments: dict[str, list[Segment]] = {}
    for name, own in corpora.segments.items():
        clips, place = _media(config, corpora.held[name], settings)
        lacking: Counter[tuple[str, str]] = Counter()
        segments[name] = []
        for segment in (segment for segment in own if segment.split in SPLITS):
            reason = _lacks(config, segment, clips[segment.clip_id], place)
            if reason is None:
                segments[name].append(segment)
            else:
                unread[name][reason] += 1
                lacking[str(segment.split), reason] += 1
        for (split, reason), count in sorted(lacking.items()):
            log.logger.warning("%s %s: %d segments left out: %s", name, split, count, reason)
    told = {name: dict(sorted(own.items())) for name, own in unread.items() if own}
    found = replace(corpora, segments=segments, unread=told)
    if config.strict and (torn := sum(own.get(UNDECODED, 0) for own in told.values())):
        raise DataError(f"{torn} segments could not be decoded")
    for split in ("train", "dev"):
        if not found.part(split):
            raise DataError(
                f"no segment of {split} has {config.modality}", f"mer prepare --corpus {config.corpora[0]} ..."
            )
    return replace(found, scheme=_learnt(found))


def examples(
    config: FinetuneConfig, corpora: Corpora, settings: StreamSettings, classes: Sequence[str]
) -> dict[str, list[Example]]:
    """Return the examples of each split, with the class of each by its place in ``classes``."""
    media = {name: _media(config, one, settings) for name, one in corpora.held.items()}
    made: dict[str, list[Example]] = {}
    for split in SPLITS:
        made[split] = []
        for name, segment in corpora.part(split):
            clips, place = media[name]
            example = _example(config, name, segment, clips[segment.clip_id], place)
            made[split].append(replace(example, label=classes.index(corpora.labels[segment.id])))
    return made


def unlabelled(
    config: FinetuneConfig,
    held: Mapping[str, manifest.Manifest],
    segments: Mapping[str, Sequence[Segment]],
    settings: StreamSettings,
) -> Iterator[Example]:
    """Yield those segments that have the modality, by corpus, as examples whose label is not asked."""
    for name, own in segments.items():
        clips, place = _media(config, held[name], settings)
        for segment in own:
            clip = clips[segment.clip_id]
            if _lacks(config, segment, clip, place) is None:
                yield _example(config, name, segment, clip, place)


def _media(
    config: FinetuneConfig, held: manifest.Manifest, settings: StreamSettings | None
) -> tuple[dict[str, Clip], Path | None]:
    """Return a corpus's clips by id, and where streams in these settings are stored."""
    place = kept.place(held.folder, settings, config.face, (config.modality,)) if settings else None
    return {clip.id: clip for clip in held.clips()}, place


def _lacks(config: FinetuneConfig, segment: Segment, clip: Clip, place: Path | None) -> str | None:
    """Return why a segment cannot be read, the same words for all segments of one fault; streams only in a place."""
    if config.modality in segment.masked:
        return segment.masked[config.modality].partition(": ")[0]  # what follows is of this clip alone
    if config.modality == "text":
        return None if segment.text else "no words (mer prepare --transcribe finds some)"
    if not (clip.video or (clip.audio if config.modality == "audio" else clip.image)):
        return f"no {config.modality}"
    return UNDECODED if place and not kept.there(place, segment, clip) else None


def _example(config: FinetuneConfig, corpus: str, segment: Segment, clip: Clip, place: Path | None) -> Example:
    """Return a segment that can be read as an example without its label."""
    if config.modality == "text":
        words = Transcript(segment.text or "", segment.text_source or "corpus", segment.words, segment.language)
        read, size = partial(_said, words), float(len(words.text))
    else:
        assert place is not None
        read, size = partial(_shown, place, segment, clip), (segment.end or clip.duration or 0.0) - segment.start
    return Example(segment.id, corpus, 0, f"{corpus}/{cluster(segment)}", size, read)


def _said(words: Transcript) -> Streams:
    return Streams(transcript=words)


def _shown(place: Path, segment: Segment, clip: Clip) -> Streams:
    """Return a segment's stored pieces as one; raises ``DataError`` where they are damaged or gone."""
    found = kept.read(place, segment, clip)
    if not found:
        raise DataError(f"streams of '{segment.id}' are gone", "mer finetune ... again")
    streams = [piece.streams for piece in found]
    sounds = [one.audio for one in streams if one.audio is not None]
    faces = [one for one in streams if one.faces is not None and one.face_confidence is not None]
    return Streams(
        id=segment.id,
        audio=np.concatenate(sounds) if sounds else None,
        audio_rate=streams[0].audio_rate,
        faces=np.concatenate([one.faces for one in faces if one.faces is not None]) if faces else None,
        face_confidence=np.concatenate([one.face_confidence for one in faces if one.face_confidence is not None])
        if faces
        else None,
    )
