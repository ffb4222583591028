"""ResNets of torchvision and the networks that ship inside, tuned: they are what they were, and stay encoders."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli import config as configs  # noqa: E402
from mercli import registry  # noqa: E402
from mercli.config_tune import FinetuneConfig  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from mercli.jobs.features import tuned as tuned_encoders  # noqa: E402
from mercli.jobs.tuned.bodies import body_of  # noqa: E402
from mercli.jobs.tuned.card import inherited  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.tuning.network import Tuned, collated  # noqa: E402
from mercli.tuning.parameters import depths, freeze  # noqa: E402
from mercli.types import Streams, Transcript  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402

TWO = ("happy", "sad")


def plain(modality: str, encoder: str, **more) -> FinetuneConfig:
    return FinetuneConfig(modality=modality, encoder=encoder, corpora=("a",), **more)


def torchvision(name: str, folder):
    """Save a ResNet of torchvision with a state that no fresh one has."""
    from torchvision import models

    torch.manual_seed(1)
    network = getattr(models, name)(weights=None).eval()
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    torch.save({"state_dict": network.state_dict()}, folder / "resnet.pt")
    return network


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_a_resnet_computes_what_torchvision_does(name, tmp_path):
    network = torchvision(name, tmp_path)
    body = body_of(plain("face", f"{name}:{tmp_path / 'resnet.pt'}", reset_classifier=True), TWO)
    assert body.network.config.id2label == {0: "happy", 1: "sad"}
    assert all(parameter.requires_grad for parameter in body.network.parameters())
    network.fc = torch.nn.Identity()
    picture = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found = body.network.eval().resnet(picture).pooler_output.flatten(1)
        assert torch.allclose(found, network(picture), rtol=1e-4, atol=1e-4)


def test_weights_of_a_resnet_are_held_to_its_form(tmp_path):
    torchvision("resnet34", tmp_path)
    weights = str(tmp_path / "resnet.pt")
    with pytest.raises(DataError, match="does not say what its classes are") as refused:
        body_of(plain("face", f"resnet34:{weights}"), TWO)
    assert "--reset-classifier" in str(refused.value.hint)
    with pytest.raises(DataError, match="does not fit ResNet"):
        body_of(plain("face", "resnet18", weights=weights, reset_classifier=True), TWO)
    with pytest.raises(DataError, match="no weights at"):
        body_of(plain("face", "resnet18:gone.pth"), TWO)
    with pytest.raises(ConfigError, match="'resnet18' is not for text"):
        body_of(plain("text", "resnet18"), TWO)


def test_a_tuned_resnet_is_an_encoder(tmp_path):
    body = body_of(plain("face", "resnet18"), TWO)
    body.save(tmp_path)
    card = {"modality": "face", "encoder": {"name": body.plugin, "option": body.place}, "trained_on": []}
    (tmp_path / "card.json").write_text(json.dumps(card))
    _, choice = tuned_encoders.chosen(str(tmp_path))
    encoder = registry.build("encoders", choice["name"], options=choice["options"])
    assert (encoder.dim, encoder.settings) == (512, body.settings)
    faces = np.random.default_rng(0).integers(0, 255, (1, 224, 224, 3), np.uint8)
    said = Streams(faces=faces, face_confidence=np.ones(1, np.float32))
    with torch.inference_mode():
        pixels = body.inputs(body.pieces(said, None))["pixel_values"]
        expected = body.network.eval().resnet(pixels).pooler_output.flatten()
    assert encoder.encode([said])[0].values[0] == pytest.approx(expected.numpy(), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(("how", "lowest"), [("none", 0), (2, 3), ("head", 9)])
def test_batch_norms_that_are_frozen_keep_their_statistics(how, lowest):
    body = body_of(plain("face", "resnet18"), TWO)
    freeze(body, plain("face", "resnet18", freeze=how))
    norms = {name: module for name, module in body.network.named_modules() if hasattr(module, "running_mean")}
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}
    network = Tuned(body).train()
    network(torch.tensor([0, 1]), pixel_values=torch.randn(2, 3, 64, 64))
    moved = {name for name, norm in norms.items() if not torch.equal(norm.running_mean, before[name])}
    places = depths(body)
    assert moved == {name for name in norms if places[f"{name}.weight"] >= lowest}
    assert not any(norm.training for norm in network.eval().modules())


def test_what_weights_have_seen_is_told_of_both_places_that_they_come_from(tmp_path):
    for place, corpus in (("model", "meld"), ("own", "afew")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "model.safetensors").touch()
        told = {"trained_on": [{"corpus": corpus, "split": "train", "speakers": ["a"]}]}
        (tmp_path / place / "card.json").write_text(json.dumps(told))
    weights = str(tmp_path / "own" / "model.safetensors")
    both = plain("audio", f"smil-audio:{tmp_path / 'model'}", weights=weights)
    assert [use["corpus"] for use in inherited(both)] == ["afew", "meld"]
    public = [use["corpus"] for use in inherited(plain("audio", "smil-audio", weights=weights))]
    assert public == ["afew", "ravdess", "cremad", "savee", "tess"]


def streams() -> dict[str, Streams]:
    draw = np.random.default_rng(0)
    wave = np.sin(np.arange(32_000) / 20).astype(np.float32) * draw.uniform(0.2, 0.5, 32_000).astype(np.float32)
    faces = draw.integers(0, 255, (3, 48, 48, 3), np.uint8)
    return {
        "audio": Streams(audio=wave, audio_rate=16_000),
        "face": Streams(faces=faces, face_confidence=np.ones(3, np.float32)),
        "text": Streams(transcript=Transcript("oh my god, this is so great!", "corpus")),
    }


@pytest.mark.parametrize("modality", ["audio", "face", "text"])
def test_untuned_a_shipped_network_says_what_its_encoder_says(modality):
    said = streams()[modality]
    encoder = registry.build("encoders", f"embedded-{modality}")
    expected = encoder.encode([said])[0].values[:, : len(CANONICAL.names)].mean(0)
    for classes in (CANONICAL.names, ("sad", "happy")):
        body = body_of(plain(modality, f"embedded-{modality}"), classes)
        with torch.inference_mode():
            found = Tuned(body).eval()(**collated(body, [body.pieces(said, None)]))[0].numpy()
        assert found == pytest.approx([expected[CANONICAL.names.index(name)] for name in classes], abs=2e-4)


@pytest.mark.parametrize(
    ("change", "fault", "said"),
    [
        ({"reset_classifier": True}, ConfigError, "keeps its classifier"),
        ({"weights": "gone.safetensors"}, DataError, "'gone.safetensors' does not exist"),
    ],
)
def test_what_a_shipped_network_cannot_do_is_refused(change, fault, said):
    from mercli.jobs.tuned.bodies import begin

    with pytest.raises(fault, match=said):
        begin(plain("text", "embedded-text", **change), TWO)


def test_a_network_of_which_all_is_fixed_is_refused():
    config = plain("text", "embedded-text", freeze="head")
    body = body_of(config, TWO)
    assert 0 < freeze(body, config) < 60_000  # the last layers of the two members that have one
    body.heads = ()
    with pytest.raises(ConfigError, match="nothing to tune"):
        freeze(body, config)


def test_classes_that_a_shipped_network_does_not_tell_are_refused():
    with pytest.raises(DataError, match="the corpora have calm") as refused:
        body_of(plain("audio", "embedded-audio"), (*TWO, "calm"))
    assert refused.value.hint == "--classes 7"


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "saw"), [("audio", "ravdess"), ("text", "goemotions")])
def test_a_shipped_network_learns_on_and_knows_all_that_it_has_seen(made, modality, saw):
    own = config(made, modality, f"embedded-{modality}", epochs=1, classes=("neutral", "happy", "sad"))
    tuned = job.finetune(own)
    _, choice = tuned_encoders.chosen(str(tuned.run))
    encoder = registry.build("encoders", choice["name"], options=choice["options"])
    uses = {(use.corpus, use.split) for use in encoder.trained_on}
    assert uses >= {(saw, "train"), ("made:meld", "train"), ("made:meld", "dev")}
    assert encoder.weights != registry.build("encoders", f"embedded-{modality}").weights
    again = body_of(own.model_copy(update={"encoder": f"embedded-{modality}:{tuned.encoder}"}), own.classes)
    said = streams()[modality]
    with torch.inference_mode():
        found = Tuned(again).eval()(**collated(again, [again.pieces(said, None)]))[0].numpy()
    assert found == pytest.approx(encoder.encode([said])[0].values[0, [0, 1, 2]], abs=2e-4)


def test_networks_side_by_side_learn_alike():
    from mercli.tuning.parameters import depths

    places = depths(body_of(plain("audio", "embedded-audio"), TWO))
    own = {name: place for name, place in places.items() if name.startswith("members.0.")}
    assert own == {name.replace("members.1.", "members.0."): p for name, p in places.items() if "members.1." in name}
    assert (own["members.0.stem.0.weight"], own["members.0.stages.0.conv1.weight"]) == (0, 1)
    assert own["members.0.classify.weight"] == max(own.values())
    assert {place for name, place in places.items() if name.startswith("members.5.")} == {max(own.values())}


@pytest.mark.parametrize("modality", ["audio", "face", "text"])
def test_the_embedded_preset_tunes_the_shipped_network_on(modality):
    own = configs.resolve(FinetuneConfig, {"modality": modality, "corpora": ["a"]}, preset=f"embedded-{modality}")
    assert own.encoder == f"embedded-{modality}"
    assert "refit" not in json.loads(own.model_dump_json())
