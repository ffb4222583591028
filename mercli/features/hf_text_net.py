"""Text models of the Hugging Face hub: a row per text or per token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.features import hf_models
from mercli.features.hub import Pin
from mercli.languages import code
from mercli.types import Feature, Streams, StreamSettings, Transcript

if TYPE_CHECKING:
    from mercli.types import FloatArray

TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip
LONGEST = 512  # tokens, where neither the tokenizer nor the model says
Offsets = list[tuple[int, int]]


class HfText:
    """The class token, the mean of all tokens (special ones too), or a row per token."""

    modality = "text"
    half = True
    settings = StreamSettings()

    def __init__(
        self,
        model: str,
        revision: str | None,
        pin: Pin,
        layer: int,
        pooling: str,
        language: str | None,
        tokens: int | None,
        batch: int,
        trained_on: tuple[TrainedOn, ...],
    ) -> None:
        loaded = hf_models.load(model, revision, "text", (), TOKENIZER, pin)
        self.network, self.weights, self.trained_on = loaded.network, loaded.weights, trained_on
        self.tokenizer: Any = hf_models.helper("AutoTokenizer", loaded.folder)
        if self.network.main_input_name != "input_ids":
            raise DataError(f"'{model}' takes '{self.network.main_input_name}', expected a model that reads text")
        limit = _limit(self.network, self.tokenizer)
        self.longest = limit if tokens is None else min(tokens, limit)
        first = self._tokens("a")[0]
        if pooling == "cls" and first[0] != self.tokenizer.cls_token_id:
            raise ConfigError(
                f"option 'pooling' is cls, and texts of '{model}' do not begin with a class token",
                "mer extract --set recipe.encoders.text.options.pooling=mean ...",
            )
        self.layer, self.pooling, self.language, self.batch, self.device = layer, pooling, language, batch, "cpu"
        self.dim = int(self._rows([first])[0].shape[1])

    def to(self, device: str) -> None:
        """Move the network to ``cpu`` or ``cuda:i``."""
        self.network.to(device)
        self.device = device

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature per item, (1, D) or (T, D); no text, or one in another language, is not valid.

        Texts of like length go through the network together, ``batch`` at once.
        """
        texts = {index: self._readable(streams.transcript) for index, streams in enumerate(batch)}
        found = {index: self._tokens(text) for index, text in texts.items() if text}
        order = sorted(found, key=lambda index: len(found[index][0]))
        rows: dict[int, FloatArray] = {}
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            rows.update(zip(part, self._rows([found[index][0] for index in part]), strict=True))
        features = []
        for index, streams in enumerate(batch):
            values = rows.get(index, np.zeros((1, self.dim), np.float32))
            offsets = found[index][1] if index in found and self.pooling == "none" else None
            times = _times(streams.transcript, texts[index], offsets)
            features.append(Feature(values, times, np.full(len(values), index in rows)))
        return features

    def _readable(self, transcript: Transcript | None) -> str:
        """Return the text to encode: empty where there is none, or where it is known to be in another language."""
        if transcript is None:
            return ""
        known = transcript.language and self.language and code(transcript.language) != code(self.language)
        return "" if known else transcript.text.strip()

    def _tokens(self, text: str) -> tuple[list[int], Offsets]:
        """Return token ids and the characters that each stands for, (0, 0) for special ones."""
        fast = bool(self.tokenizer.is_fast)
        given = self.tokenizer(text, truncation=True, max_length=self.longest, return_offsets_mapping=fast)
        return given["input_ids"], given["offset_mapping"] if fast else [(0, 0)] * len(given["input_ids"])

    def _rows(self, tokens: Sequence[list[int]]) -> list[FloatArray]:
        """Return the rows (1, D) or (T, D) of each text's tokens."""
        padded = pad_sequence([torch.tensor(ids) for ids in tokens], True, self.tokenizer.pad_token_id or 0)
        lengths = torch.tensor([len(ids) for ids in tokens])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long().to(self.device)
        with torch.inference_mode():
            states, _ = hf_models.output(
                self.network, self.layer, input_ids=padded.to(self.device), attention_mask=mask
            )
            if self.pooling == "none":
                return [rows[:count] for rows, count in zip(states.cpu().numpy(), lengths.tolist(), strict=True)]
            pooled = states[:, 0] if self.pooling == "cls" else hf_models.averaged(states, mask)
            return list(pooled.cpu().numpy()[:, None])


def _limit(network: nn.Module, tokenizer: Any) -> int:
    """Return how many tokens a model reads: the least of what its tokenizer and its positions allow."""
    config: Any = network.config
    positions = getattr(config, "max_position_embeddings", None) or LONGEST
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
            # RoBERTa counts positions from behind that of padding
            skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            positions = module.num_embeddings - skipped
    return int(min(positions, tokenizer.model_max_length))


def _times(transcript: Transcript | None, text: str, offsets: Offsets | None) -> FloatArray:
    """Return the span of all words (1, 2), or with ``offsets`` that of each token's word (T, 2).

    Zeros where words have no times; a special token has those of the whole text.
    """
    words = transcript.words if transcript else ()
    whole = (words[0].start, max(word.end for word in words)) if words else (0.0, 0.0)
    if offsets is None:
        return np.asarray([whole], np.float32)
    spoken = np.full((len(text) + 1, 2), whole, np.float64)
    place = 0
    for word in words:
        found = text.find(word.text.strip(), place)
        if found >= 0:
            place = found + len(word.text.strip())
            spoken[found:place] = word.start, word.end
    times = [spoken[end - 1] if end > start else np.asarray(whole) for start, end in offsets]
    return np.asarray(times, np.float32).reshape(-1, 2)
