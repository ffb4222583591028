"""Training refuses data that leak, and what a held-out corpus says never trains the model that is scored on it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mercli import config
from mercli.errors import DataError, PluginError
from mercli.fusion import bundle as bundles
from mercli.jobs import loco, train
from mercli.jobs.extract import extract
from mercli.jobs.fits import dataset, fitting, saving
from mercli.jobs.prepare import prepare
from mercli.labels import CANONICAL
from mercli.rundir import read_lines

SHARED = "nobody ever told me that the train was late"


def settings(model, tmp_path, *sets, corpora, **flags):
    common = {
        "corpora": corpora,
        "data": str(tmp_path / "data"),
        "runs": str(tmp_path / "runs"),
        "modalities": ["text"],
    }
    kept = {k: v for k, v in (common | flags).items() if k in model.model_fields}
    return config.resolve(model, kept, preset="weightless", sets=sets)


def texts(tmp_path, name, rows, **options):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "list.csv").write_text("text,label,split,speaker\n" + "".join(",".join(row) + "\n" for row in rows))
    flags = {"corpus.name": "csv", "root": str(folder), "name": name, "data": str(tmp_path / "data")}
    prepare(config.resolve(config.PrepareConfig, flags, sets=[f"{k}={v}" for k, v in options.items()]))
    extract(settings(config.ExtractConfig, tmp_path, corpora=[name]))


def rows(name, *, speaker="{split}", extra=()):
    lines = []
    for number in range(36):
        split = ("train", "dev", "test")[number % 3]
        label, word = (("joy", "glad"), ("sadness", "lost"), ("calm", "quiet"))[number // 12]
        lines.append((f"{name} {word} number {number}", label, split, f"{name}{speaker.format(split=split)}"))
    return [*lines, *extra]


@pytest.mark.parametrize("command", ["train", "loco"])
def test_a_corpus_whose_splits_leak_is_refused_unless_told_otherwise(mer, tmp_path, command):
    texts(tmp_path, "good", rows("good"))
    texts(tmp_path, "bad", rows("bad"))
    path = tmp_path / "data/bad/corpus.yaml"
    path.write_text(path.read_text().replace("separates: []", "separates: [speaker]"))
    segments = tmp_path / "data/bad/segments.jsonl"
    segments.write_text(segments.read_text().replace('"speaker": "badtest"', '"speaker": "badtrain"'))
    words = (command, "--corpora", "good", "bad", "--preset", "weightless", "--modalities", "text", "--set", "epochs=1")
    places = ("--data", tmp_path / "data", "--runs", tmp_path / "runs")
    answer = mer(*words, *places)
    assert answer.code == 4
    assert "'bad/train' and 'bad/test' share 1 of 1 speakers" in answer.err
    assert "mer audit" in answer.err
    extract(settings(config.ExtractConfig, tmp_path, corpora=["good", "bad"]))
    answer = mer(*words, *places, "--allow-leak")
    assert answer.code == 0, answer.err
    assert "trained all the same" in answer.err


def test_sentences_of_the_held_out_corpus_leave_the_training_side_and_are_counted(tmp_path):
    texts(
        tmp_path,
        "one",
        rows("one", extra=[(SHARED, "joy", "train", "onetrain"), ("too short", "joy", "dev", "onedev")]),
    )
    texts(
        tmp_path,
        "two",
        rows("two", extra=[(SHARED.upper(), "joy", "test", "twotest"), ("too short", "joy", "test", "twotest")]),
    )
    fit = settings(config.LocoConfig, tmp_path, "epochs=1", corpora=["one", "two"])
    data = dataset.load(fit)
    apart, counts = data.without_texts_of("two")
    assert counts == {"one": 1}
    assert SHARED not in [segment.text for segment in apart.corpora["one"].segments]
    assert (
        len(apart.corpora["one"].targets) == len(apart.corpora["one"].bundles) == len(data.corpora["one"].targets) - 1
    )
    assert apart.corpora["two"] is data.corpora["two"]
    done = loco.loco(fit)
    assert [row["same_texts_left_out"] for row in done.rows] == [{"two": 1}, {"one": 1}]
    one = apart.corpora["one"]
    learned = 0.5 + np.bincount([one.targets[row] for row in one.rows("train")], minlength=7)
    (bundle,) = (bundles.load(path.parent).card for path in done.run.glob("**/without-two/bundle.json"))
    assert bundle.priors["one"] == pytest.approx(learned / learned.sum())


def test_what_a_tested_corpus_says_never_trains_in_the_matrix_or_beside_it(tmp_path, monkeypatch):
    texts(tmp_path, "one", rows("one", extra=[(SHARED, "joy", split, f"one{split}") for split in ("train", "dev")]))
    texts(tmp_path, "two", rows("two", extra=[(SHARED.upper(), "joy", "test", "twotest")]))
    learnt, honest = [], fitting.fit

    def fit(config, data, learn, choose, *rest):
        learnt.append(({name for name, _ in learn}, {s.text for s in data.segments([*learn, *choose])}))
        return honest(config, data, learn, choose, *rest)

    monkeypatch.setattr(fitting, "fit", fit)
    train.train(settings(config.TrainConfig, tmp_path, "epochs=1", corpora=["one", "two"]))
    assert [SHARED in said for _, said in learnt] == [False]
    learnt.clear()
    done = loco.loco(settings(config.LocoConfig, tmp_path, "epochs=1", "matrix=true", corpora=["one", "two"]))
    assert [(cell["trained_on"], cell["tested_on"], cell["seen_by"]) for cell in done.matrix] == [
        ("one", "one", []), ("one", "two", []), ("two", "one", []), ("two", "two", []),
    ]  # fmt: skip
    # the fold without two, the model of one alone for itself, and that for two
    assert [SHARED in said for names, said in learnt if names == {"one"}] == [False, True, False]


def test_a_corpus_that_alone_teaches_nothing_has_no_row_in_the_matrix_and_spares_the_others(tmp_path, caplog):
    texts(tmp_path, "one", rows("one"))
    texts(tmp_path, "two", [row for row in rows("two") if row[2] != "dev"])
    done = loco.loco(settings(config.LocoConfig, tmp_path, "epochs=1", "matrix=true", corpora=["one", "two"]))
    assert [(cell["trained_on"], cell["tested_on"]) for cell in done.matrix] == [("one", "one"), ("one", "two")]
    assert "late/on-two is left out: corpus 'two' has no dev split" in caplog.text
    assert [row["corpus"] for row in done.rows] == ["two"]
    assert done.failures == [{"fit": "late/without-one", "error": "corpus 'two' has no dev split"}]


def test_speakers_of_two_corpora_with_one_number_are_two_clusters(tmp_path):
    for name in ("one", "two"):
        texts(tmp_path, name, [(*row[:3], row[2]) for row in rows(name)])
    data = dataset.load(settings(config.TrainConfig, tmp_path, corpora=["one", "two"]))
    parts = [("one", "test"), ("two", "test")]
    answers = np.zeros((len(data.segments(parts)), len(data.scheme.names)))
    assert fitting.score(data, parts, [answers])["clusters"] == 2


def test_a_device_or_head_that_is_not_there_leaves_no_run_behind(tmp_path):
    texts(tmp_path, "one", rows("one"))
    for flags in (
        {"device": "cuda:99"},
        {"head.name": "gatd"},
        {"head": {"name": "context", "options": {"over": "gatd"}}},
    ):
        common = {"corpora": ["one"], "data": str(tmp_path / "data"), "runs": str(tmp_path / "runs")}
        fit = config.resolve(config.TrainConfig, {**common, "modalities": ["text"], **flags}, preset="weightless")
        with pytest.raises(PluginError):
            train.train(fit)
    assert not list(tmp_path.glob("runs/*"))


def test_what_is_missing_is_told_with_a_hint_that_can_work(tmp_path):
    texts(tmp_path, "one", rows("one"))
    ask = 'recipe.encoders.text.options={"buckets": 64}'
    with pytest.raises(DataError, match="no segment of 'one' has features") as fault:
        dataset.load(settings(config.TrainConfig, tmp_path, ask, corpora=["one"]))
    assert "--set recipe.encoders.text.options.buckets=64" in str(fault.value.hint)
    extract(settings(config.ExtractConfig, tmp_path, corpora=["one"], modalities=["audio", "text"]))
    with pytest.raises(DataError, match="no segment of one has the modality 'audio'") as fault:
        train.train(settings(config.TrainConfig, tmp_path, corpora=["one"], modalities=["audio", "text"]))
    assert fault.value.hint == "--modalities text"


@pytest.mark.parametrize("name", ["avtca", "foalnet", "smil", "text-guided", "weightless"])
def test_a_train_preset_reads_what_the_extract_preset_of_its_name_makes(name):
    made = config.resolve(config.ExtractConfig, {"corpora": ["x"]}, preset=name)
    used = config.resolve(config.TrainConfig, {"corpora": ["x"]}, preset=name)
    assert (used.recipe, used.modalities) == (made.recipe, made.modalities)


def test_a_policy_may_keep_a_class_of_its_own(tmp_path):
    texts(tmp_path, "one", rows("one"), calm="own")
    fit = settings(config.TrainConfig, tmp_path, "epochs=2", corpora=["one"])
    data = dataset.load(fit)
    assert data.scheme.names == (*CANONICAL.names, "calm")
    assert data.scheme.name == "canonical-7+calm"
    assert data.policy == "canonical-7/1 calm=own"
    assert sorted(set(data.corpora["one"].targets)) == [1, 2, 7]
    done = train.train(fit)
    labels = {row["target"] for row in read_lines(done.run / "predictions.jsonl")}
    assert labels == {"happy", "sad", "calm"}
    assert json.loads((done.run / "bundle/bundle.json").read_text())["scheme"]["names"][-1] == "calm"


def test_corpora_of_two_policies_are_named_with_theirs(tmp_path):
    texts(tmp_path, "one", rows("one"), calm="own")
    texts(tmp_path, "two", rows("two"))
    data = dataset.load(settings(config.TrainConfig, tmp_path, corpora=["one", "two"]))
    assert data.policy == "canonical-7/1 calm=own (one); canonical-7/1 (two)"
    calm = data.scheme.names.index("calm")
    assert calm in data.corpora["one"].targets
    assert calm not in data.corpora["two"].targets


def test_only_the_classes_asked_for_are_learnt_and_the_rest_is_counted(mer, tmp_path):
    texts(
        tmp_path, "one", rows("one", extra=[("fury number", "anger", split, "x") for split in ("train", "dev", "test")])
    )
    words = (
        "train",
        "--corpora",
        "one",
        "--preset",
        "weightless",
        "--modalities",
        "text",
        "--set",
        "epochs=1",
        "--json",
    )
    places = ("--data", tmp_path / "data", "--runs", tmp_path / "runs")
    answer = mer(*words, *places, "--classes", "happy", "sad")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert set(made["scores"]["one"]["support"]) == {"happy", "sad"}
    assert made["coverage"]["one"]["dropped_labels"] == {"calm": 12, "anger": 3}
    four = json.loads(mer(*words, *places, "--classes", "4").out)
    assert list(four["scores"]["one"]["support"]) == ["neutral", "happy", "sad", "angry"]
    six = mer(*words, *places, "--classes", "6")
    assert six.code == 3
    assert "--set excited=own --set frustrated=own" in six.err


def test_answers_are_under_a_uniform_prior_whether_or_not_training_was_balanced(tmp_path):
    texts(tmp_path, "one", rows("one", extra=[("plain words", "calm", "train", "onetrain")] * 20), calm="own")
    part = [("one", "test")]
    for told in ("true", "false"):
        changes = ("epochs=4", "lr=0.01", f"loss.adjust_prior={told}")
        fit = settings(config.TrainConfig, tmp_path, *changes, corpora=["one"])
        data = dataset.load(fit)
        fitted = fitting.fit(fit, data, [("one", "train")], [("one", "dev")], 0)
        answers = np.exp(fitted.log_probabilities(data, part))
        if told == "false":
            calm = data.scheme.names.index("calm")
            assert fitted.held_prior[calm] > 0.5
            held = np.exp(replace(fitted, held_prior=()).log_probabilities(data, part)) / np.asarray(fitted.held_prior)
            np.testing.assert_allclose(answers, held / held.sum(1, keepdims=True), rtol=1e-9)
        assert bool(fitted.held_prior) == (told == "false")
        saving.save(tmp_path / told, fit, data, fitted, [("one", "train")], {})
        again = bundles.load(tmp_path / told).log_probabilities(data.examples(part).bundles)
        np.testing.assert_allclose(np.exp(again), answers, atol=1e-5)
