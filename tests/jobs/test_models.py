"""Models that presets need: listed, fetched from a hub on this machine, held to their hashes; none asked offline."""

from __future__ import annotations

import json

import pytest

from mercli import registry
from mercli.errors import DataError
from mercli.features import hub as hubs
from mercli.streams import whisper_weights
from tests.features import hf_models
from tests.features.hub_server import COMMIT, serving, sha256

CARD = "---\nlanguage: en\nlicense: mit\n---\n# A model\nlicense: none\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model") / "bert"
    hf_models.bert(made)
    (made / "README.md").write_text(CARD)
    (made / "tf_model.h5").write_bytes(b"of no use here")
    return made


@pytest.fixture
def hub(monkeypatch, tmp_path, folder):
    """A hub that has one model, and a cache of one's own."""
    from huggingface_hub import constants

    with serving() as held:
        held.models["somebody/bert"] = folder
        held.gated.add("somebody/gated")
        monkeypatch.setattr(constants, "ENDPOINT", held.address)
        template = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", held.address + template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
        monkeypatch.delenv("HF_HUB_OFFLINE")
        hubs.listing.cache_clear()
        yield held
        hubs.listing.cache_clear()


def preset(tmp_path, **options):
    """Return a preset file of ``extract`` that takes its text from the model, pinned as told."""
    pins = "".join(f", {name}: {json.dumps(value)}" for name, value in options.items())
    file = tmp_path / "own.yaml"
    file.write_text(
        "# for tests\nmodalities: [text]\nrecipe:\n  transcriber: {name: none}\n"
        f"  encoders:\n    text: {{name: hf-text, options: {{model: somebody/bert{pins}}}}}\n"
    )
    return file


def listed(mer, *names):
    answer = mer("models", "list", *names, "--json")
    assert answer.code == 0, answer.err
    return {row["name"]: row for row in json.loads(answer.out)}


def test_every_model_that_some_preset_needs_is_listed_without_a_network(hub, mer):
    rows = listed(mer)
    needed = {"DunnBC22/wav2vec2-base-Speech_Emotion_Recognition", "FER_static_ResNet50_AffectNet.pt", "whisper:base"}
    assert {*needed, "microsoft/wavlm-large", "embedded-audio", "bert-base-uncased"} <= rows.keys()
    assert rows["embedded-audio"]["state"] == "present"
    assert rows["microsoft/wavlm-large"]["state"] == "absent"
    assert rows["microsoft/wavlm-large"]["revision"] is None
    assert "SMIL-SPCRAS" in rows["FER_static_ResNet50_AffectNet.pt"]["note"]
    assert rows["whisper:base"]["optional"]
    assert not hub.asked
    plain = mer("models", "list", "foalnet").out
    assert "microsoft/wavlm-large\tfoalnet-audio\tunpinned" in plain
    assert "embedded" not in plain


def test_a_pulled_model_is_whole_listed_and_loaded_without_the_network(hub, mer, tmp_path):
    answer = mer("models", "pull", "somebody/bert", "--json")
    assert answer.code == 0, answer.err
    (pulled,) = json.loads(answer.out)
    assert pulled["commit"] == COMMIT
    assert not any(path.endswith("tf_model.h5") for path in hub.asked)
    own = preset(tmp_path, revision=COMMIT, sha256=pulled["sha256"][0])
    row = listed(mer, own)["somebody/bert"]
    assert (row["state"], row["commit"], row["licence"], row["revision"]) == ("present", COMMIT, "mit", COMMIT)
    assert row["where"] == pulled["where"]
    assert mer("models", "verify", own).code == 0
    hub.asked.clear()
    registry.build("encoders", "hf-text", options={"model": "somebody/bert"})
    assert not hub.asked, "what is in the cache is used as it is"


def test_what_the_cache_lacks_is_fetched_when_an_encoder_is_built(hub, folder):
    encoder = registry.build("encoders", "hf-text", options={"model": "somebody/bert"})
    assert encoder.weights == registry.build("encoders", "hf-text", options={"model": str(folder)}).weights
    place = hubs.snapshot("somebody/bert", None)
    assert place is not None
    assert (place / "model.safetensors").is_file()
    assert (place / "vocab.txt").is_file()


def test_offline_asks_nothing_and_names_the_command_that_fetches(hub, mer, world):
    answer = mer(
        "extract", "--corpora", world.corpora[0], "--data", world.data, "--modalities", "text", "--offline",
        "--set", "recipe.encoders.text.name=hf-text", "--set", "recipe.encoders.text.options.model=somebody/bert",
    )  # fmt: skip
    assert answer.code == 4
    assert "not on this machine" in answer.err
    assert "mer models pull somebody/bert" in answer.err
    assert not hub.asked


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("somebody/nothing", "has no model 'somebody/nothing'"),
        ("somebody/gated", "is gated"),
        ("somebody/bert@v9", "has no revision 'v9'"),
        ("no/such/name", "neither a folder nor the name"),
    ],
)
def test_a_model_that_is_not_to_be_had_says_why(hub, mer, name, told):
    answer = mer("models", "pull", name)
    assert answer.code == 4
    assert told in answer.err
    model, _, revision = name.partition("@")
    with pytest.raises(DataError, match=told):
        registry.build("encoders", "hf-text", options={"model": model, "revision": revision or None})


def test_a_hub_that_cannot_be_reached_is_told_at_once(hub, mer, monkeypatch):
    import time

    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    begun = time.monotonic()
    answer = mer("models", "pull", "somebody/bert")
    assert answer.code == 4
    assert "could not be reached" in answer.err
    assert "127.0.0.1" not in answer.err
    assert time.monotonic() - begun < 10


def test_some_models_of_several_are_a_partial_success(hub, mer):
    answer = mer("models", "pull", "somebody/bert", "somebody/nothing")
    assert answer.code == 6
    assert "somebody/bert" in answer.out
    assert "1 of 2 models could not be fetched" in answer.err


def test_a_folder_for_another_machine_is_its_cache_there(hub, mer, tmp_path, monkeypatch):
    assert mer("models", "pull", "somebody/bert", "--to", tmp_path / "usb").code == 0
    assert not (tmp_path / "cache").exists()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "usb" / "huggingface" / "hub"))
    assert listed(mer, "somebody/bert")["somebody/bert"]["state"] == "present"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_that_changed_is_named(hub, mer, name):
    mer("models", "pull", "somebody/bert")
    place = hubs.snapshot("somebody/bert", None)
    assert place is not None
    blob = (place / name).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    answer = mer("models", "verify", "somebody/bert")
    assert answer.code == 4
    assert name in answer.err


def test_weights_that_are_not_those_of_the_pin_are_refused(hub, mer, folder, tmp_path):
    right, wrong = sha256((folder / "model.safetensors").read_bytes()), "0" * 64
    own = preset(tmp_path, sha256=wrong)
    answer = mer("models", "pull", own)
    assert answer.code == 4
    assert wrong in answer.err
    assert mer("models", "verify", own).code == 4
    options = {"model": "somebody/bert"}
    assert registry.build("encoders", "hf-text", options={**options, "sha256": right}).weights
    with pytest.raises(DataError, match="pinned"):
        registry.build("encoders", "hf-text", options={**options, "sha256": wrong})


def test_a_pin_and_a_commit_change_no_feature_key(hub, folder):
    from mercli.config import Recipe
    from mercli.jobs.features import encoding

    pins = {"sha256": sha256((folder / "model.safetensors").read_bytes()), "revision": COMMIT}
    keys = {
        encoding.build(
            Recipe.model_validate(
                {"encoders": {"text": {"name": "hf-text", "options": {"model": "somebody/bert", **pin}}}}
            ),
            ["text"],
        ).keys["text"]
        for pin in ({}, pins)
    }
    assert len(keys) == 1


def test_what_ships_is_verified_by_its_bundle(mer):
    answer = mer("models", "verify", "predict/embedded", "--json")
    assert answer.code == 0
    assert json.loads(answer.out)[-1]["files"] >= 6


def test_what_is_named_and_absent_is_no_success(hub, mer):
    answer = mer("models", "verify", "foalnet")
    assert answer.code == 4
    assert "'microsoft/wavlm-large' is not here" in answer.err


def test_whispers_weights_are_held_to_the_sum_in_their_address(hub, mer, monkeypatch, tmp_path):
    content = b"weights of a kind"
    address = f"{hub.address}/{sha256(content)}/nano.pt"
    monkeypatch.setattr(whisper_weights, "checkpoints", lambda: {"nano": address})
    place = tmp_path / "home" / "whisper" / "nano.pt"
    assert mer("models", "pull", "whisper:nano").code == 4
    place.parent.mkdir(parents=True)
    place.write_bytes(content)
    assert mer("models", "pull", "whisper:nano").code == 0
    assert mer("models", "verify", "whisper:nano").code == 0
    place.write_bytes(b"something else")
    answer = mer("models", "verify", "whisper:nano")
    assert answer.code == 4
    assert "nano.pt" in answer.err
