"""The network behind ``embedded-audio``: log-mel of speech to uniform-prior logits and an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.features.embedded.members import Members, pooled
from mercli.features.embedded.registers import corrected

RATE = 16_000
HOP = 160
BANDS = 64
CLASSES = 7
CORPORA = ("ravdess", "emodb")
STATES = 384
"""Attention-weighted mean and deviation of 192 states."""
WIDTH = STATES + len(CORPORA)
"""Numbers that one network gives beside its logits: what it heard, and how much like each corpus."""
SHORTEST = 3200
"""Samples below which a wave is padded with silence (0.2 s)."""
FLOOR = 1e-4
"""Root-mean-square level below which a clip counts as silent (-80 dB of full scale)."""
_FRAME = 400


@dataclass(frozen=True)
class View:
    """A spectrogram's window and transform in samples, its lowest and highest frequency in Hz."""

    window: int
    transform: int
    low: float
    high: float


VIEWS = (View(400, 512, 50, 7600), View(1024, 2048, 50, 2000), View(1024, 2048, 50, 4500))
"""Phones and timbre in 25 ms; the voice's pitch and its harmonics, which need 64 ms, finely and further up."""
LOOKS = ([1], [2], [0, 1])
"""Views that each member sees."""


@cache
def _spectrogram(window: int, transform: int) -> nn.Module:
    from torchaudio.transforms import Spectrogram

    return Spectrogram(transform, window, HOP)


@cache
def _bands(view: View) -> nn.Module:
    from torchaudio.transforms import MelScale

    return MelScale(BANDS, RATE, view.low, view.high, view.transform // 2 + 1)


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
    """Return spectrograms (V, 64, T_i) as one padded batch (B, V, 64, T) and their lengths (B,)."""
    frames = torch.tensor([mel.shape[2] for mel in mels])
    return torch.stack([F.pad(mel, (0, int(frames.max()) - mel.shape[2])) for mel in mels]), frames


def log_mel(wave: Tensor, look: Sequence[int] = range(len(VIEWS))) -> Tensor:
    """Return log-mel spectrograms (V, 64, frames of 10 ms) of ``wave`` (N,), one a view, each normalised as a whole.

    The floor lies 80 dB under the loudest band, so the result does not depend on the level of the recording.
    """
    if len(wave) < SHORTEST:
        wave = F.pad(wave, (0, SHORTEST - len(wave)))
    views = [VIEWS[number] for number in look]
    sizes = sorted({(view.window, view.transform) for view in views})
    power = {size: _spectrogram(*size)(wave) for size in sizes}
    return torch.stack([_normalised(_bands(view)(power[view.window, view.transform])) for view in views])


def _normalised(power: Tensor) -> Tensor:
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
    """Convolutions over ``views`` log-mels, a bidirectional GRU over time, attention-weighted mean and deviation.

    Columns beyond each item's ``frames`` are masked at every stage, so padding changes nothing.
    """

    def __init__(self, views: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(views, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.stages = nn.ModuleList([_Stage(24, 48, 2, 2), _Stage(48, 96, 2, 2), _Stage(96, 128, 2, 1)])
        self.recur = nn.GRU(128 * (BANDS // 16), 96, batch_first=True, bidirectional=True)
        self.attend = nn.Sequential(nn.Linear(192, 64), nn.Tanh(), nn.Linear(64, 1))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(STATES, CLASSES + len(CORPORA) * (CLASSES + 1))

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 386) of ``mel`` (B, views, 64, T), 0 from ``frames`` (B,) >= 8 on."""
        lengths = (frames + 1) // 2  # a graph rounds what is below zero towards it
        maps = _hide(self.stem(mel.contiguous(memory_format=torch.channels_last)), lengths)
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
        heard = torch.cat((mean, deviation), 1)
        scores = self.classify(self.dropout(heard)).split([CLASSES, len(CORPORA) * CLASSES, len(CORPORA)], 1)
        logits, told = corrected(*scores)
        return logits, torch.cat((heard, told), 1)


class AudioNet(Members):
    """Three ``AudioMember``s that look at different views."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(AudioMember(len(look), dropout) for look in LOOKS)

    def forward(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 1158) of ``mel`` (B, 3, 64, T), 0 from ``frames`` (B,) >= 8 on."""
        return pooled(member(mel[:, look], frames) for member, look in zip(self.members, LOOKS, strict=True))
