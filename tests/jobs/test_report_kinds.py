"""Modalities, groups, labels, mistakes, projections, gates and cost of runs, beside other ways to the same numbers."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import permutations
from math import factorial, log
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score

from mercli.corpora import manifest
from mercli.errors import DataError
from mercli.fusion import bundle as bundles
from mercli.fusion.source import source
from mercli.jobs.fits import dataset
from mercli.jobs.report import report
from mercli.jobs.reports import KINDS, reopening
from mercli.jobs.reports.gates import gates
from mercli.jobs.reports.projection import last_vectors
from mercli.results import weighed
from mercli.rundir import noted, read_lines
from tests.jobs.made_answers import row, stored

ALONE = [kind for kind in KINDS if kind not in ("compare", "timeline")]


def made(kind, run, folder, **options):
    return report(kind, run.parent, [str(run)], folder, **options)


@pytest.mark.parametrize("kind", ALONE)
def test_every_kind_writes_the_same_bytes_twice_small_pictures_and_sentences_with_numbers(
    kind, left_out, gated, tmp_path
):
    run = gated if kind == "gates" else left_out
    options = {"groups": {"least": 1}}.get(kind, {})
    first, second = (made(kind, run, tmp_path / name, **options) for name in "ab")
    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in second.files]
    assert {path.suffix for path in first.files} >= {".png", ".svg", ".csv", ".json"}
    assert json.loads((tmp_path / "a" / f"{kind}.json").read_text()) == json.loads(
        json.dumps(first.section.document, default=list)
    )
    for picture in first.section.pictures:
        assert 5_000 < len(picture.png) < 300_000
        assert len(picture.svg) < 300_000
        assert any(letter.isdigit() for letter in picture.alt.removeprefix(picture.title))
        assert picture.alt.endswith(".")
        assert run.name in picture.title


def test_all_modalities_answer_as_the_run_did_and_shares_sum_to_what_they_share(left_out, tmp_path):
    found = made("modalities", left_out, tmp_path).section.document
    rows = list(read_lines(left_out / "predictions.jsonl"))
    for group in found["groups"]:
        name = group["group"]
        card = bundles.load(left_out / "bundle" / f"without-{name}").card
        own = [r for r in rows if r["fold"] == f"{name}/seed{card.facts['seed']}"]
        whole = group["subsets"][-1]
        assert whole["uar"] == pytest.approx(
            recall_score([r["target"] for r in own], [r["label"] for r in own], average="macro")
        )
        likelihood = np.mean([log(r["scores"][r["target"]]) for r in own])
        assert whole["log_likelihood"] == pytest.approx(likelihood, abs=1e-3)
        uar, gained = (sum(group["shares"][game][-1]["shares"].values()) for game in ("uar", "likelihood"))
        assert uar == pytest.approx(whole["uar"] - 1 / 7)
        assert gained == pytest.approx(whole["log_likelihood"] + log(7))


def test_shares_of_uar_are_the_mean_gain_over_every_order_of_the_modalities(left_out, tmp_path):
    group = made("modalities", left_out, tmp_path).section.document["groups"][0]
    worth = {frozenset(subset["modalities"]): subset["uar"] for subset in group["subsets"]}
    players = group["subsets"][-1]["modalities"]
    assert len(worth) == 2 ** len(players)
    for player, share in group["shares"]["uar"][-1]["shares"].items():
        gains = 0.0
        for order in permutations(players):
            before = frozenset(order[: order.index(player)])
            gains += worth[before | {player}] - worth[before]
        assert share == pytest.approx(gains / factorial(len(players)))


def test_a_modality_that_is_nowhere_has_no_share_and_is_told_missing(left_out, monkeypatch, tmp_path):
    load = dataset.load

    def deaf(config):
        data = load(config)
        for corpus in data.corpora.values():
            corpus.bundles = [
                type(b)(b.segment_id, {**b.features, "audio": None}, {"audio": "silent"}) for b in corpus.bundles
            ]
        return data

    monkeypatch.setattr(dataset, "load", deaf)
    found = made("modalities", left_out, tmp_path).section.document
    for group in found["groups"]:
        assert all(each["shares"]["audio"] == 0 for each in group["shares"]["uar"])
        (alone,) = (each for each in group["subsets"] if each["modalities"] == ["audio"])
        assert (alone["answered"], alone["uar"]) == (0, pytest.approx(1 / 7))
    gone = {(each["corpus"], each["modality"]): each for each in found["missing"]}
    assert gone["one", "audio"]["share"] == 1
    assert gone["one", "audio"]["why"] == {"silent": gone["one", "audio"]["segments"]}


def test_labels_are_those_of_the_manifests(world, left_out, tmp_path):
    found = made("distribution", left_out, tmp_path).section.document
    for corpus in world.corpora:
        held = manifest.load(world.data, corpus)
        expected = Counter()
        for segment in held.segments():
            label = held.label_map.table[segment.labels[held.scheme.name]]
            expected[segment.split, label] += label is not None
        counts = {
            (part["split"], label): n
            for part in found["parts"]
            if part["corpus"] == corpus
            for label, n in part["counts"].items()
        }
        assert {key: n for key, n in counts.items() if n} == {key: n for key, n in expected.items() if n}


def test_without_manifests_targets_are_counted_once_however_many_seeds(tmp_path):
    rows = [row(n, "up" if n % 3 else "down", "up", f"one/seed{seed}") for n in range(9) for seed in range(2)]
    found = made("distribution", stored(tmp_path, rows), tmp_path / "out").section
    assert found.document["parts"] == [{"corpus": "one", "split": "predicted", "n": 9, "counts": {"up": 6, "down": 3}}]
    assert "each once" in found.notes[0]


def test_groups_are_scored_as_scikit_learn_does_and_small_ones_are_told_and_not_ranked(world, left_out, tmp_path):
    found = made("groups", left_out, tmp_path, least=3).section
    speakers = {s.id: s.speaker for name in world.corpora for s in manifest.load(world.data, name).segments()}
    answers = list(read_lines(left_out / "predictions.jsonl"))
    named = {each["name"]: each for each in found.document["groups"] if each["kind"] == "speaker"}
    assert named
    for name, each in named.items():
        corpus, speaker = name.split("/", 1)
        own = [r for r in answers if r["fold"].startswith(f"{corpus}/") and speakers[r["id"]] == speaker]
        assert each["segments"] == len({r["id"] for r in own})
        assert each["ranked"] == (each["segments"] >= 3 and len({r["clip"] for r in own}) > 1)
        expected = recall_score(
            [r["target"] for r in own], [r["label"] for r in own], average="macro",
            labels=sorted({r["target"] for r in own}),
        )  # fmt: skip
        assert each["uar"] == pytest.approx(expected)
    high = made("groups", left_out, tmp_path, least=1000).section
    assert not any(each["ranked"] for each in high.document["groups"])
    assert any(note.startswith("corpus: 2 of 2 groups") for note in high.notes)
    assert not high.pictures


def test_groups_are_ranked_by_uar_with_intervals_that_hold_it(left_out, tmp_path):
    found = made("groups", left_out, tmp_path, least=1).section
    ranked = [each for each in found.document["groups"] if each["kind"] == "corpus"]
    assert [each["uar"] for each in ranked] == sorted((each["uar"] for each in ranked), reverse=True)
    for each in ranked:
        assert each["uar_interval"][0] <= each["uar"] <= each["uar_interval"][1]


def test_the_most_confident_mistakes_come_first_with_clips_that_are_there(left_out, tmp_path):
    found = made("errors", left_out, tmp_path, most=5).section.document
    rows = list(read_lines(left_out / "predictions.jsonl"))
    sums = Counter()
    for r in rows:
        if r["label"] != r["target"]:
            sums[r["id"], r["label"]] += r["scores"][r["label"]] / 2
    expected = sorted((round(value, 6) for value in sums.values()), reverse=True)[:5]
    assert [each["confidence"] for each in found["mistakes"]] == pytest.approx(expected)
    assert all(Path(each["clip"]).is_file() for each in found["mistakes"])
    assert all(each["text"] for each in found["mistakes"])
    assert sum(pair["answers"] for pair in found["pairs"]) == found["wrong"]
    assert found["wrong"] == sum(r["label"] != r["target"] for r in rows)


def test_a_run_without_mistakes_says_so(mer, tmp_path):
    answer = mer("report", "errors", stored(tmp_path, [row(n, "up", "up") for n in range(4)]))
    assert (answer.code, "makes no mistake in 4 answers" in answer.err) == (4, True)
    assert "mer report confusion" in answer.err
    both = {"kind": "many-of", "target": {"up": 1.0, "down": 0.0}, "scores": {"up": 0.9, "down": 0.1}}
    answer = mer("report", "errors", stored(tmp_path / "many", [row(n, "up", "up") | both for n in range(4)]))
    assert (answer.code, "makes no mistake in 8 answers" in answer.err) == (4, True)
    assert "mer report classes" in answer.err


def test_cost_is_what_the_run_noted_and_stands_in_nothing_that_is_compared(left_out, tmp_path):
    found = made("cost", left_out, tmp_path).section.document
    assert [stage["stage"] for stage in found["stages"]] == ["load", "fit", "compare and store"]
    assert found["stages"] == noted(left_out)["stages"]
    assert found["total"]["wall_seconds"] == pytest.approx(sum(s["wall_seconds"] for s in found["stages"]))
    assert found["fits"]["epochs"] == len(list(read_lines(left_out / "metrics.jsonl")))
    assert all(stage["cpu_seconds"] > 0 for stage in found["stages"][:2])
    for name in ("scores.json", "predictions.jsonl", "metrics.jsonl"):
        assert "wall_seconds" not in (left_out / name).read_text()


def test_the_memory_of_workers_stands_beside_that_of_the_main_process(tmp_path):
    run = stored(tmp_path, [row(0, "up", "up")])
    stage = {"wall_seconds": 2.0, "cpu_seconds": 3.0, "peak_bytes": 100 << 20}
    stages = [{"stage": "load", **stage}, {"stage": "fit", **stage, "worker_peak_bytes": [200 << 20, 300 << 20]}]
    (run / "run.json").write_text(json.dumps({"stages": stages}))
    (table,) = made("cost", run, tmp_path).section.tables
    assert table.columns[-3:] == ("peak MiB", "workers", "largest worker MiB")
    assert [cells[-3:] for cells in table.rows] == [(100, None, None), (100, 2, 300), (100, 2, 300)]


def test_points_are_the_two_directions_of_largest_variance(gated, tmp_path):
    made("projection", gated, tmp_path, colour="corpus")
    lines = csv.DictReader((tmp_path / "projection-bundle.csv").open())
    points = {line["id"]: (float(line["x"]), float(line["y"])) for line in lines if line["of"] == "face, before fusion"}
    (tested,) = (each for each in reopening.answering(gated) if each.group == "one")
    data, stats = tested.data, tested.fitted.stats
    parts = [*tested.parts, *tested.others]
    ids, vectors = [], []
    for segment, held in zip(data.segments(parts), data.examples(parts).bundles, strict=True):
        if (feature := held.features["face"]) is not None:
            ids.append(segment.id)
            rows = (feature.values[feature.valid] - stats.mean["face"]) / stats.std["face"]
            vectors.append(rows.mean(0))
    centred = np.stack(vectors).astype(float) - np.mean(vectors, 0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = np.abs(centred @ directions[:2].T)
    np.testing.assert_allclose(np.abs([points[i] for i in ids]), expected, atol=1e-3)


def test_a_sample_is_told_with_its_number(left_out, tmp_path):
    found = made("projection", left_out, tmp_path, most=6).section
    assert {each["segments"] for each in found.document["bundles"]} == {6}
    assert all(f"6 of {each['of']} segments" in " ".join(found.notes) for each in found.document["bundles"])


def test_the_last_vectors_are_what_the_classifier_turns_into_logits(gated, left_out):
    tested = next(reopening.answering(gated))
    batch = source(tested.data.examples(tested.parts), tested.fitted.stats, tested.data.dims).resident
    name, vectors = last_vectors(tested.fitted.head, batch)
    assert name == "penultimate layer"
    tested.fitted.head.eval()
    with torch.inference_mode():
        torch.testing.assert_close(tested.fitted.head.classifier(vectors), tested.fitted.head(batch).logits)
    late = next(reopening.answering(left_out))
    batch = source(late.data.examples(late.parts), late.fitted.stats, late.data.dims).resident
    assert last_vectors(late.fitted.head, batch)[0] == "logits"


@pytest.mark.slow
def test_umap_lays_points_out_the_same_twice(gated, tmp_path, monkeypatch):
    monkeypatch.setattr("numba.config.DISABLE_JIT", True)  # to compile takes 35 s, to lay 20 points out one
    pytest.importorskip("umap", reason="the extra umap is not installed")
    for name in "ab":
        made("projection", gated, tmp_path / name, method="umap", colour="speaker", most=20)
    one, other = ((tmp_path / name / "projection-bundle.csv").read_bytes() for name in "ab")
    assert one == other


def test_gates_are_means_of_each_class_over_what_the_head_says(gated):
    found = gates(gated).document["weights"]
    (own,) = (each for each in found if (each["group"], each["extra"]) == ("two", "gates"))
    tested = next(each for each in reopening.answering(gated) if each.group == "two")
    examples = tested.data.examples(tested.parts)
    batch = source(examples, tested.fitted.stats, tested.data.dims).resident
    tested.fitted.head.eval()
    with torch.inference_mode():
        values = tested.fitted.head(batch).extras["gates"].double().numpy()
    assert list(own["tables"]) == ["audio (1) over face (0)", "face (1) over text (0)", "text (1) over audio (0)"]
    for each in own["rows"]:
        kept = examples.targets == tested.data.scheme.names.index(each["name"])
        np.testing.assert_allclose(each["mean"], values[kept].mean(0), atol=1e-5)
    one = tested.data.segments(tested.parts)[0].id
    (alone,) = (each for each in gates(gated, segment=one).document["weights"] if each["extra"] == "gates")
    assert alone["rows"][0]["name"] == one
    np.testing.assert_allclose(alone["rows"][0]["mean"], values[0], atol=1e-5)


def test_a_head_without_weights_and_a_segment_that_was_not_tested_are_told(gated, monkeypatch):
    with pytest.raises(DataError, match="no segment 'one/nobody/0'"):
        gates(gated, segment="one/nobody/0")
    net = type(next(reopening.answering(gated)).bundle.head)
    forward = net.forward

    def silent(self, batch):
        output = forward(self, batch)
        return type(output)(output.logits, {})

    monkeypatch.setattr(net, "forward", silent)
    with pytest.raises(DataError, match="the head 'gated' tells no gates"):
        gates(gated)


def test_attention_of_unequal_lengths_is_averaged_in_relative_time():
    ramp = [np.linspace(0, 1, count)[None] for count in (3, 9)]
    (mean,) = weighed.averaged({"a": ramp}).values()
    np.testing.assert_allclose(mean, np.linspace(0, 1, weighed.STEPS)[None])
    maps = weighed.averaged({"a": [np.ones((2, 3, 4))], "b": [np.zeros((2, 3, 4))]})
    assert {name: (each.shape, each.mean()) for name, each in maps.items()} == {"a": ((3, 4), 1), "b": ((3, 4), 0)}


def test_a_run_whose_corpora_have_gone_names_one_and_what_to_say(mer, left_out, tmp_path):
    for kind in ("modalities", "projection", "gates"):
        answer = mer("report", kind, left_out, "--data", tmp_path)
        assert answer.code == 4
        assert "corpus 'one'" in answer.err
        assert "--data DIR" in answer.err
