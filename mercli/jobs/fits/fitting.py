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
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion import conditions, dialogues, loop
from mercli.fusion.batch import Examples, Statistics, statistics
from mercli.fusion.calibration import temperature, uniform
from mercli.fusion.checkpoint import Checkpoint, fingerprint
from mercli.fusion.source import source
from mercli.fusion.training import Epoch
from mercli.jobs.fits import covering
from mercli.jobs.fits.dataset import Data
from mercli.jobs.fits.planning import adjusts, balances, held_prior, schedule
from mercli.jobs.fits.resuming import Place
from mercli.jobs.fits.watching import watched
from mercli.results import metrics, stats
from mercli.types import Prediction, Segment

Part = tuple[str, str | None]


@dataclass(eq=False)
class Fitted:
    """A trained head with all that turns its logits into probabilities."""

    head: Any
    stats: Statistics
    temperature: float
    epochs: list[Epoch]
    device: str
    held_prior: tuple[float, ...] = ()

    def log_probabilities(
        self, data: Data, parts: Sequence[Part], drop: str | None = None, seed: int = 0
    ) -> NDArray[np.float64]:
        """Return calibrated uniform-prior log-probabilities (N, K) of the segments of these parts.

        ``drop``: a condition as ``audio=zeros``; ``seed`` is that of its noise.
        """
        asked = dialogues.asks(self.head)
        held = source(data.examples(parts, prior=False, talk=asked), self.stats, data.dims, self.device)
        change = None if drop is None else _condition(drop, data, seed)
        logits = loop.predict(self.head, held, change).double().cpu().numpy()
        return uniform(logits, self.temperature, self.held_prior)

    def on_cpu(self) -> Fitted:
        """Return it for another process, which may see no device of this one."""
        return replace(self, head=self.head.cpu(), device="cpu")


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
) -> Fitted:
    """Train a head on ``train``, choose its epoch and temperature on ``dev``; raises ``DataError`` for empty parts.

    With a ``place`` the training is kept there while it runs, and goes on from what lies there.
    """
    import torch

    device = resolve(config.device)
    for name, split in (*train, *dev):
        if not data.corpora[name].rows(split):
            raise DataError(f"corpus '{name}' has no {split} split", "mer prepare ... --split speaker:0.8/0.1/0.1")
    learned = _learned(config, data, train)
    torch.manual_seed(seed)
    widths = learned.widths(data.dims)
    head = registry.build("heads", config.head.name, widths, data.scheme, options=config.head.options).to(device)
    asked = dialogues.asks(head)
    learn = data.examples(train, prior=adjusts(config), talk=asked)
    choose = data.examples(dev, prior=adjusts(config), talk=asked)
    if len(set(learn.targets.tolist())) < 2:
        raise DataError(f"the training part has one class only: '{data.scheme.names[learn.targets[0]]}'")
    covering.check_classes(data, train, dev)
    if asked:
        _check_dialogues(config, learn)
    plan = schedule(config, torch.from_numpy(learn.targets).to(device), len(data.scheme.names), seed)
    held = source(choose, learned, data.dims, device)
    identity = fingerprint(learn, choose, learned)
    kept = None if place is None else Checkpoint(place.checkpoint, config.checkpoint, identity)
    told = loop.fit(head, source(learn, learned, data.dims, device), held, plan, kept)
    epochs = list(watched(told, place.tensorboard) if place and config.tensorboard else told)
    logits = loop.predict(head, held).double().cpu().numpy()
    prior = data.examples(dev).log_prior if balances(config) else None
    offset = 0.0 if prior is None else prior.astype(np.float64)
    # logits of a training that nothing balanced hold its frequencies, which answers must not
    own = held_prior(config, learn, len(data.scheme.names))
    return Fitted(head, learned, temperature(logits, choose.targets, offset), epochs, device, own)


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
    names = data.scheme.names
    for segment, features, target, row in zip(
        data.segments(parts), examples.bundles, examples.targets, np.exp(log_p), strict=True
    ):
        yield Prediction(
            id=segment.id,
            clip=segment.clip_id,
            start=segment.start,
            end=segment.end,
            scheme=data.scheme.name,
            scores={name: round(float(p), 6) for name, p in zip(names, row, strict=True)},
            label=names[int(row.argmax())],
            run=run,
            target=names[int(target)],
            fold=fold,
            cluster=cluster(segment),
            modalities=tuple(m for m in examples.modalities if features.features.get(m) is not None),
            missing=features.missing,
            text=segment.text,
            text_source=segment.text_source,
            text_trust=features.text_trust,
        )


def cluster(segment: Segment) -> str:
    """Return what a segment is not independent of: its speaker, else its dialogue, else its clip."""
    return segment.speaker or segment.dialogue or segment.clip_id


def score(data: Data, parts: Sequence[Part], log_p: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """Return the metrics of one part over seeds: mean, spread, and the interval clustered by speaker."""
    classes = len(data.scheme.names)
    targets = data.examples(parts).targets
    # corpora number their speakers alike: the one's 03 is not the other's
    clusters = [f"{part[0]}/{cluster(segment)}" for part in parts for segment in data.segments([part])]
    guesses = [p.argmax(1) for p in log_p]
    each = [metrics.uar(targets, guess, classes) for guess in guesses]
    low, high = stats.clustered_interval(
        metrics.uar_of, np.tile(targets, len(guesses)), np.concatenate(guesses), clusters * len(guesses), classes
    )
    return {
        **metrics.summary(targets, guesses[0], data.scheme.names),
        "uar": float(np.mean(each)),
        "uar_seeds": each,
        "uar_spread": float(np.std(each, ddof=1)) if len(each) > 1 else None,
        "uar_interval": None if np.isnan(low) else [low, high],
        "accuracy": float(np.mean([metrics.accuracy(targets, g) for g in guesses])),
        "weighted_f1": float(np.mean([metrics.weighted_f1(targets, g, classes) for g in guesses])),
        "macro_f1": float(np.mean([metrics.macro_f1(targets, g, classes) for g in guesses])),
        "clusters": len(set(clusters)),
    }


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
    classes = len(data.scheme.names)
    priors = {name: np.exp(corpus.log_prior(classes)).tolist() for name, corpus in data.corpora.items()}
    used = {name: priors[name] for name, _ in train}
    card = bundles.BundleCard(
        name=f"{config.head.name}-on-{'+'.join(name for name, _ in train)}",
        scheme=data.scheme,
        policy=data.policy,
        recipe=config.recipe.model_dump() | {"precision": data.precision},
        keys=data.keys,
        dims=data.dims,
        head={
            "name": config.head.name,
            "version": registry.get("heads", config.head.name).version,
            "options": config.head.options,
        },
        temperature=fitted.temperature,
        priors={"train": np.mean(list(used.values()), 0).tolist(), **used},
        trained_on=[{"corpus": name, "split": split or "all"} for name, split in train],
        facts={"mercli": __version__, **facts},
        held_prior=fitted.held_prior,
    )
    bundles.save(folder, card, fitted.head, fitted.stats, _readme(card, facts))


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
