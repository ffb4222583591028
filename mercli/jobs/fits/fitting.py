"""Fitting one head on given parts: what ``train`` and ``loco`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import __version__, log, registry
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
from mercli.jobs.features import nearby
from mercli.jobs.fits import covering
from mercli.jobs.fits.dataset import Data
from mercli.jobs.fits.lessons import TEACHER, Lesson
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


def save(folder: Path, config: FitConfig, data: Data, fitted: Fitted, train: Sequence[Part], facts: Any) -> None:
    """Write the bundle of a fitted head, with its card; it is named by what it is, so that twice is the same bytes."""
    used = _priors(data, [name for name, _ in train])
    card = bundles.BundleCard(
        name=f"{config.head.name}-on-{'+'.join(name for name, _ in train)}",
        scheme=data.scheme,
        policy=data.policy,
        recipe=nearby.portable(config.recipe, folder).model_dump() | {"precision": data.precision},
        keys=data.keys,
        dims=data.dims,
        head={
            "name": config.head.name,
            "version": registry.get("heads", config.head.name).version,
            "options": config.head.options,
        },
        temperature=1.0 if isinstance(fitted.temperature, tuple) else fitted.temperature,
        temperatures=fitted.temperature if isinstance(fitted.temperature, tuple) else (),
        priors={"train": np.mean(list(used.values()), 0).tolist(), **used} if used else {},
        trained_on=[*_learned_from(data, train), *_taught(data)],
        facts={"mercli": __version__, **facts},
        held_prior=fitted.held_prior,
    )
    bundles.save(folder, card, fitted.head, fitted.stats, _readme(card, facts))


def _learned_from(data: Data, train: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Yield the parts by which corpora they are, whatever those are called here."""
    for name, split in train:
        yield {"corpus": data.corpora[name].identity, "split": split or "all"}


def _taught(data: Data) -> list[dict[str, Any]]:
    """Return what a teacher of the head has seen."""
    return [asdict(use) for use in data.trained_on.get(TEACHER, ())]


def _priors(data: Data, corpora: Sequence[str]) -> dict[str, list[float]]:
    """Return the class frequencies of these corpora, none where labels are no classes."""
    if data.scheme.kind != "one-of":
        return {}
    return {name: np.exp(data.corpora[name].log_prior(len(data.scheme.names))).tolist() for name in corpora}


def _readme(card: bundles.BundleCard, facts: Any) -> str:
    trained = ", ".join(f"{use['corpus']} ({use['split']})" for use in card.trained_on)
    return (
        f"# {card.name}\n\n"
        f"Predicts {', '.join(card.scheme.names)} ({card.policy}) with the head `{card.head['name']}` over "
        f"{', '.join(card.dims)}.\n\n"
        f"Trained on {trained}. Epoch and temperature were chosen on the dev splits of the same corpora.\n\n"
        f"    mer predict CLIP --model PATH-OF-THIS-FOLDER\n\n"
        f"Facts: `{facts}`\n"
    )


def epoch_rows(fitted: Fitted, **where: Any) -> Iterator[dict[str, Any]]:
    """Yield the lines of ``metrics.jsonl`` for one fit."""
    for epoch in fitted.epochs:
        yield {**where, **{name: value for name, value in asdict(epoch).items() if value is not None}}
