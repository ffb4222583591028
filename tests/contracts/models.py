"""Tiny random models in the real formats, for the encoders whose weights lie outside the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mercli.types import MODALITIES
from tests.features import hf_models
from tests.features.test_avtca_encoders import lively, saved_trunk
from tests.features.test_foalnet_encoders import saved_clip, saved_wavlm
from tests.features.test_readymade import npy_folder
from tests.features.test_smil_encoders import audio_folder, face_file, text_folder

MADE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "smil-audio": lambda folder: {"model": str(audio_folder(folder / "smil-audio"))},
    "smil-text": lambda folder: {"model": str(text_folder(folder / "smil-text"))},
    "smil-face": lambda folder: {"weights": str(face_file(folder / "smil-face.pt"))},
    "avtca-face": lambda folder: {"weights": saved_trunk(folder, lively())},
    "foalnet-audio": lambda folder: {"model": saved_wavlm(folder / "wavlm")},
    "foalnet-face": lambda folder: {"model": saved_clip(folder / "clip")},
    "hf-audio": lambda folder: {"model": hf_models.wav2vec2(folder / "hf-audio")},
    "hf-vision": lambda folder: {"model": hf_models.vit(folder / "hf-vision")},
    **{f"files-{modality}": lambda folder: {"root": npy_folder(folder / "npy")} for modality in MODALITIES},
    "hf-text": lambda folder: {"model": hf_models.bert(folder / "hf-text")},
}
