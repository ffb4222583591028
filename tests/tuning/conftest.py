"""A made corpus in MELD's layout, tiny random models, and what a short tuning of one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mercli.config import PrepareConfig
from mercli.config_tune import FinetuneConfig, Rates
from mercli.jobs.prepare import prepare
from tests.features import hf_models

QUIET = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0, "layerdrop": 0.0}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A made corpus in MELD's layout, and tiny random models."""
    folder = tmp_path_factory.mktemp("finetune")
    corpus = {"name": "made", "options": {"like": "meld", "clips": 35}}
    prepare(PrepareConfig(corpus=corpus, root=str(folder / "meld"), data=str(folder / "data"), name="meld"))
    hf_models.wav2vec2(folder / "wav2vec2", **QUIET)
    hf_models.wav2vec2(folder / "wavlm", "WavLM", **hf_models.LAYERED, **QUIET)
    hf_models.vit(folder / "vit")
    hf_models.bert(folder / "bert")
    return folder


def config(made: Path, modality: str, encoder: str, **more) -> FinetuneConfig:
    given = {
        "epochs": 2, "batch": 8, "rates": Rates(lr=1e-3), "device": "cpu", "precision": "fp32",
        "data": str(made / "data"), "runs": str(made / "runs"), "corpora": ("meld",),
    }  # fmt: skip
    return FinetuneConfig(**{**given, "modality": modality, "encoder": encoder, **more})
