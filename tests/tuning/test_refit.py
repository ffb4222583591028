"""A shipped encoder trained again from raw corpora: weights, card and unseen logits, whole way on made data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli.features.embedded.audio import embedded_audio  # noqa: E402
from mercli.features.embedded.face import embedded_face  # noqa: E402
from mercli.features.embedded.face_net import MEMBERS  # noqa: E402
from mercli.jobs.tuned.refit import RefitConfig, refit  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.types import Streams  # noqa: E402

CARD = {"name", "version", "classes", "licence", "trained_on", "recipe", "log_prior", "temperature", "figures"}


def pictures(folder: Path, part: str, count: int) -> np.ndarray:
    import cv2
    import pandas as pd

    draw = np.random.default_rng(count)
    faces = draw.integers(0, 256, (count, 48, 48), np.uint8)
    jpegs = [cv2.imencode(".jpg", face)[1].tobytes() for face in faces]
    pd.DataFrame({"label": np.arange(count) % 7, "jpeg": jpegs}).to_parquet(folder / f"{part}.parquet")
    return np.stack([cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE) for jpeg in jpegs])


def clips(folder: Path, speakers: dict[str, str]) -> dict[str, np.ndarray]:
    import soundfile

    folder.mkdir(parents=True)
    waves, rows = {}, []
    for speaker, part in speakers.items():
        for emotion in ("happy", "sad", "angry"):
            name = f"{speaker}-{emotion}.wav"
            wave = np.random.default_rng(len(waves)).normal(0, 0.1, 6000).astype(np.float32)
            soundfile.write(folder / name, wave, 16_000, subtype="FLOAT")
            waves[f"{folder.name.removesuffix('_audio')}/{Path(name).stem}"] = wave
            rows.append({"file": name, "emotion": emotion, "speaker": speaker, "split": part})
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return waves


def read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    with np.load(path.with_name(f"{path.stem}-dev-logits.npz")) as held:
        return json.loads(path.with_suffix(".json").read_text()), dict(held)


def test_faces_trained_again_are_an_encoder_that_says_what_was_measured(tmp_path):
    (tmp_path / "fer2013").mkdir()
    pictures(tmp_path / "fer2013", "train", 21)
    dev = pictures(tmp_path / "fer2013", "dev", 14)
    path = refit(RefitConfig("face", tmp_path, tmp_path / "run", {"epochs": 1, "batch": 7}))
    card, unseen = read(path)
    assert set(card) >= CARD
    faces = np.ascontiguousarray(np.repeat(dev[1::2, :, :, None], 3, 3))
    said = embedded_face(weights=str(path)).encode([Streams(faces=faces)])[0].values[:, :7]
    np.testing.assert_allclose(said, unseen["logits"], atol=1e-4)
    assert len({p.name for p in (tmp_path / "run" / "fold-0").iterdir()}) == MEMBERS


def test_voices_trained_again_are_measured_on_speakers_that_they_never_heard(tmp_path):
    speakers = {"1": "train", "2": "train", "3": "dev"}
    waves = clips(tmp_path / "ravdess_audio", speakers) | clips(tmp_path / "emodb_audio", speakers)
    path = refit(RefitConfig("audio", tmp_path, tmp_path / "run", {"epochs": 1, "batch": 4, "folds": 1}))
    card, unseen = read(path)
    assert set(card) >= CARD
    assert {seen["corpus"]: seen["speakers"] for seen in card["trained_on"]} == {
        "ravdess": ["01", "02"],
        "emodb": ["01", "02"],
    }
    assert set(unseen["clusters"]) == {"ravdess/03", "emodb/03"}
    said = embedded_audio(weights=str(path)).encode([Streams(audio=waves[name]) for name in unseen["ids"]])
    np.testing.assert_allclose([one.values[0, :7] for one in said], unseen["logits"], atol=2e-3)
    with np.load(tmp_path / "run" / "audio-logits.npz") as held:
        assert sorted(held["ids"]) == sorted(name for name in waves if "3-" not in name)
    assert [CANONICAL.names[label] for label in unseen["labels"][:3]] == ["happy", "sad", "angry"]
