"""Fitting one head on given parts: what ``train`` and ``loco`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import log, registry
from mercli.config import FitConfig
from mercli.contracts import Batch
from mercli.engines.devices import resolve
from mercli.errors import ConfigError
from mercli.fusion import bundle as bundles
from mercli.fusion import conditions, dialogues, loop, readout
from mercli.fusion.batch import Examples, Statistics, statistics
from mercli.fusion.checkpoint import Checkpoint, fingerprint
from mercli.fusion.losses import positive_weights
from mercli.fusion.source import Source, source
from mercli.fusion.training import Epoch
from mercli.jobs.fits import covering
from mercli.jobs.fits.dataset import Data
from mercli.jobs.fits.lessons import Lesson
from mercli.jobs.fits.planning import adjusts, balances, evens, held_prior, schedule
from mercli.jobs.fits.resuming import Place
from mercli.jobs.fits.watching import watched
from mercli.results import scored
from mercli.types import LabelScheme, Prediction, Segment

Part = covering.Part


@dataclass(eq=False)
class Fitted:
    """A trained head with all that turns its logits into probabilities."""

    head: Any
    stats: Statistics
    temperature: readout.Temperature
    epochs: list[Epoch]
    device: str
    held_prior: tuple[float, ...] = ()

    def log_probabilities(
        self, data: Data, parts: Sequence[Part], drop: str | None = None, seed: int = 0
    ) -> NDArray[np.float64]:
        """Return the calibrated numbers (N, K) of ``readout`` for the segments of these parts.

        ``drop``: a condition as ``audio=zeros``; ``seed`` is that of its noise.
        """
        asked = dialogues.asks(self.head)
        held = source(data.examples(parts, prior=False, talk=asked), self.stats, data.dims, self.device)
        change = None if drop is None else _condition(drop, data, seed)
        logits = loop.predict(self.head, held, change).double().cpu().numpy()
        return readout.calibrated(logits, data.scheme, self.temperature, self.held_prior)

    def on_cpu(self) -> Fitted:
        """Return it for another process, which may see no device of this one."""
        return replace(self, head=self.head.cpu(), device="cpu")


def of_bundle(bundle: bundles.Bundle) -> Fitted:
    """Return a bundle's head as it left its training."""
    card = bundle.card
    calibration = card.temperatures or card.temperature
    return Fitted(bundle.head, bundle.stats, calibration, [], "cpu", tuple(card.held_prior))


def _condition(drop: str, data: Data, seed: int) -> Callable[[Batch], Batch]:
    import torch

    modality, kind = conditions.parsed(drop, data.dims)
    return partial(conditions.under, modality=modality, kind=kind, draw=torch.Generator().manual_seed(seed))


def fit(
    config: FitConfig,
    data: Data,
    train: Sequence[Part],
    dev: Sequence[Part],
    seed: int,
    place: Place | None = None,
    lesson: Lesson | None = None,
) -> Fitted:
    """Train a head on ``train``, choose its epoch and temperature on ``dev``; raises ``DataError`` for empty parts.

    With a ``place`` the training is kept there while it runs, and goes on from what lies there. ``lesson``: what a
    teacher says of training segments.
    """
    import torch

    device = resolve(config.device)
    covering.check_parts(data, train, dev)
    learned = _learned(config, data, train)
    torch.manual_seed(seed)
    widths = learned.widths(data.dims)
    head = registry.build("heads", config.head.name, widths, data.scheme, options=config.head.options).to(device)
    asked = dialogues.asks(head)
    learn = data.examples(train, prior=adjusts(config), talk=asked)
    choose = data.examples(dev, prior=adjusts(config), talk=asked)
    if asked:
        _check_dialogues(config, learn)
    plan = schedule(config, torch.from_numpy(learn.targets).to(device), data.scheme, seed)
    if lesson is not None:
        prior = None if balances(config) else data.examples(train).log_prior
        learn = replace(learn, soft=lesson.rows([bundle.segment_id for bundle in learn.bundles], prior))
        plan = replace(plan, distill=lesson.how)
    held = source(choose, learned, data.dims, device)
    identity = fingerprint(learn, choose, learned)
    kept = None if place is None else Checkpoint(place.checkpoint, config.checkpoint, identity)
    told = loop.fit(head, source(learn, learned, data.dims, device), held, plan, kept)
    epochs = list(watched(told, place.tensorboard) if place and config.tensorboard else told)
    return calibrated(config, data, dev, learn, held, head, epochs)


def calibrated(
    config: FitConfig,
    data: Data,
    dev: Sequence[Part],
    learn: Examples,
    held: Source,
    head: Any,
    epochs: list[Epoch],
) -> Fitted:
    """Return a head that has learned from ``learn`` with the temperature of ``dev``, whose segments are ``held``."""
    logits = loop.predict(head, held).double().cpu().numpy()
    offset = _offset(config, data, dev, learn)
    # logits of a training that nothing balanced hold its frequencies, which answers must not
    own = held_prior(config, learn, len(data.scheme.names)) if data.scheme.kind == "one-of" else ()
    found = readout.temperature(logits, held.examples.targets, data.scheme, offset)
    return Fitted(head, held.stats, found, epochs, held.device, own)


def _offset(config: FitConfig, data: Data, dev: Sequence[Part], learn: Examples) -> NDArray[np.float64] | float:
    """Return what balancing took off the logits: each dev corpus's log-priors (N, K), or the labels' log-odds (K,)."""
    import torch

    if data.scheme.kind == "many-of" and evens(config):
        return -np.log(positive_weights(torch.from_numpy(learn.targets)).double().numpy())
    prior = data.examples(dev).log_prior if balances(config) else None
    return 0.0 if prior is None else prior.astype(np.float64)


def _check_dialogues(config: FitConfig, learn: Examples) -> None:
    """Raise ``ConfigError`` for a sampler that tears dialogues apart; warn where none has two segments."""
    if config.sampler not in dialogues.DRAWN or config.curriculum.pilot:
        what = "a curriculum" if config.curriculum.pilot else f"sampler '{config.sampler}'"
        raise ConfigError(
            f"{what} draws single segments, and the head '{config.head.name}' takes whole dialogues",
            "--set sampler=shuffled --set loss.class_weights=balanced",
        )
    assert learn.talk is not None
    if len(np.unique(learn.talk[:, 0])) == len(learn):
        log.logger.warning("no training dialogue has two segments: '%s' has nothing to learn there", config.head.name)


def _learned(config: FitConfig, data: Data, train: Sequence[Part]) -> Statistics:
    """Return what features are reduced and standardised by: of the training part alone."""
    for modality in config.reduce:
        if modality not in data.dims:
            raise ConfigError(f"'reduce.{modality}' is set, and no {modality} features are trained on")
    found = statistics(data.examples(train), config.reduce)
    return found if config.standardise else _as_they_are(found)


def _as_they_are(found: Statistics) -> Statistics:
    """Return statistics that leave features as they are, or as principal components are: about their mean."""
    return Statistics(
        {modality: mean if modality in found.axes else np.zeros_like(mean) for modality, mean in found.mean.items()},
        {modality: np.ones_like(std) for modality, std in found.std.items()},
        found.axes,
    )


def predictions(
    data: Data, parts: Sequence[Part], log_p: NDArray[np.float64], *, run: str, fold: str
) -> Iterator[Prediction]:
    """Yield one prediction per segment of ``parts``, with its target."""
    examples = data.examples(parts)
    scheme = data.scheme
    for segment, features, target, row in zip(
        data.segments(parts), examples.bundles, examples.targets, readout.shown(log_p, scheme), strict=True
    ):
        yield Prediction(
            id=segment.id,
            clip=segment.clip_id,
            start=segment.start,
            end=segment.end,
            scheme=scheme.name,
            scores=_named(scheme, row),
            label=readout.label(row, scheme),
            run=run,
            target=scheme.names[int(target)] if scheme.kind == "one-of" else _named(scheme, target),
            fold=fold,
            cluster=cluster(segment),
            modalities=tuple(m for m in examples.modalities if features.features.get(m) is not None),
            missing=features.missing,
            text=segment.text,
            text_source=segment.text_source,
            text_trust=features.text_trust,
            kind=scheme.kind,
        )


def _named(scheme: LabelScheme, row: NDArray[Any]) -> dict[str, float]:
    return {name: round(float(value), 6) for name, value in zip(scheme.names, row, strict=True)}


def cluster(segment: Segment) -> str:
    """Return what a segment is not independent of: its speaker, else its dialogue, else its clip."""
    return segment.speaker or segment.dialogue or segment.clip_id


def score(data: Data, parts: Sequence[Part], log_p: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Return the metrics of one part over seeds: mean, spread, and the interval clustered by speaker."""
    # corpora number their speakers alike: the one's 03 is not the other's
    clusters = [f"{part[0]}/{cluster(segment)}" for part in parts for segment in data.segments([part])]
    answers = log_p if data.scheme.kind == "one-of" else [readout.shown(p, data.scheme) for p in log_p]
    return scored.score(data.scheme, data.examples(parts).targets, answers, clusters)


def seen(data: Data, corpus: str, split: str | None) -> list[str]:
    """Return the encoders' modalities that were trained on (this split of) this corpus: figures there are marked."""
    identity = data.corpora[corpus].identity
    return [
        modality
        for modality, uses in data.trained_on.items()
        if any(use.corpus == identity and (split is None or use.split in (split, "all")) for use in uses)
    ]


def epoch_rows(fitted: Fitted, **where: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of ``metrics.jsonl`` for one fit."""
    for epoch in fitted.epochs:
        yield {**where, **{name: value for name, value in asdict(epoch).items() if value is not None}}
