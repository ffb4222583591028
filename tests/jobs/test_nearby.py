"""Bundles over encoders that lie in folders of a run: found from anywhere, with their tree, and refused if changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from mercli import config
from mercli.config import Choice, Recipe
from mercli.fusion import bundle as bundles
from mercli.fusion import packed
from mercli.jobs import train as fusion
from mercli.jobs.export import EXAMPLE
from mercli.jobs.extract import extract
from mercli.jobs.features import nearby, tuned
from tests.features import hf_models

ENCODER = "runs/tuned/encoder"
SEEN = [
    {"corpus": corpus, "split": split, "speakers": ["A", "B"]}
    for corpus in ("meld", "iemocap")
    for split in ("train", "dev")
]


@pytest.fixture(scope="module")
def whole(world, tmp_path_factory):
    """A tree with a tuned encoder, and a run of ``mer train`` over it: all named from the tree's own folder."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(world.data, tree / "data")
    hf_models.bert(tree / ENCODER)
    card = {"modality": "text", "encoder": {"name": "hf-text", "option": "model"}, "trained_on": SEEN}
    (tree / ENCODER / "card.json").write_text(json.dumps(card))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tree)
        shared = {"corpora": ["one"], "modalities": ["audio", "text"], "device": "cpu", **tuned.flags(["runs/tuned"])}
        extract(config.resolve(config.ExtractConfig, shared, preset="weightless"))
        own = config.resolve(config.TrainConfig, shared, preset="weightless", sets=("epochs=2",))
        return tree, fusion.train(own).run


@pytest.fixture
def copy(whole, tmp_path):
    """The tree moved elsewhere, with its bundle's path."""
    tree, run = whole
    shutil.copytree(tree / "runs", tmp_path / "moved" / "runs")
    return tmp_path / "moved" / run / "bundle"


def said(mer, *words):
    answer = mer("predict", EXAMPLE, "--text", "i am so happy", "--format", "jsonl", *words)
    assert answer.code == 0, answer.err
    return {**json.loads(answer.out), "run": None}


def test_a_tree_of_runs_answers_from_any_folder_and_after_it_has_moved(mer, whole, copy, monkeypatch, tmp_path):
    tree, run = whole
    assert json.loads((tree / run / "bundle/bundle.json").read_text())["recipe"]["encoders"]["text"]["options"] == {
        "model": ENCODER
    }
    monkeypatch.chdir(tree)
    first = said(mer, "--model", run / "bundle")
    monkeypatch.chdir(tmp_path)
    assert said(mer, "--model", tree / run / "bundle") == first
    assert said(mer, "--model", copy) == first
    assert mer("bundle", "verify", copy).code == 0


def test_the_encoder_of_the_working_directory_goes_before_that_of_the_bundle(mer, whole, copy, monkeypatch, tmp_path):
    shutil.rmtree(copy.parents[1] / "tuned")
    monkeypatch.chdir(whole[0])
    assert said(mer, "--model", copy)["label"]


def test_an_encoder_of_other_weights_in_the_right_place_is_refused(mer, copy, monkeypatch, tmp_path):
    hf_models.bert(copy.parents[1] / "tuned" / "encoder", num_hidden_layers=1)
    monkeypatch.chdir(tmp_path)
    answer = mer("predict", EXAMPLE, "--model", copy)
    assert answer.code == 4
    assert "was trained on text features" in answer.err


def test_an_encoder_that_is_nowhere_is_named_with_its_key_and_what_to_do(mer, copy, monkeypatch, tmp_path):
    shutil.rmtree(copy.parents[1] / "tuned")
    monkeypatch.chdir(tmp_path)
    key = bundles.load(copy).card.keys["text"]
    for words in (("predict", EXAMPLE, "--model", copy), ("bundle", "verify", copy)):
        answer = mer(*words)
        assert answer.code == 4
        assert f"needs its text encoder '{ENCODER}' (features {key})" in answer.err
        assert f"run mer in the folder that holds '{ENCODER}'" in answer.err


def test_a_packed_bundle_says_what_must_travel_along_and_works_where_it_does(mer, whole, copy, monkeypatch, tmp_path):
    top = tmp_path / "moved"
    monkeypatch.chdir(tmp_path)
    answer = mer("bundle", "pack", copy, "-o", top / "one.mer")
    assert answer.code == 0
    (line,) = answer.err.splitlines()
    assert f"'{ENCODER}' (text)" in line
    assert said(mer, "--model", top / "one.mer") == said(mer, "--model", copy)
    silent = mer("bundle", "pack", "embedded", "-o", tmp_path / "shipped.mer")
    assert silent.err == ""


def test_an_onnx_twin_names_the_encoder_from_where_it_lies_itself(mer, copy, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    twin = tmp_path / "twins" / "small"
    answer = mer("bundle", "export", copy, "-o", twin, "--json")
    assert answer.code == 0, answer.err
    assert bundles.load(twin).card.recipe["encoders"]["text"]["options"]["model"] == f"moved/{ENCODER}"
    monkeypatch.chdir("/")
    assert said(mer, "--model", twin)["scores"] == pytest.approx(said(mer, "--model", copy)["scores"], abs=1e-4)


@pytest.mark.parametrize("given", ["runs/tuned/encoder", "{tree}/runs/tuned/encoder", "near", "{tree}/near"])
def test_no_bundle_names_a_folder_by_the_machine_and_each_is_found_again(given, monkeypatch, tmp_path):
    for place in (ENCODER, "near"):
        (tmp_path / "tree" / place).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "tree")
    told = given.format(tree=tmp_path / "tree")
    bundle = tmp_path / "tree" / "runs" / "other" / "bundle"
    recipe = Recipe(encoders={"text": Choice(name="hf-text", options={"model": told, "layer": 1})})
    written = nearby.portable(recipe, bundle)
    assert not Path(written.encoders["text"].options["model"]).is_absolute()
    monkeypatch.chdir("/")
    card = bundles.BundleCard(
        name="x", scheme=None, policy="", recipe=written.model_dump(), keys={}, dims={"text": 1}, head={},
        temperature=1.0, priors={}, trained_on=[],
    )  # fmt: skip
    found = nearby.recipe(card, bundle).encoders["text"].options
    assert Path(found["model"]).resolve() == (tmp_path / "tree" / told).resolve()
    assert found["layer"] == 1


def test_a_model_of_the_hub_is_never_taken_for_a_folder_above_a_bundle(monkeypatch, tmp_path):
    (tmp_path / "bert-base").mkdir()
    monkeypatch.chdir("/")
    recipe = Recipe(encoders={"text": Choice(name="hf-text", options={"model": "bert-base"})})
    assert nearby.portable(recipe, tmp_path / "bundle") == recipe
    card = bundles.BundleCard(
        name="x", scheme=None, policy="", recipe=recipe.model_dump(), keys={}, dims={"text": 1}, head={},
        temperature=1.0, priors={}, trained_on=[],
    )  # fmt: skip
    assert nearby.recipe(card, tmp_path / "bundle") == recipe


def test_card_readme_and_listing_tell_what_each_encoder_was_trained_on(mer, whole):
    folder = whole[0] / whole[1] / "bundle"
    card = bundles.load(folder).card
    assert [use["corpus"] for use in card.trained_on] == ["made:one"]
    assert card.encoders_trained_on == {"audio": [], "text": SEEN}
    told = "audio on nothing; text on meld (train, dev), iemocap (train, dev)."
    assert told in (folder / "README.md").read_text()
    shown = mer("bundle", "show", folder).out
    assert "text encoder trained on\tmeld (train, dev), iemocap (train, dev)" in shown
    assert "audio encoder trained on\tnothing that it tells" in shown


def test_a_bundle_of_old_that_tells_nothing_of_its_encoders_is_read(copy):
    raw = json.loads((copy / "bundle.json").read_text())
    del raw["encoders_trained_on"]
    files = {**packed.read(copy), "bundle.json": json.dumps(raw).encode()}
    assert bundles.read_card(copy, files).encoders_trained_on == {}
