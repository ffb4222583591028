from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mercli import registry
from mercli.features.embedded.weights import ASSETS
from mercli.labels import CANONICAL
from mercli.types import Streams

pytest.importorskip("torch")

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
NAMES = ("audio", "face")


def card(name: str) -> dict:
    return json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))


def told(name: str, figure: str) -> float:
    """Return a figure of the card by how its name begins."""
    (found,) = (row["value"] for text, row in card(name)["figures"].items() if text.startswith(figure))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_encoder_builds_and_is_what_its_spec_says(name):
    spec = registry.get("encoders", f"embedded-{name}")
    encoder = registry.build("encoders", f"embedded-{name}")
    assert (encoder.modality, encoder.dim) == (name, spec.facts["dim"])
    assert tuple(encoder.trained_on) == tuple(spec.facts["trained_on"])


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_classes_prior_data_and_measured_figures(name):
    own = card(name)
    assert own["classes"] == list(CANONICAL.names)
    for prior in own["log_prior"].values():
        assert np.exp(prior).sum() == pytest.approx(1, abs=1e-3)
    assert 0.1 < own["temperature"] < 10
    assert own["trained_on"]
    assert all(f["interval"][0] <= f["value"] <= f["interval"][1] for f in own["figures"].values())


def test_all_files_together_stay_within_twenty_megabytes():
    assert 0 < sum((ASSETS / f"{name}.safetensors").stat().st_size for name in (*NAMES, "text")) <= 20_000_000


@pytest.mark.parametrize("name", [*NAMES, "text"])
def test_the_card_is_that_of_the_encoder_s_version(name):
    spec = registry.get("encoders", f"embedded-{name}")
    assert (card(name)["name"], card(name)["version"]) == (spec.name, spec.version)


def test_fer2013_dev_is_recognised_as_the_card_says():
    if not (DATA / "fer2013/dev.parquet").is_file():
        pytest.skip("../shared/data/fer2013 is not there")
    from mercli.tuning.embedded.data import read_fer

    dev = read_fer(DATA / "fer2013/dev.parquet")
    faces = np.ascontiguousarray(dev.faces[:, 0, :, :, None].expand(-1, -1, -1, 3)[::12].numpy())
    feature = registry.build("encoders", "embedded-face").encode([Streams(faces=faces)])[0]
    guessed = (feature.values[:, :7] + np.array(card("face")["log_prior"]["fer2013"])).argmax(1)
    hits = (guessed == dev.labels[::12].numpy()).mean()
    assert hits == pytest.approx(told("face", "fer2013 dev accuracy"), abs=2 * (0.25 / len(guessed)) ** 0.5)


def test_dev_speakers_are_recognised_as_the_card_says():
    if not (DATA / "ravdess_audio/labels.csv").is_file():
        pytest.skip("../shared/data/ravdess_audio is not there")
    import pandas as pd
    import soundfile
    from sklearn.metrics import balanced_accuracy_score

    from mercli.labels import canonical

    table = pd.read_csv(DATA / "ravdess_audio/labels.csv")
    rows = table[table["split"] == "dev"].iloc[::3]
    items = [Streams(audio=soundfile.read(DATA / "ravdess_audio" / f, dtype="float32")[0]) for f in rows["file"]]
    features = registry.build("encoders", "embedded-audio").encode(items)
    guessed = [CANONICAL.names[f.values[f.valid][:, :7].mean(0).argmax()] for f in features]
    uar = balanced_accuracy_score([canonical(name) for name in rows["emotion"]], guessed)
    assert uar == pytest.approx(told("audio", "ravdess dev speakers UAR"), abs=2 * (0.25 / len(guessed)) ** 0.5)
