"""The network behind ``embedded-audio``: log-mel of speech to uniform-prior logits and an embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.features.embedded.functionals import COUNT, functionals
from mercli.features.embedded.members import Members, pooled
from mercli.features.embedded.registers import corrected
from mercli.features.embedded.spectrogram import BANDS

CLASSES = 7
CORPORA = ("ravdess", "emodb")
STATES = 384
"""Attention-weighted mean and deviation of 192 states."""
HIDDEN = 128
"""Numbers that a network of functionals makes of them."""
LOOKS = ([1], [2], [0, 1])
"""Views that each convolutional member sees."""
SUMMARIES = 3
"""Members that see functionals; they differ in nothing but the seed."""
FARTHEST = 5.0
"""Deviations from the usual beyond which a functional counts as that far: noise and strange voices stay in bounds."""
SCORES = [CLASSES, len(CORPORA) * CLASSES, len(CORPORA)]
"""What the last layer gives: scores that corpora share, each corpus's corrections, how much it sounds like each."""


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
        self.classify = nn.Linear(STATES, sum(SCORES))

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
        logits, told = corrected(*self.classify(self.dropout(heard)).split(SCORES, 1))
        return logits, torch.cat((heard, told), 1)


class SummaryMember(nn.Module):
    """A hidden layer over functionals less the ``centre`` and by the ``spread`` (436,) of its training speech."""

    centre: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.hide = nn.Dropout(0.1)
        self.hidden = nn.Linear(COUNT, HIDDEN)
        self.dropout = nn.Dropout(0.5)
        self.classify = nn.Linear(HIDDEN, sum(SCORES))

    def forward(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 130) of functionals ``found`` (B, 436)."""
        usual = ((found - self.centre) / self.spread).clamp(-FARTHEST, FARTHEST)
        hidden = F.relu(self.hidden(self.hide(usual)))
        logits, told = corrected(*self.classify(self.dropout(hidden)).split(SCORES, 1))
        return logits, torch.cat((hidden, told), 1)


class AudioNet(Members):
    """Three ``AudioMember``s that look at different views, three ``SummaryMember``s on functionals of all views."""

    def __init__(self, dropout: float = 0.0) -> None:
        heard = [AudioMember(len(look), dropout) for look in LOOKS]
        super().__init__([*heard, *(SummaryMember() for _ in range(SUMMARIES))])

    def forward(self, mel: Tensor, frames: Tensor, found: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and embedding (B, 1548) of ``mel`` (B, 3, 64, T), 0 from ``frames`` (B,) >= 8 on.

        ``found`` (B, 436): functionals that were taken before the spectrogram was masked.
        """
        hearing, summing = self.members[: len(LOOKS)], self.members[len(LOOKS) :]
        answers = [member(mel[:, look], frames) for member, look in zip(hearing, LOOKS, strict=True)]
        with torch.autocast(mel.device.type, enabled=False):
            found = functionals(mel.float(), frames) if found is None else found
            answers += [member(found) for member in summing]
        return pooled(answers)
