"""Teachers: a bundle or a tuned encoder answers for the segments that a student learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mercli import config as configs
from mercli import log
from mercli.config import TrainConfig
from mercli.config_fit import Distill
from mercli.config_tune import FinetuneConfig
from mercli.contracts import TrainedOn
from mercli.corpora import manifest
from mercli.engines import devices
from mercli.errors import DataError
from mercli.features.seeds import checkpoints
from mercli.fusion import bundle as bundles
from mercli.fusion import packed
from mercli.fusion.calibration import log_frequencies
from mercli.jobs.features import nearby, tuned
from mercli.jobs.fits import dataset, fitting, lessons
from mercli.jobs.fits.lessons import Lesson
from mercli.jobs.predict import bundle_folder
from mercli.jobs.tuned import bodies
from mercli.jobs.tuned import examples as reading
from mercli.types import Segment

if TYPE_CHECKING:
    from mercli.tuning.examples import Example


@dataclass(frozen=True, eq=False)
class Teacher:
    """A bundle, or the folder of a tuned encoder with its card; ``classes`` in the order of its logits."""

    place: Path
    classes: tuple[str, ...]
    bundle: bundles.Bundle | None
    card: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a teacher is asked: segments by corpus, in a scheme's ``classes`` (of the labels called ``scheme``)."""

    data: str
    device: str
    classes: tuple[str, ...]
    scheme: str | None
    held: Mapping[str, manifest.Manifest]
    segments: Mapping[str, Sequence[Segment]]


def opened(how: Distill, classes: Sequence[str]) -> Teacher | None:
    """Return the teacher that is named, ``None`` where none is; raises ``DataError`` for one of other classes."""
    if how.teacher is None:
        return None
    teacher = _open(Path(how.teacher).expanduser(), how.teacher)
    if sorted(teacher.classes) != sorted(classes):
        raise DataError(
            f"teacher '{how.teacher}' tells {', '.join(teacher.classes)}; the corpora have {', '.join(classes)}",
            f"--classes {' '.join(teacher.classes)}",
        )
    return teacher


def _open(given: Path, name: str) -> Teacher:
    if any((folder / tuned.CARD).is_file() for folder in (given, given / "encoder")):
        folder, card = tuned.opened(name)
        return Teacher(folder, tuple(card["classes"]), None, card)
    inside = given / "bundle"
    place = inside if (inside / packed.SUMS).is_file() else bundle_folder(name)
    bundle = bundles.load(place)
    if bundle.card.scheme.kind != "one-of":
        raise DataError(f"teacher '{name}' tells {bundle.card.scheme.kind} labels, expected one class of several")
    return Teacher(place, bundle.card.scheme.names, bundle, {})


def to_train(config: TrainConfig, data: dataset.Data, resume: Path | None) -> Lesson | None:
    """Return what the teacher says of the segments that ``mer train`` learns from: with folds, of all.

    ``None`` where none is named, and where the run that is resumed has its lesson.
    """
    if resume is not None and lessons.there(resume):
        return None
    teacher = opened(config.distill, data.scheme.names)
    if teacher is None:
        return None
    held = {name: manifest.load(Path(config.data), name) for name in config.corpora}
    official = config.folds == "official"
    segments = {
        name: [s for s in corpus.segments if s.split == "train" or not official]
        for name, corpus in data.corpora.items()
    }
    asked = Asked(config.data, config.device, data.scheme.names, config.scheme, held, segments)
    return _lesson(teacher, config.distill, asked)


def to_finetune(config: FinetuneConfig, corpora: reading.Corpora, resume: Path | None) -> Lesson | None:
    """Return what the teacher says of training segments, ``None`` as ``to_train`` does.

    Raises ``ConfigError`` where it has seen an excluded corpus.
    """
    if resume is not None and lessons.there(resume):
        return None
    teacher = opened(config.distill, corpora.scheme.names)
    if teacher is None:
        return None
    segments = {name: [s for s in own if s.split == "train"] for name, own in corpora.segments.items()}
    asked = Asked(config.data, config.device, corpora.scheme.names, None, corpora.held, segments)
    lesson = _lesson(teacher, config.distill, asked)
    saw = [use.corpus for use in lesson.saw]
    reading.refuse_excluded(config, saw, f"teacher '{config.distill.teacher}'", "--distill another")
    return lesson


def told(
    examples: Sequence[Example], lesson: Lesson, config: FinetuneConfig, asked: Sequence[str], classes: Sequence[str]
) -> list[Example]:
    """Return training examples with what the teacher says of each; their own prior is added if nothing balances them.

    The lesson's columns are the classes as they were ``asked``, those of the student's logits ``classes``.
    """
    balanced = _balances(config.sampler, config.loss.class_weights)
    labels = np.asarray([example.label for example in examples], np.int64)
    rows = lesson.rows([example.id for example in examples], None)[:, [list(asked).index(name) for name in classes]]
    if not balanced:
        rows = rows + log_frequencies(labels, len(classes)).astype(np.float32)
    return [
        example if np.isnan(row).any() else replace(example, soft=tuple(row.tolist()))
        for example, row in zip(examples, rows, strict=True)
    ]


def _lesson(teacher: Teacher, how: Distill, asked: Asked) -> Lesson:
    answers, saw = _by_bundle(teacher, asked) if teacher.bundle else _by_encoder(teacher, asked)
    wanted = {segment.id for own in asked.segments.values() for segment in own}
    known = {identity: row for identity, row in answers.items() if identity in wanted}
    if not known:
        raise DataError(f"teacher '{how.teacher}' has an answer to no training segment")
    log.logger.info("teacher '%s' answers %d of %d training segments", how.teacher, len(known), len(wanted))
    return Lesson(how, tuple(dict.fromkeys(saw)), known)


def _by_bundle(teacher: Teacher, asked: Asked) -> tuple[dict[str, list[float]], list[TrainedOn]]:
    """Return a bundle's answers from the stored features that it reads, and what it and its encoders have seen."""
    assert teacher.bundle is not None
    card = teacher.bundle.card
    values = {
        "corpora": list(asked.held), "data": asked.data, "scheme": asked.scheme, "classes": teacher.classes,
        "recipe": nearby.recipe(card, teacher.place), "modalities": list(card.dims),
    }  # fmt: skip
    with nearby.explained(card):
        data = dataset.load(configs.validate(TrainConfig, values, f"teacher '{teacher.place}'"))
    bundles.check_keys(card, data.keys)
    parts: list[fitting.Part] = [(name, None) for name in asked.held]
    numbers = fitting.of_bundle(teacher.bundle).log_probabilities(data, parts)
    ids = [segment.id for segment in data.segments(parts)]
    # cards of old name corpora as they were called where they lay: such a name may be one that is called so here
    here = {name: dataset.identity(one) for name, one in asked.held.items()}
    saw = [
        TrainedOn(corpus, use["split"], tuple(use.get("speakers", ())))
        for use in card.trained_on
        for corpus in dict.fromkeys((here.get(use["corpus"], use["corpus"]), use["corpus"]))
    ]
    saw += [use for uses in data.trained_on.values() for use in uses]
    return _rows(ids, numbers, teacher.classes, asked.classes), saw


def _by_encoder(teacher: Teacher, asked: Asked) -> tuple[dict[str, list[float]], list[TrainedOn]]:
    """Return what a tuned encoder's classifier says of the segments' streams, and what its card says it has seen."""
    from mercli.tuning.network import Tuned
    from mercli.tuning.scoring import answers

    folder = str(teacher.place)
    values = {
        **teacher.card["recipe"], "encoder": tuned.named(teacher.place, teacher.card),
        "data": asked.data, "corpora": list(asked.held), "exclude": [], "revision": None, "weights": None,
        "reset_classifier": False, "lora": {}, "distill": {},
    }  # fmt: skip
    config = configs.validate(FinetuneConfig, values, f"the card of '{folder}'")
    body = bodies.body_of(config, teacher.classes)
    reading.keep(config, asked.held, body.settings)
    device, network = devices.resolve(asked.device), Tuned(body)
    network.to(device).eval()
    found = answers(
        network,
        list(reading.unlabelled(config, asked.held, asked.segments, body.settings)),
        config.batch,
        lambda owner, inputs: network(owner.to(device), **{key: value.to(device) for key, value in inputs.items()}),
    )
    numbers = found.logits.double().numpy()
    if not _balances(config.sampler, config.loss.class_weights):
        learnt = teacher.card["segments"]["train"]
        labels = np.repeat(np.arange(len(body.classes)), [learnt[name] for name in body.classes])
        numbers = numbers - log_frequencies(labels, len(body.classes))
    rows = _rows([example.id for example in found.examples], numbers, body.classes, asked.classes)
    return rows, list(checkpoints.learned(folder) or ())


def _balances(sampler: str, class_weights: str) -> bool:
    """Tell whether a tuning leaves logits under a uniform prior; else they hold that of its training segments."""
    return sampler == "balanced" or class_weights == "balanced"


def _rows(
    ids: Sequence[str], numbers: NDArray[np.float64], own: Sequence[str], wanted: Sequence[str]
) -> dict[str, list[float]]:
    """Return logits by segment id, their columns in the student's order."""
    order = [list(own).index(name) for name in wanted]
    return {identity: row.round(6).tolist() for identity, row in zip(ids, numbers[:, order], strict=True)}
