"""Labels that many may hold and values, from prepared corpora to predictions, reports and the page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mercli import config
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.jobs import loco, page, predict, report, reports, train
from mercli.jobs.clips.items import of_paths
from mercli.jobs.extract import extract
from mercli.jobs.fits import kinds, planning
from mercli.jobs.prepare import prepare
from mercli.jobs.reports import stored, transferred
from mercli.rundir import read_lines
from mercli.types import LabelScheme

MADE = {"one": ("mosei", 0), "two": ("mosei", 1), "dyads": ("iemocap", 0)}
SCHEMES = {"mosei-6": "many-of", "sentiment": "values"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    for name, (like, seed) in MADE.items():
        flags = {"corpus.name": "made", "root": str(folder / "raw" / name), "name": name, "data": str(folder / "data")}
        prepare(
            config.resolve(
                config.PrepareConfig, flags, sets=[f"like={like}", f"corpus.options.seed={seed}", "clips=35"]
            )
        )
    extract(
        config.resolve(config.ExtractConfig, {"corpora": list(MADE), "data": str(folder / "data")}, preset="weightless")
    )
    return folder


def settings(model, folder, corpora, *sets, **flags):
    flags = {"corpora": corpora, "data": str(folder / "data"), "runs": str(folder / "runs"), **flags}
    return config.resolve(model, flags, preset="weightless", sets=["lr=0.01", "epochs=6", *sets])


@pytest.fixture(scope="module")
def left_out(corpora):
    return {
        scheme: loco.loco(settings(config.LocoConfig, corpora, ["one", "two"], "matrix=true", scheme=scheme, seeds=2))
        for scheme in SCHEMES
    }


@pytest.fixture(scope="module")
def dyads(corpora):
    return train.train(settings(config.TrainConfig, corpora, ["dyads"], scheme="vad"))


def rows_of(run):
    return list(read_lines(run / "predictions.jsonl"))


def test_labels_are_answered_by_independent_probabilities_and_joined_names(left_out):
    rows = rows_of(left_out["mosei-6"].run)
    assert {row["kind"] for row in rows} == {"many-of"}
    for row in rows:
        there = [name for name, p in row["scores"].items() if p >= 0.5]
        assert row["label"] == ("+".join(there) or "none")
        assert set(row["target"].values()) <= {0.0, 1.0}
    assert any("+" in row["label"] for row in rows)
    assert any(sum(row["target"].values()) > 1 for row in rows)
    assert not all(sum(row["scores"].values()) == pytest.approx(1) for row in rows)


def test_values_are_answered_on_their_scale_and_have_no_label(left_out, dyads):
    for rows, low, high in ((rows_of(left_out["sentiment"].run), -3, 3), (rows_of(dyads.run), 1, 5)):
        assert all(row["label"] is None and row["kind"] == "values" for row in rows)
        values = [value for row in rows for value in row["scores"].values()]
        assert low <= min(values) < max(values) <= high


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_the_features_tell_travels_to_the_corpus_that_was_left_out(left_out, scheme):
    main, chance = {"mosei-6": ("weighted_accuracy", 0.5), "sentiment": ("ccc", 0.0)}[scheme]
    for row in left_out[scheme].rows:
        score = row["held_out"]
        assert score["kind"] == SCHEMES[scheme]
        assert score[main] > chance + 0.15
        assert len(score[f"{main}_seeds"]) == 2
        assert "top2" not in score
        assert score[f"{main}_interval"][0] < score[f"{main}_interval"][1]
    assert left_out[scheme].means["late"] == pytest.approx(
        np.mean([r["held_out"][main] for r in left_out[scheme].rows])
    )
    assert left_out[scheme].comparisons == []
    assert len(left_out[scheme].matrix) == 4


def test_the_epoch_is_that_of_the_best_main_figure_on_dev(dyads):
    epochs = list(read_lines(dyads.run / "metrics.jsonl"))
    assert "dev_uar" not in epochs[0]
    kept = [epoch for epoch in epochs if epoch["best"]][-1]
    assert kept["dev_ccc"] == max(epoch["dev_ccc"] for epoch in epochs)


def test_training_twice_gives_the_same_answers_and_weights(corpora, dyads):
    again = train.train(settings(config.TrainConfig, corpora, ["dyads"], scheme="vad"))
    first, second = ([{**row, "run": ""} for row in rows_of(each.run)] for each in (dyads, again))
    assert first == second
    name = "bundle/head.safetensors"
    assert (dyads.run / name).read_bytes() == (again.run / name).read_bytes()


def test_each_label_is_calibrated_by_itself_and_nothing_has_a_prior(left_out):
    card = bundles.load(left_out["mosei-6"].run / "bundle/without-one").card
    assert len(card.temperatures) == len(set(card.temperatures)) == 6
    assert card.priors == {}
    assert card.held_prior == ()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_clip_is_predicted_in_the_bundles_scheme(corpora, left_out, scheme):
    clip = str(next((corpora / "raw/one/Raw/Videos").rglob("*.mp4")))
    told = {"model": [str(left_out[scheme].run / "bundle/without-two")], "text": "what a wonderful day", "alone": True}
    settings_ = config.resolve(config.PredictConfig, told)
    (answer,) = [p for each in predict.predict(settings_, of_paths([clip])) for p in each]
    assert answer.error is None
    assert answer.kind == SCHEMES[scheme]
    assert set(answer.alone) == {"audio", "face", "text"}
    assert (answer.label is None) == (scheme == "sentiment")


@pytest.mark.parametrize(
    ("scheme", "flags"),
    [
        ("mosei-6", {"prior": "train"}),
        ("mosei-6", {"abstain": 0.5}),
        ("sentiment", {"prior": "train"}),
        ("sentiment", {"explain": True}),
    ],
)
def test_options_that_ask_of_classes_are_refused_in_predict(left_out, scheme, flags):
    told = {"model": [str(left_out[scheme].run / "bundle/without-two")], **flags}
    with pytest.raises(ConfigError, match=f"answers in a {SCHEMES[scheme]} "):
        predict.Predictor(config.resolve(config.PredictConfig, told))


def test_a_format_of_single_classes_is_refused(mer, left_out):
    answer = mer("predict", "x.mp4", "--model", left_out["sentiment"].run / "bundle/without-two", "--format", "srt")
    assert (answer.code, answer.out) == (3, "")
    assert "--format srt shows one class at a time" in answer.err


@pytest.mark.parametrize(
    "told",
    [
        {"mixup": 0.2},
        {"curriculum.pilot": 2},
        {"sampler": "balanced"},
        {"sampler": "oversample"},
        {"loss.name": "focal"},
        {"loss.smoothing": 0.1},
        {"loss.class_weights": "effective"},
        {"classes": ["happy", "sad"]},
        {"monitor": "uar"},
        {"head.name": "foalnet", "modalities": ["audio", "face"]},
    ],
    ids=lambda told: next(iter(told)),
)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_needs_classes_is_refused_before_a_run_is_made(corpora, told, scheme):
    before = set((corpora / "runs").iterdir()) if (corpora / "runs").is_dir() else set()
    with pytest.raises(ConfigError) as refusal:
        train.train(settings(config.TrainConfig, corpora, ["one"], scheme=scheme, **told))
    assert SCHEMES[scheme] in refusal.value.message
    assert refusal.value.hint
    assert set((corpora / "runs").iterdir()) == before


def test_a_scheme_that_a_corpus_lacks_is_told_with_those_it_has(corpora):
    with pytest.raises(ConfigError, match="'dyads' has no labels of a scheme 'sentimnt'") as refusal:
        train.train(settings(config.TrainConfig, corpora, ["dyads"], scheme="sentimnt"))
    assert refusal.value.message.endswith("expected canonical-7 or iemocap or vad")
    with pytest.raises(ConfigError) as refusal:
        train.train(settings(config.TrainConfig, corpora, ["one"], scheme="sentimnt"))
    assert refusal.value.hint == "--scheme sentiment"


@pytest.mark.parametrize("kind", [kind for kind in reports.KINDS if kind != "compare"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_kind_of_report_serves_a_scheme_or_says_why_not(corpora, left_out, scheme, kind):
    run, own = left_out[scheme].run, SCHEMES[scheme]
    if own in reports.KINDS[kind]:
        made = report.report(kind, corpora / "runs", [run.name])
        assert made.section.tables
        assert all(picture.alt for picture in made.section.pictures)
        assert json.loads((run / "report" / f"{kind}.json").read_text())["run"] == run.name
    else:
        with pytest.raises(DataError, match=f"answers in a {own} scheme"):
            report.report(kind, corpora / "runs", [run.name])


def test_a_report_marks_the_others_that_were_seen_as_the_terminal_does(mer, left_out, monkeypatch, tmp_path):
    made = left_out["sentiment"]
    first, second = made.rows
    rows = [
        {**first, "others_test": {**first["others_test"], "seen_by": {"two": ["text"]}}},
        {**second, "others_test": {**second["others_test"], "seen_by": {"three": ["text"]}}},
    ]
    section = transferred.section(made.run, {**vars(made), "rows": rows})
    marked, plain = (row[-1] for row in section.tables[0].rows)
    assert marked == f"{first['others_test']['ccc']:.3f}†"
    assert plain == second["others_test"]["ccc"]
    assert section.notes[0].startswith("† ")
    assert section.notes[1] == "late without two: others' test CCC leaves out three†"
    monkeypatch.setattr(loco, "loco", lambda *_: replace(made, rows=rows))
    answer = mer("loco", "--corpora", "one", "two", "--runs", tmp_path)
    assert marked in answer.out
    assert section.notes[1] in " ".join(answer.err.split())


def test_heads_that_are_not_compared_are_told(mer, corpora):
    flags = ("--data", corpora / "data", "--runs", corpora / "runs", "--preset", "weightless", "--set", "epochs=1")
    answer = mer("loco", "--corpora", "one", "two", "--scheme", "sentiment", "--heads", "late", "concat", *flags)
    assert answer.code == 0, answer.err
    assert "no heads are compared: the test is of classes, and this is a values scheme" in answer.err


@pytest.mark.parametrize(
    ("told", "said", "hint"),
    [
        ({"encoders": {"a": {"tuned": {}}, "b": {"tuned": {}}}}, "(a, b)", "mer loco, without --encoders"),
        ({"mixup": 0.2}, "mixup=0.2", "mer loco --set mixup=0.0"),
        ({"monitor": "uar"}, "monitor 'uar'", "mer loco --set monitor=ccc"),
    ],
)
def test_a_refusal_is_in_the_words_of_its_own_command(told, said, hint):
    scheme = LabelScheme("sentiment", "values", ("sentiment",), -3, 3)
    config_ = config.LocoConfig.model_validate({"corpora": ["one", "two"], **told})
    with pytest.raises(ConfigError) as refusal:
        kinds.check(config_, scheme)
    assert said in refusal.value.message
    assert refusal.value.hint == hint
    with pytest.raises(ConfigError) as refusal:
        planning.ready(config_, ["foalnet"], scheme)
    assert refusal.value.hint.startswith("mer loco --head ")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_has_what_serves_and_says_why_the_rest_is_absent(corpora, left_out, scheme):
    made = page.page(corpora / "runs", [left_out[scheme].run.name], corpora / f"{scheme}.html")
    (part,) = made.parts
    served = {kind for kind, kinds in reports.KINDS.items() if SCHEMES[scheme] in kinds}
    assert set(part["sections"]) == served - {"compare"}
    assert all("scheme" in why for why in part["left_out"].values())


def test_mistakes_on_labels_are_counted_label_by_label(corpora, left_out):
    run = left_out["mosei-6"].run
    found = report.report("errors", corpora / "runs", [run.name]).section.document
    rows = rows_of(run)
    wrong = [(row["scores"][n] >= 0.5) != (row["target"][n] > 0) for row in rows for n in row["scores"]]
    assert (found["wrong"], found["answers"]) == (sum(wrong), len(wrong))
    assert all(pair["target"].removeprefix("no ") == pair["answer"].removeprefix("no ") for pair in found["pairs"])


def test_stored_answers_are_the_targets_and_scores_that_were_written(left_out):
    found = stored.answers(left_out["sentiment"].run)
    rows = rows_of(left_out["sentiment"].run)
    np.testing.assert_array_equal(found.wanted[:, 0], [row["target"]["sentiment"] for row in rows])
    np.testing.assert_array_equal(found.scores[:, 0], [row["scores"]["sentiment"] for row in rows])


def test_the_command_shows_the_schemes_own_columns(mer, corpora):
    flags = ("--data", corpora / "data", "--runs", corpora / "runs", "--preset", "weightless", "--set", "epochs=2")
    answer = mer("train", "--corpora", "one", "--scheme", "sentiment", *flags)
    assert answer.code == 0
    assert answer.out.splitlines()[0] == "corpus\tsplit\tn\tCCC\t95 % interval\tseeds sd\tPearson\tMAE"
    assert "Acc-7" in answer.err
