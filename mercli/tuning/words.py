"""Networks that read: text models of ``transformers``; texts are changed as recognisers leave them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from mercli.config_tune import FinetuneConfig
from mercli.features import hf_models
from mercli.features.hf_text_net import TOKENIZER
from mercli.tuning.checkpoint import classifier
from mercli.types import Streams, StreamSettings

LOST = 0.1
"""Share of a text's words that ASR-like noise loses, and the same that it says twice."""


class HfWords:
    """Any model for sequence classification."""

    plugin, place = "hf-text", "model"
    settings: StreamSettings = StreamSettings()

    def __init__(self, config: FinetuneConfig, classes: Sequence[str]) -> None:
        start = classifier(
            "AutoModelForSequenceClassification", config.encoder, config.revision, classes, config.reset_classifier,
            TOKENIZER,
        )  # fmt: skip
        self.network, self.classes, self.heads = start.network, start.classes, ("classifier", "score", "pre_classifier")
        self.tokenizer: Any = hf_models.helper("AutoTokenizer", start.folder)
        self.longest, self.augment = config.tokens, config.augment

    def pieces(self, streams: Streams, draw: Generator | None) -> Sequence[list[int]]:
        """Return the token ids of the segment's words; none where it has no words."""
        text = streams.transcript.text.strip() if streams.transcript else ""
        if not text:
            return ()
        if draw is not None and float(torch.rand(1, generator=draw)) < self.augment.asr:
            text = recognised(text, draw)
        ids: list[int] = self.tokenizer(text, truncation=True, max_length=self.longest)["input_ids"]
        return (ids if draw is None else self._hidden(ids, draw),)

    def _hidden(self, ids: list[int], draw: Generator) -> list[int]:
        """Return ids of which a share is the mask's (the unknown word's, where there is no mask)."""
        mask = self.tokenizer.mask_token_id
        mask = self.tokenizer.unk_token_id if mask is None else mask
        special = set(self.tokenizer.all_special_ids)
        hidden = torch.rand(len(ids), generator=draw) < self.augment.tokens
        return [mask if gone and i not in special else i for i, gone in zip(ids, hidden.tolist(), strict=True)]

    def inputs(self, pieces: Sequence[list[int]]) -> Mapping[str, Tensor]:
        """Return padded ids (P, L) and their mask."""
        found = self.tokenizer.pad({"input_ids": list(pieces)}, return_tensors="pt")
        return {"input_ids": found["input_ids"], "attention_mask": found["attention_mask"]}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits (P, K)."""
        return self.network(**inputs).logits

    def save(self, folder: Path) -> None:
        """Write the model as ``from_pretrained`` reads it, and its tokenizer."""
        self.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def recognised(text: str, draw: Generator) -> str:
    """Return a text without case and marks, some words lost and some said twice; one word at least stays."""
    words = re.sub(r"[^\w\s']", " ", text.lower()).split() or [text]
    chance = torch.rand(len(words), generator=draw).tolist()
    kept: list[str] = []
    for word, at in zip(words, chance, strict=True):
        kept += [] if at < LOST else [word, word] if at > 1 - LOST else [word]
    return " ".join(kept or words[:1])
