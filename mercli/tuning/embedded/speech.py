"""Acted speech for ``embedded-audio``: RAVDESS and EMO-DB, parted by speaker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mercli.errors import DataError
from mercli.features.embedded.audio_net import CORPORA
from mercli.features.embedded.spectrogram import RATE, VIEWS, log_mel, stacked, voiced
from mercli.labels import canonical
from mercli.tuning.embedded.augment import mixed, pairing
from mercli.tuning.embedded.data import CLASSES, Batch, Task
from mercli.tuning.embedded.evaluate import recalls
from mercli.tuning.embedded.recipes import AudioRecipe

FOLDERS = {corpus: f"{corpus}_audio" for corpus in CORPORA}


@dataclass(frozen=True)
class Utterance:
    """One clip: its id ``corpus/file``, trimmed wave (N,), class index, speaker ``corpus/number``, part."""

    id: str
    wave: Tensor
    label: int
    speaker: str
    split: str


def read_speech(root: Path) -> list[Utterance]:
    """Read both corpora (``labels.csv`` beside the audio); raises ``DataError`` where one is missing."""
    import pandas as pd

    found = []
    for corpus, folder in FOLDERS.items():
        path = root / folder / "labels.csv"
        if not path.is_file():
            raise DataError(f"'{path}' does not exist; labels.csv with file, emotion, speaker, split was expected")
        for row in pd.read_csv(path).to_dict("records"):
            name = str(row["file"])
            label = CLASSES.index(str(canonical(str(row["emotion"]))))
            speaker, part = f"{corpus}/{int(row['speaker']):02d}", str(row["split"])
            found.append(Utterance(f"{corpus}/{Path(name).stem}", _wave(root / folder / name), label, speaker, part))
    return found


def _wave(path: Path) -> Tensor:
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    if rate != RATE:
        raise DataError(f"'{path}' has {rate} Hz; {RATE} Hz was expected")
    wave = torch.from_numpy(samples).mean(1)
    return wave[voiced(wave)]


@torch.inference_mode()
def speech_logits(
    network: nn.Module, items: Sequence[Utterance], look: Sequence[int] = range(len(VIEWS)), batch: int = 32
) -> Tensor:
    """Return uniform-prior logits (N, 7) of a network that sees these views, each clip whole."""
    order = sorted(range(len(items)), key=lambda i: len(items[i].wave))
    out = torch.zeros(len(items), len(CLASSES))
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        mel, frames = stacked([log_mel(items[i].wave, look) for i in part])
        out[part] = network(mel=mel, frames=frames)[0].float()
    return out


def speakers(items: Sequence[Utterance], part: str) -> list[str]:
    """Return the speakers of a part (``train`` or ``dev``), sorted."""
    return sorted({item.speaker for item in items if item.split == part})


def folds(items: Sequence[Utterance], count: int) -> list[list[str]]:
    """Return ``count`` + 1 groups of speakers to hold out: the dev speakers, then the train speakers dealt in turn."""
    train = speakers(items, "train")
    dealt: list[list[str]] = [[] for _ in range(count)]
    for corpus in FOLDERS:
        for number, speaker in enumerate(name for name in train if name.startswith(f"{corpus}/")):
            dealt[number % count].append(speaker)
    return [speakers(items, "dev"), *dealt]


@dataclass
class SpeechTask:
    """Speech of all speakers but those ``held`` out (by default the dev speakers), on whom the figures are taken."""

    recipe: AudioRecipe
    items: Sequence[Utterance]
    held: Collection[str] = ()
    train: list[Utterance] = field(init=False)
    dev: list[Utterance] = field(init=False)

    def __post_init__(self) -> None:
        held = set(self.held) or set(speakers(self.items, "dev"))
        self.train = [item for item in self.items if item.speaker not in held]
        self.dev = [item for item in self.items if item.speaker in held]
        self.labels = torch.tensor([item.label for item in self.train])
        self.corpus = torch.tensor([CORPORA.index(item.speaker.split("/")[0]) for item in self.train])
        self.priors = self._priors()

    def _priors(self) -> Tensor:
        """Return each corpus's log-prior (C, K) as its utterances are drawn.

        A class that a corpus lacks counts as its others do on average, so that its absence is learned.
        """
        drawn = torch.bincount(self.labels, minlength=len(CLASSES)).clamp_min(1).double() ** -self.recipe.balance
        counts = torch.zeros(len(CORPORA), len(CLASSES), dtype=torch.double)
        counts.index_put_((self.corpus, self.labels), drawn[self.labels], accumulate=True)
        usual = counts.sum(1, keepdim=True) / (counts > 0).sum(1, keepdim=True).clamp_min(1)
        counts = torch.where(counts > 0, counts, usual.clamp_min(1e-6))
        return (counts / counts.sum(1, keepdim=True)).log().float()

    @property
    def trained_on(self) -> Sequence[dict[str, Any]]:
        """Return corpora, part and speakers that the training sees."""
        seen = sorted({item.speaker for item in self.train})
        return [
            {"corpus": corpus, "split": "train", "speakers": [s.split("/")[1] for s in seen if s.startswith(corpus)]}
            for corpus in FOLDERS
        ]

    def joined(self, inputs: dict[str, Tensor], indices: Tensor, generator: Generator) -> Batch:
        """Return the batch of these examples' ``inputs``, some batches mixed; of a mixed pair the longer counts."""
        recipe = self.recipe
        targets = F.one_hot(self.labels[indices], len(CLASSES)).float()
        corpora = F.one_hot(self.corpus[indices], len(CORPORA)).float()
        if recipe.mixup > 0 and torch.rand(1, generator=generator).item() < recipe.mixup_share:
            weight, order = pairing(len(indices), recipe.mixup, generator)
            targets, corpora = mixed(targets, weight, order), mixed(corpora, weight, order)
            inputs = {
                name: torch.maximum(given, given[order]) if name == "frames" else mixed(given, weight, order)
                for name, given in inputs.items()
            }
        side = partial(self._register_loss, corpora)
        return Batch(inputs, targets, corpora @ self.priors, side)

    def _register_loss(self, corpora: Tensor, embedding: Tensor) -> Tensor:
        told = embedding[:, -len(CORPORA) :]
        return -self.recipe.register * (corpora.to(told.device) * told).sum(1).mean()

    def settled(self) -> Task | None:
        """Return no further training."""
        return None

    def figures(self, scored: Callable[[list[Utterance]], Tensor]) -> dict[str, float]:
        """Return each corpus's UAR over the held-out speakers, with a uniform prior, of the logits ``scored`` gives."""
        found = {}
        for corpus in FOLDERS:
            part = [item for item in self.dev if item.speaker.startswith(f"{corpus}/")]
            if part:
                labels = torch.tensor([item.label for item in part])
                found[f"{corpus}_uar"] = recalls(scored(part), labels)[1]
        return found
