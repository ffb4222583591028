"""From a raw corpus to a report and a prediction, with nothing trained and nothing downloaded."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from mercli import config
from mercli.corpora import manifest
from mercli.jobs import extract as extracting
from mercli.jobs import loco, predict, prepare, report, train
from mercli.jobs.clips.items import of_paths
from mercli.rundir import read_lines

SAME = ("corpus.options.seed=0", "clips=35", "strength=1.0")


def settings(model, world, *sets, **flags):
    common = {"corpora": list(world.corpora), "data": str(world.data), "runs": str(world.runs)}
    kept = {k: v for k, v in (common | flags).items() if k.split(".")[0] in model.model_fields}
    return config.resolve(model, kept, preset="weightless", sets=sets)


@pytest.fixture(scope="module")
def trained(world):
    return train.train(settings(config.TrainConfig, world, "lr=0.01", corpora=["one"]))


@pytest.fixture(scope="module")
def left_out(world):
    return loco.loco(settings(config.LocoConfig, world, "lr=0.01", seeds=2))


def test_preparing_again_gives_the_same_bytes(world, tmp_path):
    raw = str(world.folder / "raw" / "one")
    flags = {"corpus.name": "made", "root": raw, "name": "one", "data": str(tmp_path)}
    prepare.prepare(config.resolve(config.PrepareConfig, flags, sets=SAME))
    for name in ("corpus.yaml", "clips.jsonl", "segments.jsonl", "excluded.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (world.data / "one" / name).read_bytes()


def test_the_two_made_corpora_are_not_one_another(world):
    texts = [[segment.text for segment in manifest.load(world.data, name).segments()] for name in world.corpora]
    assert texts[0] != texts[1]


def test_every_segment_has_every_modality(world):
    for name in world.corpora:
        held = manifest.load(world.data, name)
        ids = [segment.id for segment in held.segments()]
        assert len(ids) == len(set(ids)) == 35
        for folder in (held.folder / "features").glob("*/*"):
            assert sorted(extracting.Store(folder).ids()) == sorted(ids)


def test_extracting_again_encodes_nothing(world):
    before = {p: p.stat().st_mtime_ns for p in world.data.rglob("*.safetensors")}
    coverages = extracting.extract(settings(config.ExtractConfig, world))
    assert [coverage.encoded for coverage in coverages] == [0, 0]
    assert {p: p.stat().st_mtime_ns for p in world.data.rglob("*.safetensors")} == before


def test_extracting_in_two_processes_gives_the_same_features(world, tmp_path):
    held = manifest.load(world.data, "one")
    raw = {"corpus.name": "made", "root": str(held.root), "name": "one", "data": str(tmp_path)}
    prepare.prepare(config.resolve(config.PrepareConfig, raw, sets=SAME))
    extracting.extract(
        settings(config.ExtractConfig, world, "engine.options.jobs=2", corpora=["one"], data=str(tmp_path))
    )
    for folder in sorted((held.folder / "features").glob("*/*")):
        other = extracting.Store(tmp_path / "one" / folder.relative_to(held.folder))
        for identity, one in ((i, extracting.Store(folder).get(i)) for i in extracting.Store(folder).ids()):
            np.testing.assert_array_equal(one.values, other.get(identity).values)


def test_training_learns_what_was_put_in(trained):
    assert trained.scores["one"]["uar"] > 0.7
    assert trained.scores["one"]["seen_by"] == []
    low, high = trained.scores["one"]["uar_interval"]
    assert low <= trained.scores["one"]["uar"] <= high


def test_training_twice_gives_the_same_predictions(world, trained):
    again = train.train(settings(config.TrainConfig, world, "lr=0.01", corpora=["one"]))
    first, second = ([{**row, "run": ""} for row in read_lines(t.run / "predictions.jsonl")] for t in (trained, again))
    assert first == second
    assert (trained.run / "bundle/head.safetensors").read_bytes() == (
        again.run / "bundle/head.safetensors"
    ).read_bytes()


def test_leaving_a_corpus_out_scores_what_it_never_saw(left_out):
    assert [row["corpus"] for row in left_out.rows] == ["one", "two"]
    for row in left_out.rows:
        assert row["corpus"] not in row["trained_on"]
        assert row["held_out"]["uar"] > 0.5
        assert len(row["held_out"]["uar_seeds"]) == 2
    assert left_out.means["late"] == pytest.approx(np.mean([row["held_out"]["uar"] for row in left_out.rows]))


def test_poisoned_labels_of_the_held_out_corpus_change_nothing_but_its_score(world, left_out, monkeypatch):
    from mercli.jobs.fits import dataset

    load = dataset.load

    def poisoned(given):
        data = load(given)
        data.corpora["two"].targets[:] = [(target + 1) % 7 for target in data.corpora["two"].targets]
        return data

    monkeypatch.setattr(dataset, "load", poisoned)
    row = next(r for r in left_out.rows if r["corpus"] == "two")
    again = loco.loco(settings(config.LocoConfig, world, "lr=0.01", seeds=2))
    other = next(r for r in again.rows if r["corpus"] == "two")
    assert other["others_test"] == row["others_test"]
    assert other["held_out"]["uar"] < row["held_out"]["uar"]
    for run in (left_out.run, again.run):
        assert (run / "bundle/without-two/head.safetensors").is_file()
    assert (left_out.run / "bundle/without-two/head.safetensors").read_bytes() == (
        again.run / "bundle/without-two/head.safetensors"
    ).read_bytes()


def test_poisoned_features_of_the_held_out_corpus_change_no_weight(world, left_out, monkeypatch):
    from mercli.jobs.fits import dataset

    load = dataset.load

    def poisoned(given):
        data = load(given)
        held = data.corpora["two"]
        held.bundles[:] = [
            replace(b, features={m: f and replace(f, values=f.values + 100) for m, f in b.features.items()})
            for b in held.bundles
        ]
        return data

    monkeypatch.setattr(dataset, "load", poisoned)
    again = loco.loco(settings(config.LocoConfig, world, "lr=0.01", seeds=2))
    assert (left_out.run / "bundle/without-two/head.safetensors").read_bytes() == (
        again.run / "bundle/without-two/head.safetensors"
    ).read_bytes()


def test_a_corpus_an_encoder_has_seen_is_marked_and_left_out_of_the_mean(world, monkeypatch):
    from mercli.contracts import TrainedOn
    from mercli.jobs.fits import dataset

    load = dataset.load

    def seen(given):
        data = load(given)
        return replace(data, trained_on={"audio": (TrainedOn("made:one", "train"),)})

    monkeypatch.setattr(dataset, "load", seen)
    result = loco.loco(settings(config.LocoConfig, world, "lr=0.01"))
    assert [row["seen_by"] for row in result.rows] == [["audio"], []]
    assert result.means["late"] == result.rows[1]["held_out"]["uar"]


def test_the_report_counts_what_the_run_predicted(world, left_out, tmp_path):
    made = report.report("confusion", world.runs, [str(left_out.run)], tmp_path)
    matrices = made.section.document["matrices"]
    rows = list(read_lines(left_out.run / "predictions.jsonl"))
    for matrix in matrices:
        kept = [r for r in rows if r["fold"].startswith(f"{matrix['group']}/")]
        hits = sum(r["target"] == r["label"] for r in kept)
        assert np.trace(matrix["counts"]) == hits
        assert np.sum(matrix["counts"]) == len(kept)
    table = list(csv.reader((tmp_path / "confusion-one.csv").open()))
    assert [list(map(int, row[1:])) for row in table[1:]] == matrices[0]["counts"]
    assert sorted(p.suffix for p in tmp_path.glob("confusion-one.*")) == [".csv", ".png", ".svg"]
    assert json.loads((tmp_path / "confusion.json").read_text()) == made.section.document


def test_a_clip_predicted_from_the_bundle_gets_the_scores_of_the_run(world, trained):
    held = manifest.load(world.data, "one")
    segments = {s.id: s for s in held.segments() if s.split == "test"}
    stored = {row["id"]: row for row in read_lines(trained.run / "predictions.jsonl")}
    identity, segment = next(iter(segments.items()))
    clip = next(c for c in held.clips() if c.id == segment.clip_id)
    flags = {"model": [str(trained.run / "bundle")], "text": segment.text}
    made = config.resolve(config.PredictConfig, flags)
    ((prediction,),) = (list(p) for p in predict.predict(made, of_paths([str(held.root / clip.video)])))
    assert prediction.error is None
    assert prediction.modalities == ("audio", "face", "text")
    for name, score in stored[identity]["scores"].items():
        assert prediction.scores[name] == pytest.approx(score, abs=2e-4)


def test_what_cannot_be_predicted_fails_alone_and_is_told_among_others(mer, trained, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "said.txt").write_text("what a wonderful day")
    model = ("--model", trained.run / "bundle", "--json")
    alone = mer("predict", tmp_path / "empty", *model)
    assert alone.code == 4
    assert "has no media" in " ".join(alone.err.split())
    several = mer("predict", tmp_path / "empty", "-", "x" * 300 + ".mp4", tmp_path / "said.txt", *model)
    rows = json.loads(several.out)
    assert several.code == 6
    assert [bool(row["error"]) for row in rows] == [True, True, True, False]


def test_a_bundle_that_was_changed_is_refused(trained, tmp_path):
    import shutil

    from mercli.errors import DataError
    from mercli.fusion import bundle

    copy = tmp_path / "bundle"
    shutil.copytree(trained.run / "bundle", copy)
    bundle.load(copy)
    card = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**card, "temperature": 9.0}))
    with pytest.raises(DataError, match="damaged"):
        bundle.load(copy)


def test_a_bundle_of_other_features_is_refused(trained):
    from mercli.errors import DataError
    from mercli.fusion import bundle

    card = bundle.load(trained.run / "bundle").card
    bundle.check_keys(card, card.keys)
    with pytest.raises(DataError, match="audio features"):
        bundle.check_keys(card, {**card.keys, "audio": "000000000000"})


def test_a_corpus_without_features_names_the_command(world, tmp_path):
    from mercli.errors import DataError

    with pytest.raises(DataError, match="no segment of 'one'") as fault:
        train.train(settings(config.TrainConfig, world, "recipe.encoders.audio.options.bands=20",
                             "modalities=[\"audio\"]", corpora=["one"], runs=str(tmp_path)))  # fmt: skip
    assert "mer extract --corpora one" in fault.value.hint
