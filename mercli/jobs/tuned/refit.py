"""``mer finetune MODALITY --data-root``: an encoder that ships inside is trained again from its raw corpora."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mercli import registry
from mercli.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mercli.features.embedded.members import Members
    from mercli.tuning.embedded.data import Repeated, Task
    from mercli.tuning.embedded.recipes import Recipe

Network = TypeVar("Network", bound="nn.Module")

LICENCES = {
    "audio": "weights: non-commercial research, as the data (RAVDESS: CC BY-NC-SA 4.0; EMO-DB: free with citation)",
    "face": "weights: non-commercial research, as the data (FER2013: pictures of the web, research use)",
    "text": "weights: non-commercial research, as the data (DailyDialog: CC BY-NC-SA 4.0; MELD: GPL-3.0 transcripts)",
}

CALIBRATING = ("meld", "goemotions")  # the two text corpora with all seven classes and thousands of sentences


@dataclass(frozen=True)
class RefitConfig:
    """What is trained and where: ``options`` change the recipe, ``resume`` goes on from the newest checkpoint."""

    modality: str
    data_root: Path
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False


def refit(config: RefitConfig) -> Path:
    """Train one modality's embedded encoder; return the path of its weights, card and out-of-fold logits beside it.

    Raises ``ConfigError`` for an unknown modality or recipe option, ``DataError`` where the data are not there.
    """
    from mercli.tuning.embedded.recipes import RECIPES, altered

    if config.modality not in MODALITIES:
        raise ConfigError(f"no encoder is trained for '{config.modality}'{registry.near(config.modality, MODALITIES)}")
    recipe = altered(RECIPES[config.modality], config.options)
    return MODALITIES[config.modality](config, recipe)


def _fitted(task: Task, folder: Path, resume: bool) -> nn.Module:
    """Train a task, let the network settle where it does, and return it averaged.

    Where the training itself goes on, what had settled after an earlier one is of no use.
    """
    from mercli.tuning.embedded.trainer import train
    from mercli.tuning.saved import last_whole

    network, before = task.network(), last_whole(folder) if resume else None
    network.load_state_dict(train(task, folder, resume=resume).average.state)
    calm = task.settled()
    if calm is not None:
        same = before is not None and before == last_whole(folder)
        state = train(calm, folder / "settling", start=network.state_dict(), resume=same).average.state
        network.load_state_dict(state)
    return network.eval()


def _together(network: Members, task: Repeated, folder: Path, resume: bool) -> Members:
    """Train the members of a network one after another."""
    for number, member in enumerate(network.members):
        fitted = _fitted(task.member(number), folder / f"member-{number}", resume)
        member.load_state_dict(fitted.state_dict())
    return _stored(network)


def _stored(network: Network) -> Network:
    """Return the network in eval mode, its weights rounded as a file rounds them."""
    from mercli.features.embedded.stored import packed, unpacked

    network.load_state_dict(unpacked(packed(network.state_dict())), strict=False)
    return network.eval()


def _face(config: RefitConfig, recipe: Any) -> Path:
    """Train on FER2013 train; the temperature is fitted on every other dev picture."""
    from mercli.features.embedded.face_net import FaceNet
    from mercli.tuning.embedded.data import FaceTask, face_logits, log_prior
    from mercli.tuning.embedded.evaluate import temperature
    from mercli.tuning.embedded.export import write

    task = FaceTask(recipe, config.data_root)
    network = _together(FaceNet(), task, config.folder / "fold-0", config.resume)
    logits, labels, prior = face_logits(network, task.dev.faces), task.dev.labels, log_prior(task.labels)
    pictures = [f"fer2013/dev/{row}" for row in range(len(labels))]
    for name, rows in (("face-logits.npz", slice(0, None, 2)), ("face-dev-logits.npz", slice(1, None, 2))):
        _save_logits(config.folder / name, logits[rows], labels[rows], pictures[rows], pictures[rows])
    card = {
        **_card(config, recipe, task.trained_on),
        "log_prior": {"fer2013": prior.tolist()},
        "temperature": temperature(logits[::2], labels[::2]),
        "temperature_from": "fer2013 dev, every other picture; a temperature changes no accuracy and no UAR",
        "figures": {
            "fer2013 dev accuracy, prior of train": _figure("accuracy", logits + prior, labels, pictures),
            "fer2013 dev UAR, uniform prior": _figure("uar", logits, labels, pictures),
        },
    }
    return write(config.folder, "face", network.state_dict(), card)


def _audio(config: RefitConfig, recipe: Any) -> Path:
    """Train on the train speakers, then per fold without some of them: the folds only calibrate and measure.

    A fold's network hears the dev speakers, so it is never shipped.
    """
    import torch

    from mercli.features.embedded.audio_net import AudioNet
    from mercli.tuning.embedded.evaluate import temperature
    from mercli.tuning.embedded.export import write
    from mercli.tuning.embedded.speech import folds, read_speech, speech_logits
    from mercli.tuning.embedded.voices import AudioTask, Versions

    items = read_speech(config.data_root)
    versions = Versions(recipe)
    tasks = [AudioTask(recipe, items, held, versions=versions) for held in folds(items, recipe.folds)]
    final = tasks[0]
    logits, unseen, networks = [], [], []
    for number, task in enumerate(tasks):
        networks.append(_together(AudioNet(), task, config.folder / f"fold-{number}", config.resume))
        logits.append(speech_logits(networks[-1], task.dev))
        unseen += task.dev
    joined, labels = torch.cat(logits), torch.tensor([item.label for item in unseen])
    speakers, ids, dev = [item.speaker for item in unseen], [item.id for item in unseen], len(final.dev)
    for name, rows in (("audio-logits.npz", slice(dev, None)), ("audio-dev-logits.npz", slice(dev))):
        _save_logits(config.folder / name, joined[rows], labels[rows], ids[rows], speakers[rows])
    card = {**_card(config, recipe, final.trained_on), "log_prior": _speech_priors(final.train)}
    if recipe.folds:
        card["temperature"] = temperature(joined[dev:], labels[dev:])
        card["temperature_from"] = "logits of the train speakers by networks that never heard them"
    card["figures"] = _speech_figures(joined, labels, speakers, dev)
    return write(config.folder, "audio", networks[0].state_dict(), card)


def _text(config: RefitConfig, recipe: Any) -> Path:
    """Train on five corpora, then per fold without some dialogues: their logits calibrate."""
    import torch

    from mercli.features.embedded.text_net import CORPORA, TextNet
    from mercli.tuning.embedded.evaluate import temperature
    from mercli.tuning.embedded.export import write
    from mercli.tuning.embedded.text_data import count_by_corpus, fold_of, read_texts, readings, unread
    from mercli.tuning.embedded.texts import TextTask, text_logits

    texts = read_texts(config.data_root)
    dev = {name: part for name, part in texts.unseen.items() if not name.endswith("/test")}
    found = readings([*texts.train, *(sentence for part in texts.unseen.values() for sentence in part)])
    task = TextTask(recipe, texts.train, dev, found)
    settings = {"sharpness": recipe.sharpness, "trust": recipe.trust, "spoken": recipe.spoken}
    network = _together(TextNet(**settings), task, config.folder / "fold-0", config.resume)
    logits, unseen = [], []
    for number in range(recipe.folds):
        kept = [sentence for sentence in texts.train if fold_of(sentence, recipe.folds) != number]
        held = unread((s for s in texts.train if fold_of(s, recipe.folds) == number), kept)
        part = TextTask(recipe, kept, {}, found)
        folder = config.folder / f"fold-{number + 1}"
        fitted = _together(TextNet(**settings), part, folder, config.resume)
        logits.append(text_logits(fitted, [found[sentence.id] for sentence in held]))
        unseen += held
    card = {
        **_card(config, recipe, task.trained_on),
        "sentences": count_by_corpus(texts.train),
        "left_out": texts.left_out,
        "log_prior": {corpus: row.tolist() for corpus, row in zip(CORPORA, task.priors, strict=True)},
    }
    if recipe.folds:
        rows = [row for row, sentence in enumerate(unseen) if sentence.corpus in CALIBRATING]
        joined, chosen = torch.cat(logits)[rows], [unseen[row] for row in rows]
        labels, groups = torch.tensor([sentence.label for sentence in chosen]), [sentence.group for sentence in chosen]
        _save_logits(config.folder / "text-logits.npz", joined, labels, [sentence.id for sentence in chosen], groups)
        card["temperature"] = temperature(joined, labels)
        card["temperature_from"] = f"logits of {' and '.join(CALIBRATING)} train by networks that never read them"
    card["figures"] = _text_figures(network, task, texts.unseen)
    return write(config.folder, "text", network.state_dict(), card)


def _text_figures(network: nn.Module, task: Any, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return each unseen part's UAR with a uniform prior and weighted F1 with the prior of its corpus's train part."""
    import torch

    from mercli.features.embedded.text_net import CORPORA
    from mercli.tuning.embedded.texts import text_logits

    figures = {}
    for name, part in parts.items():
        logits = text_logits(network, [task.found[sentence.id] for sentence in part])
        labels = torch.tensor([sentence.label for sentence in part])
        groups = [sentence.group for sentence in part]
        prior = task.priors[CORPORA.index(part[0].corpus)]
        figures[f"{name} UAR, uniform prior"] = _figure("uar", logits, labels, groups)
        figures[f"{name} weighted F1, prior of train"] = _figure("weighted_f1", logits + prior, labels, groups)
    return figures


def _speech_priors(items: Sequence[Any]) -> dict[str, list[float]]:
    """Return the log-prior of each corpus among training utterances; a class it lacks has almost none."""
    import torch

    from mercli.tuning.embedded.data import log_prior

    labels: dict[str, list[int]] = {}
    for item in items:
        labels.setdefault(item.speaker.split("/")[0], []).append(item.label)
    return {corpus: log_prior(torch.tensor(own)).tolist() for corpus, own in labels.items()}


def _speech_figures(logits: Tensor, labels: Tensor, speakers: Sequence[str], dev: int) -> dict[str, Any]:
    """Return each corpus's UAR on its dev speakers (the first ``dev`` rows) and over all speakers, fold by fold."""
    figures = {}
    for corpus in ("ravdess", "emodb"):
        for name, end in (("dev speakers", dev), ("speaker folds", len(labels))):
            rows = [row for row in range(end) if speakers[row].startswith(f"{corpus}/")]
            figures[f"{corpus} {name} UAR, uniform prior"] = _figure(
                "uar", logits[rows], labels[rows], [speakers[row] for row in rows]
            )
    return figures


def _figure(metric: str, logits: Tensor, labels: Tensor, clusters: Sequence[str]) -> dict[str, Any]:
    """Return a metric with its 95 % bootstrap interval over clusters, and what it rests on."""
    from mercli.results import metrics, stats

    score = {"accuracy": metrics.accuracy_of, "weighted_f1": metrics.weighted_f1_of, "uar": metrics.uar_of}[metric]
    classes = logits.shape[1]
    targets, predicted = labels.numpy(), logits.argmax(1).numpy()
    low, high = stats.clustered_interval(score, targets, predicted, clusters, classes)
    point = score(metrics.confusion(targets, predicted, classes).astype(float))
    return {
        "value": round(point, 4),
        "interval": [round(low, 4), round(high, 4)],
        "examples": len(labels),
        "clusters": len(set(clusters)),
    }


def _card(config: RefitConfig, recipe: Recipe, trained_on: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the card of every embedded encoder begins with."""
    from mercli.labels import CANONICAL

    name = f"embedded-{config.modality}"
    return {
        "name": name,
        "version": registry.get("encoders", name).version,
        "classes": list(CANONICAL.names),
        "output": "logits (uniform prior), then embedding; add a corpus's log_prior to the logits for its prior",
        "licence": LICENCES[config.modality],
        "trained_on": list(trained_on),
        "recipe": asdict(recipe),
    }


def _save_logits(path: Path, logits: Tensor, labels: Tensor, ids: Sequence[str], clusters: Sequence[str]) -> None:
    import numpy as np

    from mercli.rundir import atomic

    with atomic(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file, logits=logits.numpy(), labels=labels.numpy(), ids=np.array(ids), clusters=np.array(clusters)
        )


MODALITIES: dict[str, Callable[[RefitConfig, Any], Path]] = {"audio": _audio, "face": _face, "text": _text}
