"""Which segments are used is told before training; what nothing could be learned from is refused by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mercli import config
from mercli.corpora import manifest
from mercli.jobs.extract import stores
from mercli.jobs.features import encoding
from mercli.types import Feature

WAY = ("--preset", "weightless", "--set", "epochs=2", "--json")


def prepared(mer, tmp_path, name, rows):
    """A corpus of texts: (text, label, split) a line."""
    folder = tmp_path / name
    folder.mkdir()
    lines = [f"{text},{label},{split}\n" for text, label, split in rows]
    (folder / "list.csv").write_text("text,label,split\n" + "".join(lines))
    words = ("--corpus", "csv", "--root", folder, "--name", name, "--data", tmp_path / "data")
    assert mer("prepare", *words).code == 0
    words = ("--corpora", name, "--data", tmp_path / "data", "--modalities", "text", "--preset", "weightless")
    assert mer("extract", *words).code == 0


def lines(name, labels, splits=("train", "dev", "test")):
    every = [(label, split, number) for label in labels for split in splits for number in range(4)]
    return [(f"{name} says {label} {number} {split}", label, split) for label, split, number in every]


def voices(tmp_path, name, rows):
    """Store a voice for these segments, as an encoder would; ``rows``: which, and the value of their row."""
    held = manifest.load(tmp_path / "data", name)
    chosen = config.resolve(config.ExtractConfig, {"corpora": [name]}, preset="weightless")
    own = stores(held, encoding.build(chosen.recipe, ("audio",)))
    ids = [segment.id for segment in held.segments()]
    made = {
        ids[row]: Feature(np.full((1, 217), value, np.float32), np.zeros((1, 2), np.float32), np.ones(1, bool))
        for row, value in rows.items()
    }
    own["audio"].append(made, {})


def train(mer, tmp_path, *words, command="train"):
    return mer(command, *WAY, "--data", tmp_path / "data", "--runs", tmp_path / "runs", *words)


def test_coverage_is_told_before_training_and_all_leaves_out_what_lacks_one(mer, tmp_path):
    prepared(mer, tmp_path, "one", lines("one", ("joy", "anger")))
    voices(tmp_path, "one", {row: float(row) for row in range(0, 24, 2)})
    words = ("--corpora", "one", "--modalities", "audio", "text")
    answer = train(mer, tmp_path, *words)
    assert answer.code == 0, answer.err
    assert "one: 24 labelled segments with features (audio 12, text 24)" in answer.err
    found = json.loads(answer.out)["coverage"]["one"]
    assert (found["segments"], found["modalities"], found["incomplete"]) == (24, {"audio": 12, "text": 24}, 0)
    answer = train(mer, tmp_path, *words, "--require", "all")
    assert answer.code == 0, answer.err
    assert "(audio 12, text 24), 12 of them left out for lack of one" in answer.err
    found = json.loads(answer.out)
    assert (found["coverage"]["one"]["segments"], found["coverage"]["one"]["incomplete"]) == (12, 12)
    assert found["scores"]["one"]["n"] == 4


def test_a_modality_that_no_segment_has_is_refused_before_a_run_begins(mer, tmp_path):
    prepared(mer, tmp_path, "one", lines("one", ("joy", "anger")))
    answer = train(mer, tmp_path, "--corpora", "one", "--modalities", "text", "face")
    assert answer.code == 4
    assert "no segment of one has the modality 'face'" in answer.err
    assert "--modalities text" in answer.err
    answer = train(mer, tmp_path, "--corpora", "one", "--modalities", "text", "face", "--require", "all")
    assert answer.code == 4
    assert "no segment of 'one' has all of text, face" in answer.err
    assert "--require any" in answer.err
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_feature_that_is_not_finite_is_refused_with_its_segment(mer, tmp_path, value):
    prepared(mer, tmp_path, "one", lines("one", ("joy", "anger")))
    voices(tmp_path, "one", {0: 1.0, 3: value})
    answer = train(mer, tmp_path, "--corpora", "one", "--modalities", "audio", "text")
    segment = list(manifest.load(tmp_path / "data", "one").segments())[3].id
    assert answer.code == 4
    assert f"audio feature of segment '{segment}' has NaN or infinite values" in answer.err


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (lines("one", ("joy",)), "one class only: 'happy'"),
        (lines("one", ("joy", "anger"), ("train", "test")), "corpus 'one' has no dev split"),
        (lines("one", ("joy", "anger"), ("dev", "test")), "corpus 'one' has no train split"),
        (
            [*lines("one", ("joy", "anger"), ("train",)), *lines("one", ("fear",), ("dev",))],
            "'one' (dev) has the classes fear, and 'one' (train) teaches happy, angry: none in common",
        ),
        (
            [*lines("one", ("joy", "anger"), ("train", "dev")), *lines("one", ("fear",), ("test",))],
            "'one' (test) has the classes fear",
        ),
    ],
    ids=["one class", "no dev", "no train", "dev of other classes", "test of other classes"],
)
def test_parts_that_teach_or_choose_nothing_are_refused(mer, tmp_path, rows, told):
    prepared(mer, tmp_path, "one", rows)
    answer = train(mer, tmp_path, "--corpora", "one", "--modalities", "text")
    assert answer.code == 4, answer.err
    assert told in answer.err


def test_a_held_out_corpus_without_any_class_of_the_others_is_refused(mer, tmp_path):
    prepared(mer, tmp_path, "one", lines("one", ("joy", "anger")))
    prepared(mer, tmp_path, "two", lines("two", ("fear", "disgust")))
    answer = train(mer, tmp_path, "--corpora", "one", "two", "--modalities", "text", command="loco")
    assert answer.code == 4
    assert "none in common" in answer.err
