"""The text network of SMIL MER: RoBERTa (Liu et al. 2019); its feature is the classifier's dense layer before tanh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mercli.contracts import TrainedOn
from mercli.errors import DataError, foreign
from mercli.features.embedded.text import readable, spoken
from mercli.features.seeds import checkpoints
from mercli.features.seeds.checkpoints import Opened
from mercli.types import Feature, Streams, StreamSettings

if TYPE_CHECKING:
    from mercli.types import FloatArray


class _Classifier(nn.Module):
    """RoBERTa's classification head, in its two steps."""

    def __init__(self, hidden: int, width: int, classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, width)
        self.out_proj = nn.Linear(width, classes)


class TextNet(nn.Module):
    """The dense layer on a text's first token, and logits."""

    def __init__(self, roberta: nn.Module, classifier: _Classifier) -> None:
        super().__init__()
        self.roberta = roberta
        self.classifier = classifier

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, D) before tanh, and logits (B, C), of token ids (B, L) under a mask (B, L)."""
        hidden = self.roberta(input_ids=ids, attention_mask=mask).last_hidden_state
        dense = self.classifier.dense(hidden[:, 0])
        return dense, self.classifier.out_proj(torch.tanh(dense))


def load(opened: Opened) -> TextNet:
    """Return the network that the model's config describes, its widths and weights from the checkpoint.

    Raises ``DataError`` where it is no RoBERTa or the weights do not fit.
    """
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig.from_dict(opened.config("roberta"))
    weights, dense = opened.checkpoint, "classifier.dense.weight"
    with checkpoints.unfilled():
        head = _Classifier(weights.width(dense, 1), weights.width(dense), weights.width("classifier.out_proj.weight"))
        network = TextNet(RobertaModel(config, add_pooling_layer=False), head)
    # position ids were part of state dicts until transformers 4.31; a pooler is no part of this classifier
    return checkpoints.fill(network, weights, r"embeddings\.position_ids$|^roberta\.pooler\.")


def tokenizer(folder: Path) -> Any:
    """Return the tokenizer in the folder; raises ``DataError`` where there is none."""
    from transformers import AutoTokenizer

    expected = f"'{folder}' holds no tokenizer that can be read, expected tokenizer.json, or vocab.json and merges.txt"
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        raise DataError(expected)
    with foreign(expected):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


class SmilText:
    """One row per text; no text, or another language than English, is not valid."""

    modality = "text"
    settings = StreamSettings()
    half = True

    def __init__(self, opened: Opened, trained_on: tuple[TrainedOn, ...], batch: int) -> None:
        self.network, self.tokenizer = load(opened), tokenizer(opened.folder)
        config: Any = self.network.roberta.config
        # positions are counted from behind that of padding
        self.longest = config.max_position_embeddings - config.pad_token_id - 1
        self.dim = self.network.classifier.dense.out_features
        self.weights, self.trained_on, self.device = opened.fingerprint, trained_on, "cpu"
        self.batch = batch

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (1, D) per item, its time being that of the words where they have times.

        Texts of like length go through the network together, ``batch`` at once; longer ones than it takes are cut.
        """
        texts = {index: readable(streams.transcript).strip() for index, streams in enumerate(batch)}
        tokens = {index: self._tokens(text) for index, text in texts.items() if text}
        order = sorted(tokens, key=lambda index: len(tokens[index]))
        rows = np.zeros((len(batch), self.dim), np.float32)
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            rows[part] = self._rows([tokens[index] for index in part])
        return [
            Feature(rows[index][None], spoken(streams.transcript), np.asarray([index in tokens], np.bool_))
            for index, streams in enumerate(batch)
        ]

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, truncation=True, max_length=self.longest)["input_ids"]
        return found

    def _rows(self, tokens: Sequence[list[int]]) -> FloatArray:
        padded = pad_sequence([torch.tensor(ids) for ids in tokens], True, self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(ids) for ids in tokens])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
        with torch.inference_mode():
            dense, _ = self.network(padded.to(self.device), mask.to(self.device))
            return dense.float().cpu().numpy()
