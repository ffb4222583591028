"""SMIL's three networks at their real size with random weights, in the files that the encoders read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from mercli.features.seeds import smil_audio_net, smil_face_net

CLASSES = 7
CHARACTERS = ["\u0120", *map(chr, range(33, 127))]
VOCABULARY = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *CHARACTERS, "<mask>"])}


def write(folder: Path) -> dict[str, dict[str, str]]:
    """Write wav2vec2-base, ResNet-50 and DistilRoBERTa; return the options of the encoders that read them."""
    torch.manual_seed(0)
    _audio(folder / "audio")
    _text(folder / "text")
    torch.save(face(fitted=False).state_dict(), folder / "face.pt")
    return {
        "audio": {"model": str(folder / "audio")},
        "face": {"weights": str(folder / "face.pt")},
        "text": {"model": str(folder / "text")},
    }


def _audio(folder: Path) -> None:
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    config = Wav2Vec2Config()
    network = smil_audio_net.AudioNet(Wav2Vec2Model(config), config.hidden_size, 256, CLASSES)
    folder.mkdir()
    config.to_json_file(folder / "config.json", use_diff=False)
    save_file(network.state_dict(), folder / "model.safetensors")


def _text(folder: Path) -> None:
    """Write DistilRoBERTa; its tokens are letters, since RoBERTa's own would have to be fetched."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    config = RobertaConfig(
        vocab_size=50_265, num_hidden_layers=6, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
        num_labels=CLASSES,
    )  # fmt: skip
    folder.mkdir()
    config.to_json_file(folder / "config.json", use_diff=False)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    save_file(RobertaForSequenceClassification(config).state_dict(), folder / "model.safetensors")


def face(*, fitted: bool) -> nn.Module:
    """Return ResNet-50; ``fitted``: its norms know the mean and spread of what they see.

    Layers of random weights between such norms make little differences larger, from one to the next.
    """
    network = smil_face_net.FaceNet((3, 4, 6, 3), (64, 128, 256, 512), 512, CLASSES)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    if fitted:
        with torch.no_grad():
            network.train()(smil_face_net.prepared(torch.from_numpy(faces(8))))
    return network.eval()


def faces(count: int) -> np.ndarray:
    """Return so many pictures (N, 224, 224, 3) of one face, each moved and lit in its own way."""
    from skimage import data

    portrait, draw = data.astronaut(), np.random.default_rng(0)
    pictures = np.empty((count, 224, 224, 3), np.uint8)
    for picture in pictures:
        left, top, light = draw.integers(90, 180), draw.integers(0, 60), draw.uniform(0.4, 1.0)
        picture[:] = portrait[top : top + 224, left : left + 224] * light
    return pictures


def sound(seconds: float) -> np.ndarray:
    """Return a tone (N,) at 16 kHz that glides and trembles in noise."""
    time = np.arange(round(16_000 * seconds)) / 16_000
    tone = np.sin(2 * np.pi * (150 * time + 8 * time**2)) * (1 + 0.5 * np.sin(8 * np.pi * time))
    return (0.2 * tone + 0.02 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)


def sentences(count: int, letters: int = 62) -> list[str]:
    """Return so many texts of 62 letters, 64 tokens: as long as performance is quoted for."""
    draw = np.random.default_rng(0)
    return ["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), letters)) for _ in range(count)]
