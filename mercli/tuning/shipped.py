"""The networks that ship inside, tuned further: they keep their seven classes, of which the corpora's are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from mercli.config_tune import FinetuneConfig
from mercli.errors import ConfigError, DataError
from mercli.features import hub
from mercli.features.embedded import audio_net, face_net, spectrogram, text, text_net
from mercli.features.embedded.audio import QUIET
from mercli.features.embedded.functionals import functionals
from mercli.features.embedded.members import Members
from mercli.features.embedded.weights import Weights, fill, find
from mercli.labels import CANONICAL
from mercli.tuning.augment_audio import masked
from mercli.tuning.faces import Crops
from mercli.tuning.sound import Waves
from mercli.tuning.words import recognised
from mercli.types import Streams, StreamSettings

DROPOUT = 0.2
"""Of the voice's convolutions, as they were trained; others have their own, words lose n-grams (``augment.tokens``)."""
MASKS = 2
"""Stretches of bands, and of time, that a masked spectrogram loses."""


class Shipped:
    """What the three share: weights and card beside each other, and logits of the corpora's classes alone."""

    place = "weights"
    network: Any

    def __init__(self, config: FinetuneConfig, classes: Sequence[str]) -> None:
        self.plugin = f"embedded-{config.modality}"
        if config.reset_classifier:
            raise ConfigError(
                f"'{self.plugin}' keeps its classifier: the encoder gives the scores of all seven classes",
                "mer finetune ... --set reset_classifier=false",
            )
        if other := [name for name in classes if name not in CANONICAL.names]:
            raise DataError(
                f"'{self.plugin}' tells {', '.join(CANONICAL.names)}; the corpora have {', '.join(other)}",
                "--classes 7",
            )
        self.classes = tuple(classes)
        self.rows = [CANONICAL.names.index(name) for name in classes]

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        scores: Tensor = self.network(**inputs)[0]
        return scores[:, self.rows]

    def save(self, folder: Path) -> None:
        """Write the weights, in full precision, where the encoder looks for them beside the card."""
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / hub.WEIGHTS[0])


def started(config: FinetuneConfig, model: str | None) -> Weights:
    """Return the weights that tuning begins with: a file or folder of such ones, else the shipped ones."""
    return find(config.modality, config.weights or model)


def classifiers(network: Members) -> tuple[str, ...]:
    """Return the names of the members' last layers."""
    return tuple(f"members.{number}.classify" for number in range(len(network.members)))


class ShippedSound(Shipped, Waves):
    """``embedded-audio``: log-mel of each window, trimmed to its speech."""

    def __init__(self, config: FinetuneConfig, model: str | None, classes: Sequence[str]) -> None:
        Shipped.__init__(self, config, classes)
        Waves.__init__(self, config.seconds, config.augment, spectrogram.RATE)
        self.network = fill(audio_net.AudioNet(DROPOUT), started(config, model)).requires_grad_(True)
        self.heads = classifiers(self.network)

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[Any]:
        """Return spectrogram (3, 64, T) and functionals (436,) of each window; without speech none, but for training.

        Functionals are taken of the whole spectrogram, of which training then hides stretches.
        """
        waves = super().pieces(streams, draw)
        least = max(map(spectrogram.loudest, waves), default=0.0) * QUIET
        found = []
        for wave in waves:
            span = spectrogram.voiced(wave)
            if draw is not None:
                mel = spectrogram.log_mel(wave[span] if span.stop else wave)
                hidden = float(torch.rand(1, generator=draw)) < self.augment.specaugment
                found.append((masked(mel, MASKS, draw) if hidden else mel, _summed(mel)))
            elif span.stop and spectrogram.loudest(wave) >= least:
                mel = spectrogram.log_mel(wave[span])
                found.append((mel, _summed(mel)))
        return tuple(found)

    def inputs(self, pieces: Sequence[Any]) -> Mapping[str, Tensor]:
        """Return padded spectrograms (P, 3, 64, T), their lengths (P,) and functionals (P, 436)."""
        mels, found = zip(*pieces, strict=True)
        mel, frames = spectrogram.stacked(list(mels))
        return {"mel": mel, "frames": frames, "found": torch.stack(found)}


def _summed(mel: Tensor) -> Tensor:
    """Return the functionals (436,) of one spectrogram (3, 64, T)."""
    return functionals(*spectrogram.stacked([mel]))[0]


class ShippedFaces(Shipped, Crops):
    """``embedded-face``: grey crops of 48 pixels, scored with their mirror images once trained, as the encoder does."""

    def __init__(self, config: FinetuneConfig, model: str | None, classes: Sequence[str]) -> None:
        Shipped.__init__(self, config, classes)
        Crops.__init__(self, config.faces, config.augment, face_net.SIDE)
        self.network = fill(face_net.FaceNet(), started(config, model)).requires_grad_(True)
        self.heads = classifiers(self.network)

    def inputs(self, pieces: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return standardised faces (P, 1, 48, 48)."""
        crops = torch.stack(list(pieces)).permute(0, 2, 3, 1).numpy()
        return {"faces": face_net.standardise(face_net.grey(crops))}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        own = super().logits(inputs)
        if self.network.training:
            return own
        return (own + super().logits({"faces": inputs["faces"].flip(3)})) / 2


class ShippedWords(Shipped):
    """``embedded-text``: words and hashed n-grams; n-grams that the shipped table does not know stay unknown."""

    settings: StreamSettings = StreamSettings()

    def __init__(self, config: FinetuneConfig, model: str | None, classes: Sequence[str]) -> None:
        super().__init__(config, classes)
        self.network = fill(text_net.TextNet(config.augment.tokens), started(config, model)).requires_grad_(True)
        self.heads = classifiers(self.network)[1:]  # that of n-grams is one layer, its table
        bag = self.network.members[0]
        bag.table.sparse = False  # AdamW takes no sparse gradients
        self.known, self.asr = bag.idf > 0, config.augment.asr

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[Any]:
        """Return n-grams and words of what the segment says; none where no n-gram is known."""
        said = text.readable(streams.transcript)
        if draw is not None and float(torch.rand(1, generator=draw)) < self.asr:
            said = recognised(said, draw)
        found = text_net.reading(said)
        return (found,) if bool(self.known[torch.from_numpy(found.ids)].any()) else ()

    def inputs(self, pieces: Sequence[Any]) -> Mapping[str, Tensor]:
        """Return the n-grams and words of texts (P)."""
        return text_net.stacked(pieces)
