"""What the networks of ``embedded-audio`` learn from: spectrograms, or functionals, of the same training speech."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor, nn

from mercli.features.embedded.audio_net import LOOKS, AudioMember, SummaryMember
from mercli.features.embedded.functionals import functionals
from mercli.features.embedded.spectrogram import log_mel, stacked
from mercli.tuning.augment_audio import changed, common_length, excerpt, masked, paced, warped
from mercli.tuning.embedded.data import Batch, Task
from mercli.tuning.embedded.recipes import AudioRecipe
from mercli.tuning.embedded.speech import SpeechTask, Utterance, speech_logits


@dataclass
class WaveTask(SpeechTask):
    """The member with this ``number`` learns from spectrograms of speech that is changed anew in each epoch."""

    number: int = 0

    def network(self) -> nn.Module:
        """Return an untrained ``AudioMember`` for its views."""
        return AudioMember(len(LOOKS[self.number]), self.recipe.dropout)

    def settled(self) -> WaveTask | None:
        """Return the training on speech that nothing hides, mixes or disturbs, at any pace and by any vocal tract."""
        return replace(self, recipe=self.recipe.settled()) if self.recipe.settling else None

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return spectrograms of changed waves, warped and masked, some batches mixed."""
        recipe, mels = self.recipe, []
        waves = [paced(self.train[index].wave, recipe.pace, generator) for index in indices.tolist()]
        longest = common_length(waves, recipe, generator)
        for wave in waves:
            mel = log_mel(changed(excerpt(wave, longest, generator), recipe, generator), LOOKS[self.number])
            mels.append(masked(warped(mel, recipe.warp, generator), recipe.masks, generator))
        mel, frames = stacked(mels)
        return self.joined({"mel": mel, "frames": frames}, indices, generator)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return each corpus's UAR over the held-out speakers, with a uniform prior."""
        return self.figures(lambda part: speech_logits(network, part, LOOKS[self.number]))


class Versions:
    """Functionals of utterances as they were recorded and in changed versions, made when first asked for, then kept."""

    def __init__(self, recipe: AudioRecipe) -> None:
        self.recipe = recipe
        self._held: dict[str, Tensor] = {}

    def of(self, items: Sequence[Utterance]) -> Tensor:
        """Return functionals (N, 1 + versions, 436), those of the recording first."""
        for item in items:
            if item.id not in self._held:
                self._held[item.id] = self._made(item)
        return torch.stack([self._held[item.id] for item in items])

    def _made(self, item: Utterance) -> Tensor:
        recipe, mels = self.recipe, [log_mel(item.wave)]
        for number in range(recipe.versions):
            seed = zlib.crc32(f"{item.id}/{number}".encode()) + recipe.seed
            draw = Generator().manual_seed(seed)
            wave = changed(paced(item.wave, recipe.pace, draw), recipe, draw)
            mels.append(warped(log_mel(wave), recipe.warp, draw))
        return functionals(*stacked(mels))


@dataclass
class SummaryTask(SpeechTask):
    """A member learns from functionals; ``versions`` are shared by all members and folds."""

    versions: Versions = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.rows = self.versions.of(self.train)

    def network(self) -> nn.Module:
        """Return an untrained ``SummaryMember`` that knows what is usual in the training speech and its versions."""
        network = SummaryMember()
        heard = self.rows.flatten(0, 1)
        network.centre.copy_(heard.mean(0))
        network.spread.copy_(heard.std(0, correction=0).clamp_min(1e-3))
        return network

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return functionals of one version of each utterance, drawn, some batches mixed."""
        version = torch.randint(0, self.rows.shape[1], (len(indices),), generator=generator)
        return self.joined({"found": self.rows[indices, version]}, indices, generator)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return each corpus's UAR over the held-out speakers, with a uniform prior."""
        with torch.no_grad():
            return self.figures(lambda part: network(found=self.versions.of(part)[:, 0])[0])


@dataclass
class AudioTask(SpeechTask):
    """The training of all members, one after another, without the speakers ``held`` out."""

    versions: Versions = field(kw_only=True)

    def member(self, number: int) -> Task:
        """Return the training of the member with this number: its own seed, and views or functionals."""
        recipe = replace(self.recipe, seed=self.recipe.seed + number)
        if number < len(LOOKS):
            return WaveTask(recipe, self.items, self.held, number)
        return SummaryTask(recipe, self.items, self.held, versions=self.versions)
