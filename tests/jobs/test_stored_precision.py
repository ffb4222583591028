"""``precision: auto`` is resolved where features are made; who reads them takes what is stored, or asks which."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mercli import config as configs
from mercli.corpora import manifest
from mercli.fusion import bundle as bundles
from mercli.jobs.features import encoding
from mercli.jobs.reports import reopening
from tests.features import hf_models


@pytest.fixture(scope="module")
def way(world, tmp_path_factory):
    """Return flags for a prepared corpus of one's own, and an encoder whose precision counts."""
    folder = tmp_path_factory.mktemp("precision")
    shutil.copytree(world.data / "one", folder / "data" / "one")
    model = hf_models.bert(folder / "model")
    encoder = ("--set", "recipe.encoders.text.name=hf-text", "--set", f"recipe.encoders.text.options.model={model}")
    return folder, ("--corpora", "one", "--data", folder / "data", "--modalities", "text", *encoder)


def trained(mer, way, precision, *more):
    folder, flags = way
    runs = ("--runs", folder / "runs", "--set", "epochs=1", "--json")
    return mer("train", *flags, *runs, "--set", f"recipe.precision={precision}", *more)


def shelf(way, precision):
    folder, flags = way
    recipe = configs.Recipe.model_validate(
        {"encoders": {"text": {"name": "hf-text", "options": {"model": flags[-1].partition("=")[2]}}}}
    )
    held = manifest.load(folder / "data", "one")
    return encoding.shelf(held.folder, encoding.made_in(encoding.build(recipe, ["text"]), recipe, precision), "text")


def test_auto_takes_the_one_precision_that_is_stored_and_asks_which_of_two(mer, way):
    _, flags = way
    assert mer("extract", *flags, "--precision", "bf16").code == 0
    stored = json.loads((shelf(way, "bf16") / "spec.json").read_text())
    assert stored["recipe"]["precision"] == "bf16"

    first = trained(mer, way, "auto")
    assert first.code == 0, first.err
    run = Path(json.loads(first.out)["run"])
    card = bundles.load(run / "bundle").card
    assert card.recipe["precision"] == "bf16"
    assert shelf(way, "bf16").name.endswith(card.keys["text"])

    predicted = mer("predict", "examples/hello.mp4", "--model", run / "bundle", "--text", "what a day", "--json")
    assert predicted.code == 0, predicted.err

    assert mer("extract", *flags, "--precision", "fp32").code == 0
    both = trained(mer, way, "auto")
    assert both.code == 3
    assert "fp32: text of one; bf16: text of one" in both.err
    assert "--set recipe.precision=fp32" in both.err
    chosen = trained(mer, way, "fp32")
    assert chosen.code == 0
    assert bundles.load(Path(json.loads(chosen.out)["run"]) / "bundle").card.recipe["precision"] == "fp32"
    assert [each.bundle.card.keys for each in reopening.answering(run)] == [card.keys], "the run knows which it took"


def test_features_of_a_gpu_train_where_their_arithmetic_is_not(mer, way):
    mer("extract", *way[1], "--precision", "bf16")
    made = shelf(way, "bf16")
    shutil.copytree(made, shelf(way, "fp16"))
    answer = trained(mer, way, "fp16")
    assert answer.code == 0, answer.err
    run = Path(json.loads(answer.out)["run"])
    refused = mer("predict", "examples/hello.mp4", "--model", run / "bundle", "--text", "what a day", "--device", "cpu")
    assert refused.code == 3
    assert "fp16" in refused.err
    assert "--device cuda" in refused.err


def test_without_any_store_auto_says_how_to_extract(mer, way, world):
    folder, flags = way
    shutil.copytree(world.data / "two", folder / "data" / "two")
    answer = trained(mer, (folder, (flags[0], "two", *flags[2:])), "auto")
    assert answer.code == 4
    assert "mer extract --corpora two" in answer.err
