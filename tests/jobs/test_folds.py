"""``train --folds``: every named fold is trained without its test groups, and answers are scored together."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mercli import config
from mercli.corpora import manifest
from mercli.errors import ConfigError
from mercli.jobs.extract import extract
from mercli.jobs.fits import dataset, folding
from mercli.jobs.prepare import prepare
from mercli.rundir import read_lines

WAY = ("--preset", "weightless", "--modalities", "audio", "--set", "epochs=4", "--set", "lr=0.01")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A made IEMOCAP: five sessions of two speakers."""
    folder = tmp_path_factory.mktemp("folds")
    flags = {"corpus.name": "made", "root": str(folder / "raw"), "data": str(folder / "data")}
    prepare(config.resolve(config.PrepareConfig, flags, sets=["like=iemocap", "clips=60", "strength=1.0"]))
    chosen = {"corpora": ["iemocap"], "data": str(folder / "data"), "modalities": ["audio"]}
    extract(config.resolve(config.ExtractConfig, chosen, preset="weightless"))
    return folder / "data"


def loaded(data):
    flags = {"corpora": ["iemocap"], "data": str(data), "modalities": ["audio"]}
    return dataset.load(config.resolve(config.TrainConfig, flags, preset="weightless"))


@pytest.mark.parametrize(("name", "count"), [("session", 5), ("speaker", 10)])
def test_a_fold_keeps_its_test_speakers_out_of_training_and_choice(data, name, count):
    whole = loaded(data)
    rounds = list(folding.folded(whole, name, seed=0))
    assert len(rounds) == count
    tested = []
    for one in rounds:
        speakers = {"train": set(), "dev": set(), "test": set()}
        for segment in one.corpora["iemocap"].segments:
            speakers[segment.split].add(segment.speaker)
        assert all(speakers.values())
        assert not speakers["test"] & (speakers["train"] | speakers["dev"])
        assert not speakers["dev"] & speakers["train"]
        tested += [s.id for s in one.corpora["iemocap"].segments if s.split == "test"]
    assert sorted(tested) == sorted(s.id for s in whole.corpora["iemocap"].segments)


def test_every_segment_is_answered_once_by_a_model_that_never_heard_its_session(mer, data, tmp_path):
    words = ("train", "--corpora", "iemocap", "--data", data, "--runs", tmp_path, *WAY, "--folds", "session", "--json")
    answer = mer(*words)
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert [fold["fold"] for fold in made["folds"]] == [1, 2, 3, 4, 5]
    assert made["scores"]["iemocap"]["n"] == sum(fold["iemocap"]["n"] for fold in made["folds"])
    (run,) = tmp_path.iterdir()
    rows = list(read_lines(run / "predictions.jsonl"))
    assert len({row["id"] for row in rows}) == len(rows) == made["scores"]["iemocap"]["n"]
    speaker = {s.id: s.speaker for s in manifest.load(data, "iemocap").segments()}
    for row in rows:
        assert row["fold"] == f"iemocap/seed0/fold{speaker[row['id']][1]}"
    right = sum(row["label"] == row["target"] for row in rows) / len(rows)
    assert made["scores"]["iemocap"]["accuracy"] == pytest.approx(right)
    assert len(list((run / "bundle").glob("fold-*/bundle.json"))) == 5


def test_folds_without_a_dev_part_draw_one_from_their_training_speakers(data):
    whole = loaded(data)
    card = dict(whole.corpora["iemocap"].card)
    card["folds"] = {"own": {"group": "speaker", "folds": [{"test": ["S1F"]}, {"test": ["S2M"]}], "note": ""}}
    whole.corpora["iemocap"].card = card
    for one, test in zip(folding.folded(whole, "own", seed=3), ("S1F", "S2M"), strict=True):
        parts = {s.speaker: s.split for s in one.corpora["iemocap"].segments}
        assert parts[test] == "test"
        assert sorted(set(parts.values())) == ["dev", "test", "train"]


def test_an_unknown_fold_is_answered_with_those_there_are(mer, data, tmp_path):
    answer = mer("train", "--corpora", "iemocap", "--data", data, "--runs", tmp_path, *WAY, "--folds", "sesion")
    assert answer.code == 3
    assert "did you mean 'session'" in answer.err


@pytest.mark.parametrize(("name", "count"), [("speaker:5", 5), ("dialogue:3", 3)])
def test_folds_are_drawn_by_group_where_none_are_named(data, name, count):
    whole = loaded(data)
    group = name.partition(":")[0]
    rounds = list(folding.folded(whole, name, seed=1))
    assert len(rounds) == count
    tested, sizes = [], []
    for one in rounds:
        groups = {split: set() for split in ("train", "dev", "test")}
        for segment in one.corpora["iemocap"].segments:
            groups[segment.split].add(getattr(segment, group))
        assert all(groups.values())
        assert not groups["test"] & (groups["train"] | groups["dev"])
        own = [s.id for s in one.corpora["iemocap"].segments if s.split == "test"]
        tested += own
        sizes.append(len(own))
    assert sorted(tested) == sorted(s.id for s in whole.corpora["iemocap"].segments)
    assert max(sizes) <= 2 * min(sizes)
    again = [s.split for s in next(folding.folded(whole, name, seed=1)).corpora["iemocap"].segments]
    assert again == [s.split for s in rounds[0].corpora["iemocap"].segments]


def test_folds_by_speaker_of_one_speaker_are_refused_with_folds_that_there_can_be(data):
    whole = loaded(data)
    corpus = whole.corpora["iemocap"]
    own = replace(corpus, segments=[replace(segment, speaker="S1F") for segment in corpus.segments])
    one = replace(whole, corpora={"iemocap": own})
    with pytest.raises(ConfigError, match="corpus 'iemocap' has one speaker") as refusal:
        list(folding.folded(one, "speaker:3", seed=0))
    assert refusal.value.hint == "--folds clip:5"
    assert len(list(folding.folded(one, "clip:5", seed=0))) == 5


def test_more_folds_than_speakers_are_refused_with_how_many_there_can_be(mer, data, tmp_path):
    answer = mer("train", "--corpora", "iemocap", "--data", data, "--runs", tmp_path, *WAY, "--folds", "speaker:11")
    assert answer.code == 3
    assert "can have 2 to 10" in answer.err
