"""Encoders that learn along with a head: what of a run's configuration and data they learn by, and what they leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mercli import __version__, registry
from mercli.config import Choice, Recipe, TrainConfig
from mercli.config_tune import FinetuneConfig, Rates
from mercli.contracts import Batch, Learner
from mercli.corpora import manifest
from mercli.engines.devices import resolve
from mercli.errors import DataError
from mercli.fusion import losses
from mercli.fusion.batch import Statistics, hidden
from mercli.fusion.dropout import grow
from mercli.fusion.mixup import mixed_loss
from mercli.fusion.optimisers import Pace, build
from mercli.fusion.source import source
from mercli.fusion.training import Epoch
from mercli.jobs.audit import Audit
from mercli.jobs.clips import keeping, kept
from mercli.jobs.fits import fitting, planning, resuming
from mercli.jobs.fits.dataset import Data
from mercli.jobs.fits.watching import watched
from mercli.jobs.tuned import card, leaks
from mercli.rundir import plain, read_lines
from mercli.types import Clip, FeatureBundle, Modality, Segment, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.tuning.examples import Example
    from mercli.tuning.joint import Given
    from mercli.tuning.joint_tuner import JointTuner, Plan

ENCODERS, HEAD = "encoders", "head.safetensors"
CHECKPOINTS = "checkpoints/end-to-end"
PINS = ("revision", "sha256")
"""Options that hold an encoder to the weights that it began with."""


def keep(config: TrainConfig, tune: tuple[str, ...], settings: StreamSettings) -> None:
    """Decode what encoders that learn look at, once; what is there is passed over."""
    for name in config.corpora:
        keeping.keep_for(manifest.load(Path(config.data), name), settings, config.recipe.face, tune)


def examples(
    config: TrainConfig, data: Data, parts: Sequence[fitting.Part], tune: tuple[str, ...], settings: StreamSettings
) -> list[Example]:
    """Return the segments of (corpus, split) parts as examples: streams of ``tune``, stored features of the others."""
    from mercli.tuning.examples import Example

    made = []
    for name, split in parts:
        held = manifest.load(Path(config.data), name)
        clips = {clip.id: clip for clip in held.clips()}
        place = kept.place(held.folder, settings, config.recipe.face, tune)
        own = data.examples([(name, split)], prior=planning.adjusts(config))
        priors = own.log_prior if own.log_prior is not None else [None] * len(own)
        segments = data.segments([(name, split)])
        for segment, bundle, target, prior in zip(segments, own.bundles, own.targets, priors, strict=True):
            clip = clips[segment.clip_id]
            size = (segment.end or clip.duration or 0.0) - segment.start
            read = partial(_given, place, segment, clip, settings.audio_rate, bundle, tune, prior)
            made.append(Example(segment.id, name, int(target), f"{name}/{fitting.cluster(segment)}", size, read))
    return made


def _given(
    place: Path, segment: Segment, clip: Clip, rate: int, bundle: FeatureBundle, tune: Sequence[str], prior: Any
) -> Given:
    """Return a segment as it is now; raises ``DataError`` where its stored streams are damaged or gone."""
    from mercli.tuning.joint import Given

    having = {modality: feature for modality in bundle.features if (feature := bundle.features[modality]) is not None}
    found = kept.read(place, segment, clip) if {*tune} & {*having} else []
    if found is None:
        raise DataError(f"streams of '{segment.id}' are gone", "mer train --end-to-end ... again")
    streams, nothing = [piece.streams for piece in found], Streams(audio_rate=rate)
    heard = next((one for one in streams if one.audio is not None and "audio" in having), nothing)
    seen = next((one for one in streams if one.faces is not None and "face" in having), nothing)
    return Given(
        id=segment.id,
        audio=heard.audio,
        audio_rate=heard.audio_rate,
        faces=seen.faces,
        face_times=seen.face_times,
        face_confidence=seen.face_confidence,
        features={modality: feature for modality, feature in having.items() if modality not in tune},
        log_prior=prior,
    )


def tuning(config: TrainConfig, modality: Modality) -> FinetuneConfig:
    """Return what the ``Trainer`` is told: the head's own schedule, and the encoders' rates."""
    own = config.end_to_end
    rates = Rates(
        lr=own.lr, decay=own.decay, head=config.lr, warmup=0, weight_decay=config.weight_decay, clip=config.clip,
        schedule="constant",
    )  # fmt: skip
    shared = ("corpora", "epochs", "batch", "accumulate", "sampler", "patience", "seed", "data", "runs")
    return FinetuneConfig(
        modality=modality, encoder=config.head.name, rates=rates, **{name: getattr(config, name) for name in shared}
    )


def plan(config: TrainConfig) -> Plan:
    """Return the optimiser and the rates over time that the head would have alone."""
    from mercli.tuning.joint_tuner import Plan

    pace = Pace(config.schedule, config.lr, config.epochs)
    # fused kernels round otherwise than separate ones: they are taken where they are asked for
    choice = config.optimizer.model_copy(update={"fused": bool(config.optimizer.fused)})
    return Plan(
        lambda groups: build(choice, cast(Any, groups), config.lr, config.weight_decay),
        lambda epoch, step, steps: pace.rate(epoch, step, steps) / config.lr,
        config.monitor or "uar",
    )


def penalty(config: TrainConfig, data: Data, learn: Sequence[Example]) -> Callable[[Any, Batch], Any]:
    """Return the head's loss of a batch as the loop computes it: modalities hidden, segments mixed, classes weighed."""
    import torch

    targets = torch.tensor([example.label for example in learn])
    objective = losses.penalty(data.scheme, config.loss, targets, balanced=planning.evens(config))

    def loss(head: Any, batch: Batch) -> torch.Tensor:
        with losses.using(objective):
            return mixed_loss(head, _dropped(config, batch), config.mixup, torch.default_generator)

    return loss


def _dropped(config: TrainConfig, batch: Batch) -> Batch:
    import torch

    if config.dropout_kind != "rate":
        return grow(batch, config.dropout_kind)
    drop = torch.rand(batch.present.shape) < config.modality_dropout
    return hidden(batch, drop.to(batch.present.device)) if config.modality_dropout else batch


def there(run: Path) -> bool:
    """Tell whether a run's encoders and head have been trained to the end."""
    return (run / ENCODERS / HEAD).is_file()


def leave(
    run: Path,
    config: TrainConfig,
    data: Data,
    parts: Mapping[str, Sequence[Example]],
    tuner: JointTuner,
    figures: Mapping[str, Any],
    audited: Audit,
) -> None:
    """Write each encoder with its card, then the head, after which the training counts as done."""
    from safetensors.torch import save_file

    from mercli.rundir import atomic

    body: Any = tuner.changed.body
    told = leaks.marked({**_card(data, parts, tuner, figures), "head": config.head.name}, audited)
    for modality, learner in body.learners.items():
        choice = config.recipe.encoders[modality]
        saw = [plain(use) for use in learner.trained_on]
        own = {
            "modality": modality,
            "encoder": {"name": choice.name, "option": learner.place},
            "base": {"model": choice.options.get(learner.place, choice.name), **_pinned(choice)},
            "trained_on": [*saw, *(row for row in told["trained_on"] if row not in saw)],
        }
        card.write(run / ENCODERS / modality, learner, {**told, **own, "recipe": config.model_dump(exclude=_PLACES)})
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in body.network["head"].state_dict().items()}
    with atomic(run / ENCODERS / HEAD) as part:
        save_file(state, part)


_PLACES = {"data", "runs", "device", "engine"}


def _pinned(choice: Choice) -> dict[str, Any]:
    return {name: choice.options[name] for name in PINS if name in choice.options}


def _card(
    data: Data, parts: Mapping[str, Sequence[Example]], tuner: JointTuner, figures: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the cards of all encoders of a run say; its figures are those of encoders and head together."""
    names = data.scheme.names
    return {
        "format": 1,
        "mer": __version__,
        "classes": list(names),
        "policy": data.policy,
        "trained_on": [row for corpus in data.corpora for row in _seen(data, corpus, parts)],
        "excluded": [],
        "segments": {split: dict(Counter(names[e.label] for e in own)) for split, own in parts.items()},
        "left_out": {"could not be read in training": dict(sorted(tuner.skipped.reasons.items()))},
        "figures": {
            f"{name} test": {**row, "seen_by": fitting.seen(data, name, "test")} for name, row in figures.items()
        },
    }


def _seen(data: Data, corpus: str, parts: Mapping[str, Sequence[Example]]) -> Iterator[dict[str, Any]]:
    """Yield the splits of a corpus that the weights (train) or the choice of the epoch (dev) have seen."""
    for split in ("train", "dev"):
        ids = {example.id for example in parts[split]}
        own = [segment for segment in data.segments([(corpus, split)]) if segment.id in ids]
        speakers = sorted({segment.speaker for segment in own if segment.speaker})
        if own:
            yield {"corpus": data.corpora[corpus].identity, "split": split, "speakers": speakers}


def recipe(run: Path, config: TrainConfig, learners: Mapping[Modality, Learner], precision: str) -> Recipe:
    """Return the recipe with the encoders that a run has trained in the place of those that it began with."""
    encoders = dict(config.recipe.encoders)
    for modality, learner in learners.items():
        options = {name: value for name, value in encoders[modality].options.items() if name not in PINS}
        folder = str(run / ENCODERS / modality)
        encoders[modality] = Choice(name=encoders[modality].name, options={**options, learner.place: folder})
    return config.recipe.model_copy(update={"encoders": encoders, "precision": precision})


def fitted(
    run: Path, config: TrainConfig, data: Data, train: Sequence[fitting.Part], dev: Sequence[fitting.Part]
) -> fitting.Fitted:
    """Return the head that a run has trained, calibrated on the features that its encoders make of dev."""
    from safetensors.torch import load_file

    device = resolve(config.device)
    head = registry.build("heads", config.head.name, data.dims, data.scheme, options=config.head.options)
    head.load_state_dict(load_file(run / ENCODERS / HEAD))
    learn, choose = (data.examples(parts, prior=planning.adjusts(config)) for parts in (train, dev))
    held = source(choose, Statistics.unchanging(data.dims), data.dims, device)
    told = epochs(run, config)
    place = resuming.Place(run, f"fold-1/seed-{config.seed}").tensorboard
    every = list(watched(told, place) if config.tensorboard else told)
    return fitting.calibrated(config, data, dev, learn, held, head.to(device), every)


def epochs(run: Path, config: TrainConfig) -> Iterator[Epoch]:
    """Yield the epochs of a run's training."""
    watched, best = f"dev_{config.monitor or 'uar'}", float("-inf")
    for row in read_lines(run / CHECKPOINTS / "metrics.jsonl"):
        score = -row[watched] if config.monitor == "loss" else row[watched]
        dev = {name: row[name] for name in ("dev_uar", "dev_accuracy", "dev_loss")}
        yield Epoch(row["epoch"], row["loss"], best=score > best, lr=row["lr"], score=score, **dev)
        best = max(best, score)
