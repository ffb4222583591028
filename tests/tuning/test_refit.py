"""A shipped encoder trained again from raw corpora: weights, card and unseen logits, whole way on made data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

torch = pytest.importorskip("torch")

from mercli.features.embedded import face_net  # noqa: E402
from mercli.features.embedded.audio import embedded_audio  # noqa: E402
from mercli.features.embedded.face import embedded_face  # noqa: E402
from mercli.features.embedded.face_net import MEMBERS  # noqa: E402
from mercli.jobs.tuned.refit import RefitConfig, refit  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.tuning.embedded.data import FaceTask  # noqa: E402
from mercli.tuning.embedded.recipes import AudioRecipe, FaceRecipe  # noqa: E402
from mercli.tuning.embedded.speech import Utterance  # noqa: E402
from mercli.tuning.embedded.trainer import train  # noqa: E402
from mercli.tuning.embedded.voices import AudioTask, Versions  # noqa: E402
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
    path = refit(RefitConfig("face", tmp_path, tmp_path / "run", {"epochs": 1, "batch": 7, "settling": 1}))
    card, unseen = read(path)
    assert set(card) >= CARD
    faces = np.ascontiguousarray(np.repeat(dev[1::2, :, :, None], 3, 3))
    said = embedded_face(weights=str(path)).encode([Streams(faces=faces)])[0].values[:, :7]
    np.testing.assert_allclose(said, unseen["logits"], atol=1e-4)
    assert len({p.name for p in (tmp_path / "run" / "fold-0").iterdir()}) == MEMBERS


def test_a_face_network_settles_on_whole_clear_pictures_from_where_its_training_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(face_net, "MEMBERS", 1)
    (tmp_path / "fer2013").mkdir()
    pictures(tmp_path / "fer2013", "train", 21)
    pictures(tmp_path / "fer2013", "dev", 14)
    first = FaceTask(FaceRecipe(epochs=1, batch=7, degrade=1.0, cutout=1.0, mixup_share=1.0, settling=3), tmp_path)
    second = first.settled()
    assert second.settled() is None
    assert (second.recipe.epochs, second.recipe.lr, second.recipe.seed) == (3, first.recipe.lr / 6, first.recipe.seed)
    hidden, shown = (task.batch(torch.arange(7), 0.1, torch.Generator().manual_seed(0)) for task in (first, second))
    assert (hidden.inputs["faces"].shape[-1], shown.inputs["faces"].shape[-1]) == (first.recipe.small, 48)
    assert bool((hidden.inputs["faces"] == 0).any())
    assert not bool((shown.inputs["faces"] == 0).any())
    assert not bool((hidden.targets.amax(1) == 1).all())
    assert bool((shown.targets.amax(1) == 1).all())
    weights = {}
    for settling in (0, 1):
        folder = tmp_path / f"settling-{settling}"
        refit(RefitConfig("face", tmp_path, folder, {"epochs": 1, "batch": 7, "settling": settling}))
        member = folder / "fold-0" / "member-0"
        assert len(list(member.glob("settling/checkpoint-3"))) == settling
        weights[settling] = load_file(member / "checkpoint-3" / "average.safetensors")
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0)


def test_a_network_settles_from_the_weights_that_its_training_ended_with(tmp_path, monkeypatch):
    began = []

    def watched(task, folder, start=None, **others):
        given = start and {name: value.clone() for name, value in start.items()}
        began.append((folder.name, given, trained := train(task, folder, start=start, **others)))
        return trained

    (tmp_path / "fer2013").mkdir()
    pictures(tmp_path / "fer2013", "train", 21)
    pictures(tmp_path / "fer2013", "dev", 14)
    monkeypatch.setattr("mercli.tuning.embedded.trainer.train", watched)
    refit(RefitConfig("face", tmp_path, tmp_path / "run", {"epochs": 1, "batch": 7, "settling": 1}))
    assert [name for name, *_ in began] == [
        f"member-{n // 2}" if n % 2 == 0 else "settling" for n in range(2 * MEMBERS)
    ]
    for (_, nothing, before), (_, start, after) in zip(began[::2], began[1::2], strict=True):
        assert nothing is None
        torch.testing.assert_close(start, before.average.state, rtol=0, atol=0)
        assert not torch.equal(after.average.state["classify.weight"], start["classify.weight"])


def test_what_had_settled_goes_on_unless_the_training_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(face_net, "MEMBERS", 1)
    (tmp_path / "fer2013").mkdir()
    pictures(tmp_path / "fer2013", "train", 21)
    pictures(tmp_path / "fer2013", "dev", 14)
    member = tmp_path / "run" / "fold-0" / "member-0"

    def trained(epochs: int, resume: bool) -> tuple[bytes, float]:
        options = {"epochs": epochs, "batch": 7, "settling": 1}
        path = refit(RefitConfig("face", tmp_path, tmp_path / "run", options, resume))
        return path.read_bytes(), (member / "settling/checkpoint-3/average.safetensors").stat().st_mtime

    once = trained(1, False)
    assert trained(1, True) == once
    longer = trained(2, True)
    assert longer[0] != once[0]
    assert longer[1] > once[1]
    (member / "settling/checkpoint-3/trainer_state.json").write_text("")  # killed while it settled
    assert trained(2, True)[0] == longer[0]


def test_a_voice_settles_on_speech_that_nothing_hides_or_mixes():
    waves = {"ravdess": 0.2, "emodb": 0.1}
    items = [
        Utterance(f"{corpus}/{n}", level * torch.randn(6000), n % 3, f"{corpus}/{n}", "train")
        for corpus, level in waves.items()
        for n in range(4)
    ]
    recipe = AudioRecipe(noise=1.0, room=1.0, mixup_share=1.0, settling=5)
    task = AudioTask(recipe, items, {"ravdess/3"}, versions=Versions(recipe))
    calm = task.member(2).settled()
    assert (calm.number, calm.recipe.seed, calm.recipe.epochs, calm.held) == (2, recipe.seed + 2, 5, {"ravdess/3"})
    assert {getattr(calm.recipe, name) for name in ("mixup", "masks", "room", "band", "noise")} == {0}
    assert (calm.recipe.pace, calm.recipe.warp) == (recipe.pace, recipe.warp)
    batch = calm.batch(torch.arange(4), 0.5, torch.Generator().manual_seed(0))
    assert bool((batch.targets.amax(1) == 1).all())
    assert task.member(4).settled() is None


def test_voices_trained_again_are_measured_on_speakers_that_they_never_heard(tmp_path):
    speakers = {"1": "train", "2": "train", "3": "dev"}
    waves = clips(tmp_path / "ravdess_audio", speakers) | clips(tmp_path / "emodb_audio", speakers)
    path = refit(
        RefitConfig(
            "audio", tmp_path, tmp_path / "run", {"epochs": 1, "batch": 4, "folds": 1, "settling": 1, "versions": 1}
        )
    )
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
