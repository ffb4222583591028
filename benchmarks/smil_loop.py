"""The training loop of the SMIL recogniser as it is described: what ``benchmarks/train.py`` compares ours with.

A pickle of tensors per clip, a DataLoader, Adam as PyTorch has it, lists of answers, scikit-learn's report.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

PAIRS = (("audio", "face"), ("face", "text"), ("text", "audio"))
THEIRS = {"audio": "audio", "face": "video", "text": "text"}


class Pickles(Dataset):
    """A clip per file: a dictionary of row vectors and a label."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.pickle"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        with self.paths[index].open("rb") as handle:
            item = pickle.load(handle)
        audio, video, text = (item[f"{name}_features"].squeeze(0) for name in THEIRS.values())
        return audio, video, text, item["true_label"]


class Gated(nn.Module):
    """A layer per modality, a gate per pair with a softmax over its width, two layers."""

    def __init__(self, dims: Mapping[str, int], width: int, classes: int) -> None:
        super().__init__()
        self.own = nn.ModuleDict({name: nn.Linear(dim, dim) for name, dim in dims.items()})
        self.first = nn.ParameterList(matrix(dims[one], width) for one, _ in PAIRS)
        self.second = nn.ParameterList(matrix(dims[other], width) for _, other in PAIRS)
        self.gate = nn.ParameterList(matrix(dims[one] + dims[other], width) for one, other in PAIRS)
        self.join, self.classifier = nn.Linear(3 * width, width), nn.Linear(width, classes)
        self.dropout = nn.Dropout(0.1)

    def forward(self, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return logits (B, K) of vectors (B, D) by modality."""
        own = {name: self.dropout(layer(given[name])) for name, layer in self.own.items()}
        fused = []
        for (one, other), first, second, gate in zip(PAIRS, self.first, self.second, self.gate, strict=True):
            x, y = own[one], own[other]
            z = torch.softmax(torch.cat([x, y], 1) @ gate, 1)
            fused.append(z * torch.tanh(x @ first) + (1 - z) * torch.tanh(y @ second))
        return self.classifier(self.dropout(self.join(torch.relu(torch.cat(fused, 1)))))


def matrix(rows: int, columns: int) -> nn.Parameter:
    """Return a weight as the seed begins with it."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, columns)))


def write(folder: Path, vectors: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
    """Write a pickle per clip."""
    for row, label in enumerate(labels):
        item = {f"{THEIRS[m]}_features": torch.from_numpy(v[row : row + 1].copy()) for m, v in vectors.items()}
        (folder / f"{row:05}.pickle").write_bytes(pickle.dumps({**item, "true_label": int(label)}))


def epoch_of(folder: Path, dims: Mapping[str, int], width: int, classes: int, batch: int) -> Callable[[], None]:
    """Return an epoch of training."""
    from sklearn.metrics import classification_report

    net = Gated(dims, width, classes)
    loader = DataLoader(Pickles(folder), batch_size=batch, shuffle=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4, weight_decay=1e-2)
    penalty = nn.CrossEntropyLoss(weight=torch.ones(classes))

    def epoch() -> None:
        net.train()
        total, told, said = 0.0, [], []
        for audio, video, text, labels in loader:
            optimiser.zero_grad()
            logits = net({"audio": audio, "face": video, "text": text})
            loss = penalty(logits, labels)
            loss.backward()
            optimiser.step()
            total += loss.item()
            said.extend(torch.softmax(logits, 1).argmax(1).cpu().numpy())
            told.extend(labels.cpu().numpy())
        classification_report(told, said, output_dict=True, zero_division=0)

    return epoch
