"""The network behind ``embedded-audio``: log-mel of speech to uniform-prior logits and an embedding."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RATE = 16_000
HOP = 160
BANDS = 64
WIDTH = 384
"""Numbers that one network gives beside its logits: attention-weighted mean and deviation of 192 states."""
MEMBERS = 2
"""Networks that differ in nothing but the seed; their logits are averaged."""
EMBEDDING = MEMBERS * WIDTH
CLASSES = 7
SHORTEST = 3200
"""Samples below which a wave is padded with silence (0.2 s)."""
FLOOR = 1e-4
"""Root-mean-square level below which a clip counts as silent (-80 dB of full scale)."""
_FRAME = 400


@cache
def _mel() -> nn.Module:
    from torchaudio.transforms import MelSpectrogram

    return MelSpectrogram(RATE, n_fft=512, win_length=_FRAME, hop_length=HOP, f_min=50, f_max=7600, n_mels=BANDS)


def _levels(wave: Tensor) -> Tensor:
    """Return the root-mean-square level of each 25 ms frame of ``wave`` (N,), one every 10 ms."""
    wave = F.pad(wave, (0, max(0, _FRAME - len(wave))))
    return wave.unfold(0, _FRAME, HOP).square().mean(1).sqrt()


def loudest(wave: Tensor) -> float:
    """Return the level of the loudest frame of ``wave`` (N,)."""
    return float(_levels(wave).max())


def voiced(wave: Tensor, below: float = 35.0) -> slice:
    """Return the stretch of ``wave`` (N,) from the first to the last 25 ms frame within ``below`` dB of the loudest.

    Empty where the whole is silent.
    """
    level = _levels(wave)
    if level.max() < FLOOR:
        return slice(0, 0)
    loud = (level >= level.max() * 10 ** (-below / 20)).nonzero().flatten()
    return slice(int(loud[0]) * HOP, min(len(wave), int(loud[-1]) * HOP + _FRAME))


def stacked(mels: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return spectrograms (64, T_i) as one padded batch (B, 64, T) and their lengths (B,)."""
    frames = torch.tensor([mel.shape[1] for mel in mels])
    return torch.stack([F.pad(mel, (0, int(frames.max()) - mel.shape[1])) for mel in mels]), frames


def log_mel(wave: Tensor) -> Tensor:
    """Return the log-mel spectrogram (64, frames of 10 ms) of ``wave`` (N,), normalised over the whole.

    The floor lies 80 dB under the loudest band, so the result does not depend on the level of the recording.
    """
    if len(wave) < SHORTEST:
        wave = F.pad(wave, (0, SHORTEST - len(wave)))
    power = _mel()(wave)
    decibels = 10 * torch.log10(power.clamp_min(power.max() * 1e-8 + 1e-20))
    return (decibels - decibels.mean()) / decibels.std().clamp_min(1.0)


def _hide(maps: Tensor, lengths: Tensor) -> Tensor:
    """Return maps (B, C, H, T) with the columns from ``lengths`` (B,) on set to 0, as padding at the edge would be."""
    real = torch.arange(maps.shape[3], device=maps.device)[None] < lengths[:, None]
    return maps * real[:, None, None]


class _Stage(nn.Module):
    """Two 3x3 convolutions, then max-pooling of ``bands`` by ``steps``."""

    def __init__(self, inputs: int, outputs: int, bands: int, steps: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.bands, self.steps = bands, steps

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = _hide(F.relu(self.norm1(self.conv1(x))), lengths)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), (self.bands, self.steps))
        lengths = lengths // self.steps
        return _hide(x, lengths), lengths


class AudioMember(nn.Module):
    """Convolutions over log-mel, a bidirectional GRU over time, attention-weighted mean and deviation.

    Columns beyond each item's ``frames`` are masked at every stage, so padding changes nothing.
    """

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.stages = nn.ModuleList([_Stage(24, 48, 2, 2), _Stage(48, 96, 2, 2), _Stage(96, 128, 2, 1)])
        self.recur = nn.GRU(128 * (BANDS // 16), 96, batch_first=True, bidirectional=True)
        self.attend = nn.Sequential(nn.Linear(192, 64), nn.Tanh(), nn.Linear(64, 1))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(WIDTH, CLASSES)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 384) of ``mel`` (B, 64, T), 0 from ``frames`` (B,) >= 8 on."""
        lengths = (frames + 1) // 2  # a graph rounds what is below zero towards it
        maps = _hide(self.stem(mel.unsqueeze(1).contiguous(memory_format=torch.channels_last)), lengths)
        for stage in self.stages:
            maps, lengths = stage(maps, lengths)
        with torch.autocast(mel.device.type, enabled=False):
            columns = maps.flatten(1, 2).transpose(1, 2).float()
            return self._pool(self.dropout(columns), lengths)

    def _pool(self, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = nn.utils.rnn.pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.recur(packed)[0], batch_first=True, total_length=steps.shape[1]
        )
        real = torch.arange(steps.shape[1], device=steps.device)[None] < lengths[:, None]
        scores = self.attend(states).squeeze(2).masked_fill(~real, -torch.inf)
        weights = scores.softmax(1).unsqueeze(2)
        mean = (weights * states).sum(1)
        deviation = ((weights * (states - mean[:, None]).square()).sum(1) + 1e-5).sqrt()
        embedding = torch.cat((mean, deviation), 1)
        return self.classify(self.dropout(embedding)), embedding


class AudioNet(nn.Module):
    """Members whose logits are averaged and whose embeddings stand side by side."""

    def __init__(self, members: int = MEMBERS, dropout: float = 0.0) -> None:
        super().__init__()
        self.members = nn.ModuleList(AudioMember(dropout) for _ in range(members))

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 768) of ``mel`` (B, 64, T), 0 from ``frames`` (B,) >= 8 on."""
        logits, embeddings = zip(*(member(mel, frames) for member in self.members), strict=True)
        return torch.stack(logits).mean(0), torch.cat(embeddings, 1)
