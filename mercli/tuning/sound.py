"""Networks that hear: speech models of ``transformers``, and SMIL's wav2vec 2.0 with its projector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from mercli.config_tune import Augment, FinetuneConfig
from mercli.errors import DataError
from mercli.features import hf_models, hub
from mercli.features.hf_audio_net import EXTRACTOR, SILENT
from mercli.features.seeds import checkpoints, smil, smil_audio_net
from mercli.features.windows import tiled
from mercli.tuning.augment_audio import changed, excerpt, paced
from mercli.tuning.checkpoint import classifier, order_of
from mercli.types import Streams, StreamSettings

SHORTEST = 0.4
"""Seconds that every wave has at least, repeated where it is shorter: convolutions need some."""
WIDTH = 256
"""SMIL's projector (specs of the published models)."""


class Waves:
    """What both kinds share: windows of sound, one drawn at random in training, all of them otherwise."""

    classes: tuple[str, ...]

    def __init__(self, seconds: float, augment: Augment, rate: int) -> None:
        self.rate, self.longest, self.augment = rate, round(seconds * rate), augment
        self.settings = StreamSettings(audio_rate=rate, longest=None)

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[Tensor]:
        """Return windows (N,) of at most ``seconds``; none of silence. Raises ``DataError`` for another rate."""
        if streams.audio is None or not len(streams.audio) or np.abs(streams.audio).max() < SILENT:
            return ()
        if streams.audio_rate != self.rate:
            raise DataError(f"audio is at {streams.audio_rate} Hz; the model expects {self.rate} Hz")
        wave = torch.from_numpy(np.nan_to_num(np.ascontiguousarray(streams.audio, np.float32)))
        if draw is None:
            return wave.split(self.longest)
        return (changed(excerpt(paced(wave, self.augment.pace, draw), self.longest, draw), self.augment, draw),)

    def together(self, pieces: Sequence[Tensor]) -> list[np.ndarray]:
        """Return the waves, short ones repeated to the longest: networks normalised over time know no padding."""
        longest = max(round(SHORTEST * self.rate), *(len(piece) for piece in pieces))
        return [tiled(piece.numpy(), longest) for piece in pieces]


class HfSound(Waves):
    """Any model for audio classification; where its layers know padding they get it with a mask."""

    plugin, place = "hf-audio", "model"

    def __init__(self, config: FinetuneConfig, classes: Sequence[str]) -> None:
        start = classifier(
            "AutoModelForAudioClassification", config.encoder, config.revision, classes, config.reset_classifier,
            (EXTRACTOR,),
        )  # fmt: skip
        self.network, self.classes = start.network, start.classes
        self.extractor: Any = hf_models.helper("AutoFeatureExtractor", start.folder)
        super().__init__(config.seconds, config.augment, int(self.extractor.sampling_rate))
        self.heads = ("classifier", "projector", "layer_weights")
        self.network.config.mask_time_prob = config.augment.specaugment
        self.network.config.apply_spec_augment = config.augment.specaugment > 0

    def inputs(self, pieces: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return waves or spectrograms, and the mask where the network reads one."""
        name = self.network.main_input_name
        exact = name == "input_values" and getattr(self.network.config, "feat_extract_norm", "group") != "layer"
        waves = self.together(pieces) if exact else [piece.numpy() for piece in pieces]
        fixed = {} if hasattr(self.extractor, "nb_max_frames") else {"padding": True}
        found = self.extractor(
            waves, sampling_rate=self.rate, return_attention_mask=not exact, return_tensors="pt", **fixed
        )
        masked = not exact and not hasattr(self.extractor, "nb_max_frames")
        return {key: found[key] for key in (name, *(("attention_mask",) if masked else ()))}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        return self.network(**inputs).logits

    def save(self, folder: Path) -> None:
        """Write the model as ``from_pretrained`` reads it, and what prepares its input."""
        self.network.save_pretrained(folder)
        self.extractor.save_pretrained(folder)


class SmilSound(Waves):
    """SMIL's network: projected frames, their mean, one linear layer; waves are normalised one by one."""

    plugin, place, heads = "smil-audio", "model", ("projector", "classifier")

    def __init__(self, config: FinetuneConfig, model: str | None, classes: Sequence[str]) -> None:
        from transformers import Wav2Vec2Config

        super().__init__(config.seconds, config.augment, smil_audio_net.RATE)
        opened = checkpoints.open_model(model or smil.AUDIO, config.revision, config.weights, (EXTRACTOR,))
        self.config: Any = Wav2Vec2Config.from_dict(opened.config("wav2vec2"))
        self.network, self.classes = _smil(opened, self.config, classes, config.reset_classifier)
        self.normalises = smil_audio_net.normalises(opened.folder)
        trained: Any = self.network.wav2vec2.config
        trained.mask_time_prob, trained.apply_spec_augment = config.augment.specaugment, config.augment.specaugment > 0

    def inputs(self, pieces: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Return waves (P, N)."""
        waves = np.stack(self.together(pieces))
        return {"waves": torch.from_numpy(smil_audio_net.normalised(waves) if self.normalises else waves)}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        return self.network(**inputs)[1]

    def save(self, folder: Path) -> None:
        """Write the folder that ``smil-audio`` reads."""
        from safetensors.torch import save_file
        from transformers import Wav2Vec2FeatureExtractor

        self.config.architectures = ["AudioNet"]
        self.config.num_labels = len(self.classes)
        self.config.id2label = dict(enumerate(self.classes))
        self.config.label2id = {name: index for index, name in enumerate(self.classes)}
        self.config.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(do_normalize=self.normalises).save_pretrained(folder)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items()}
        save_file(state, folder / hub.WEIGHTS[0])


def _smil(
    opened: checkpoints.Opened, config: Any, classes: Sequence[str], reset: bool
) -> tuple[smil_audio_net.AudioNet, tuple[str, ...]]:
    """Return SMIL's network from its own checkpoint, or from one of a plain wav2vec 2.0 model with a new head."""
    from torch import nn
    from transformers import Wav2Vec2Model

    ours = "projector.weight" in opened.checkpoint.tensors
    if not ours:
        body = Wav2Vec2Model.from_pretrained(opened.folder, local_files_only=True, dtype=torch.float32)
        return smil_audio_net.AudioNet(body, body.config.hidden_size, WIDTH, len(classes)), tuple(classes)
    network = smil_audio_net.load(opened).requires_grad_(True)
    if reset:
        network.classifier = nn.Linear(network.projector.out_features, len(classes))
        return network, tuple(classes)
    return network, order_of(str(opened.folder), config, classes, reset)
