"""Stored features joined with labels: what ``train`` and ``loco`` learn from."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mercli.config import FitConfig
from mercli.corpora import audit, manifest
from mercli.errors import ConfigError, DataError
from mercli.features.store import Store, Stored
from mercli.fusion import dialogues
from mercli.fusion.batch import Examples
from mercli.fusion.calibration import log_frequencies
from mercli.jobs.extract import stores
from mercli.jobs.features import encoding, stored_precision
from mercli.jobs.fits import kinds
from mercli.jobs.fits.labelling import Target, common_scheme, policy_of, schemes, target_in
from mercli.labels import is_canonical, narrowed
from mercli.types import MODALITIES, FeatureBundle, LabelScheme, Segment

NOTHING: Mapping[str, str] = {}
"""What a segment that has every modality misses: one for all of them."""


@dataclass(eq=False)
class CorpusData:
    """One corpus's usable segments, their features and targets, by split.

    Of ``featured`` labelled segments that have any feature ``having`` counts those of each modality; ``incomplete`` of
    them lack one, and were left out where every one is required.
    """

    name: str
    identity: str
    card: Mapping[str, Any]
    segments: list[Segment] = field(default_factory=list)
    bundles: list[FeatureBundle] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    without_features: int = 0
    featured: int = 0
    having: Counter[str] = field(default_factory=Counter)
    incomplete: int = 0

    def rows(self, split: str | None) -> list[int]:
        """Return the indices of a split, or of everything."""
        return [i for i, segment in enumerate(self.segments) if split is None or segment.split == split]

    def only(self, rows: Sequence[int]) -> CorpusData:
        """Return the corpus with these segments only."""
        return replace(
            self,
            segments=[self.segments[i] for i in rows],
            bundles=[self.bundles[i] for i in rows],
            targets=[self.targets[i] for i in rows],
        )

    def log_prior(self, classes: int) -> np.ndarray:
        """Return the log class frequencies (K,) of the training split (of everything where there is none)."""
        rows = self.rows("train") or self.rows(None)
        return log_frequencies(np.asarray([self.targets[i] for i in rows], np.int64), classes)


@dataclass(frozen=True, eq=False)
class Data:
    """All corpora of a command under one label scheme, and how their features were made (in which ``precision``)."""

    corpora: Mapping[str, CorpusData]
    scheme: LabelScheme
    policy: str
    keys: Mapping[str, str]
    dims: Mapping[str, int]
    trained_on: Mapping[str, Sequence[Any]]
    precision: str = "fp32"

    def examples(self, parts: Sequence[tuple[str, str | None]], *, prior: bool = True, talk: bool = False) -> Examples:
        """Return the examples of (corpus, split) parts; each carries its own corpus's log-prior, if of classes.

        ``talk``: with their dialogues, of which each part holds its own segments alone.
        """
        bundles: list[FeatureBundle] = []
        targets: list[Target] = []
        names: list[str] = []
        priors = []
        classes = self.scheme.kind == "one-of"
        for name, split in parts:
            corpus = self.corpora[name]
            rows = corpus.rows(split)
            bundles += [corpus.bundles[i] for i in rows]
            targets += [corpus.targets[i] for i in rows]
            names += [name] * len(rows)
            priors += [corpus.log_prior(len(self.scheme.names))] * len(rows) if classes else []
        table = np.asarray(priors, np.float32) if prior and priors else None
        said = dialogues.talk(zip(names, self.segments(parts), strict=True)) if talk else None
        given = np.asarray(targets, np.int64) if classes else np.asarray(targets, np.float32).reshape(len(targets), -1)
        return Examples(bundles, tuple(self.dims), given, names, table, said)

    def taught(self, learn: Sequence[tuple[str, str | None]]) -> tuple[str, ...]:
        """Return the modalities that a segment of these (corpus, split) parts has."""
        having = [
            self.corpora[name].bundles[i].features for name, split in learn for i in self.corpora[name].rows(split)
        ]
        return tuple(m for m in self.dims if any(features.get(m) is not None for features in having))

    def of(self, modalities: Sequence[str]) -> Data:
        """Return the data of these modalities alone, without the segments that have none of them."""
        if len(modalities) == len(self.dims):
            return self
        corpora = {}
        for name, corpus in self.corpora.items():
            having = [any(b.features.get(m) is not None for m in modalities) for b in corpus.bundles]
            corpora[name] = corpus.only([i for i, some in enumerate(having) if some])
        keys = {m: self.keys[m] for m in modalities}
        dims = {m: self.dims[m] for m in modalities}
        trained_on = {m: uses for m, uses in self.trained_on.items() if m in modalities}
        return replace(self, corpora=corpora, keys=keys, dims=dims, trained_on=trained_on)

    def without_texts_of(self, name: str) -> tuple[Data, dict[str, int]]:
        """Return the data whose other corpora lack every text of >= 5 words that corpus ``name`` has, and how many.

        Corpora of one source (EmoryNLP and MELD) share sentences word for word (DESIGN 7).
        """
        taken = {audit.fingerprint(segment) for segment in self.corpora[name].segments} - {None}
        kept, counts = {}, {}
        for other, corpus in self.corpora.items():
            rows = [i for i, s in enumerate(corpus.segments) if other == name or audit.fingerprint(s) not in taken]
            counts[other] = len(corpus.segments) - len(rows)
            kept[other] = corpus.only(rows) if counts[other] else corpus
        return replace(self, corpora=kept), {other: count for other, count in counts.items() if count}

    def without_tested_texts(self) -> tuple[Data, dict[str, int]]:
        """Return the data whose train and dev splits lack every text of >= 5 words of another corpus's test split.

        Counts are by the corpus that the segments leave.
        """
        rows = audit.untested({name: corpus.segments for name, corpus in self.corpora.items()})
        counts = {name: len(corpus.segments) - len(rows[name]) for name, corpus in self.corpora.items()}
        kept = {n: corpus.only(rows[n]) if counts[n] else corpus for n, corpus in self.corpora.items()}
        return replace(self, corpora=kept), {name: count for name, count in counts.items() if count}

    def segments(self, parts: Sequence[tuple[str, str | None]]) -> list[Segment]:
        """Return the segments of (corpus, split) parts in the order of ``examples``."""
        return [self.corpora[name].segments[i] for name, split in parts for i in self.corpora[name].rows(split)]


def load(config: FitConfig) -> Data:
    """Return the labelled features of ``config.corpora``.

    Raises ``DataError`` where a corpus is not prepared or extracted, or where no label fits the scheme.
    """
    if len(set(config.corpora)) < len(config.corpora):
        raise ConfigError(f"a corpus is named twice: {', '.join(config.corpora)}")
    held = [manifest.load(Path(config.data), name) for name in config.corpora]
    scheme = common_scheme(held, config.scheme)
    scheme = narrowed(scheme, config.classes) if config.classes else scheme
    kinds.check(config, scheme)
    # nothing is encoded here: a precision that this machine has no arithmetic for can be read
    built = encoding.build(config.recipe.model_copy(update={"precision": "fp32"}), config.modalities)
    encoders = stored_precision.of_store(config.recipe, built, held)
    corpora = {m.name: _corpus(config, m, scheme, encoders) for m in held}
    return Data(
        corpora,
        scheme,
        policy_of(held) if is_canonical(scheme) else scheme.name,
        dict(encoders.keys),
        {modality: encoder.dim for modality, encoder in encoders.encoders.items()},
        {modality: encoder.trained_on for modality, encoder in encoders.encoders.items()},
        next((p for p in encoders.precisions.values() if p != "fp32"), "fp32"),
    )


def _corpus(
    config: FitConfig, held: manifest.Manifest, scheme: LabelScheme, encoders: encoding.EncoderSet
) -> CorpusData:
    own = stores(held, encoders)
    corpus, labelled = CorpusData(held.name, identity(held), held.card), False
    for segment in held.segments():
        target = target_in(segment, held, scheme)
        if isinstance(target, str):
            corpus.dropped[target] += 1
            continue
        labelled = True
        features = {m: store.get(segment.id) for m, store in own.items()}
        if not any(features.values()):
            corpus.without_features += 1
            continue
        corpus.featured += 1
        corpus.having.update(m for m, feature in features.items() if feature is not None)
        if config.require == "all" and None in features.values():
            corpus.incomplete += 1
            continue
        missing = {m: own[m].missing(segment.id) or "not extracted" for m, f in features.items() if f is None}
        _check_finite(segment, features)
        corpus.segments.append(segment)
        trust = own["text"].trust(segment.id) if "text" in own else None
        corpus.bundles.append(FeatureBundle(segment.id, Stored(own, segment.id), missing or NOTHING, trust))
        corpus.targets.append(target)
    for store in own.values():
        store.prints = None  # what is open is current; a million fingerprints are not kept for it
    if not corpus.segments:
        if not labelled:
            raise DataError(
                f"no segment of '{held.name}' has a label of the scheme '{scheme.name}'",
                next((f"--scheme {name}" for name in schemes(held) if name != scheme.name), None),
            )
        if corpus.incomplete:
            raise DataError(f"no segment of '{held.name}' has all of {', '.join(own)}", "--require any")
        _refuse_extracted(held, own)
        raise DataError(
            f"no segment of '{held.name}' has features made by this recipe",
            f"mer extract --corpora {held.name}" + _recipe_flags(config),
        )
    return corpus


def _refuse_extracted(held: manifest.Manifest, own: Mapping[str, Store]) -> None:
    """Raise ``DataError`` where nothing is left to extract: every segment is known to lack these modalities."""
    reasons = Counter(store.missing(segment.id) for segment in held.segments() for store in own.values())
    if reasons and None not in reasons:
        other = " ".join(modality for modality in MODALITIES if modality not in own)
        why = str(reasons.most_common(1)[0][0])
        raise DataError(
            f"no segment of '{held.name}' has {' or '.join(own)}: {why}", f"--modalities {other}" if other else None
        )


def identity(held: manifest.Manifest) -> str:
    """Return which known corpus this is, so that encoders trained on it are found: folder and csv may hold any."""
    if held.card.get("made"):
        return f"made:{held.name}"
    reader = str(held.card["reader"])
    return str(held.card.get("identity") or (held.name if reader in ("folder", "csv") else reader))


def _recipe_flags(config: FitConfig) -> str:
    """Return the flags with which ``mer extract`` makes features by the recipe of this config."""
    flags = []
    for modality in config.modalities:
        choice = config.recipe.encoders.get(modality)
        if choice is None:
            continue
        key = f"recipe.encoders.{modality}"
        flags += [f"{key}.name={choice.name}"] if choice.name != f"embedded-{modality}" else []
        flags += [f"{key}.options.{name}={_spelt(value)}" for name, value in choice.options.items()]
    plain = {"face": "speaker", "transcriber.name": "auto", "precision": "fp32"}
    recipe = config.recipe
    given = {"face": recipe.face, "transcriber.name": recipe.transcriber.name, "precision": recipe.precision}
    flags += [f"recipe.{name}={value}" for name, value in given.items() if value != plain[name]]
    few = f" --modalities {' '.join(config.modalities)}" if len(config.modalities) < len(MODALITIES) else ""
    place = "" if config.data == FitConfig.model_fields["data"].default else f" --data {shlex.quote(config.data)}"
    return few + "".join(f" --set {shlex.quote(flag)}" for flag in flags) + place


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _check_finite(segment: Segment, features: Mapping[str, Any]) -> None:
    for modality, feature in features.items():
        if feature is not None and not np.isfinite(feature.values[feature.valid]).all():
            raise DataError(f"the {modality} feature of segment '{segment.id}' has NaN or infinite values")
