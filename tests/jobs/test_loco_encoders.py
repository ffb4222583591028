"""The encoder x left-out table: each row as its own run would have it, compared, marked, and poisoned in vain."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mercli import config
from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.jobs import loco
from mercli.jobs.extract import extract
from mercli.jobs.fits import dataset, fitting, systems
from mercli.jobs.report import report
from mercli.jobs.reports import reopening
from mercli.rundir import read_lines

SETS = ("epochs=3", "lr=0.01")
SMALL = """# Few buckets.
recipe:
  encoders:
    text: {name: hashed-ngrams, options: {buckets: 64}}
modalities: [text]
"""


@pytest.fixture(scope="module")
def world(world, tmp_path_factory):
    """The shared corpora in a folder of their own, for features are added to them."""
    data = tmp_path_factory.mktemp("own") / "data"
    shutil.copytree(world.data, data)
    return replace(world, data=data)


@pytest.fixture(scope="module")
def small(world, tmp_path_factory):
    """Return a preset of the user's own, whose features are in the store."""
    path = tmp_path_factory.mktemp("presets") / "small.yaml"
    path.write_text(SMALL)
    flags = {"corpora": list(world.corpora), "data": str(world.data)}
    extract(config.resolve(config.ExtractConfig, flags, preset=str(path)))
    return path


def told(world, runs, *rows, preset="weightless", sets=SETS, **more):
    flags = {"corpora": list(world.corpora), "data": str(world.data), "runs": str(runs), "seeds": 2}
    return config.resolve(config.LocoConfig, flags | systems.flags(map(str, rows)) | more, preset=preset, sets=sets)


@pytest.fixture(scope="module")
def table(world, small, tmp_path_factory):
    return loco.loco(told(world, tmp_path_factory.mktemp("rows"), "weightless", small, matrix=True))


def test_a_row_scores_what_a_run_with_its_recipe_alone_scores(world, table, tmp_path):
    alone = loco.loco(told(world, tmp_path))
    own = [row for row in table.rows if row["encoder"] == "weightless"]
    assert [row["head"] for row in own] == ["late@weightless"] * 2
    same = ("corpus", "split", "modalities", "held_out", "others_test")
    assert [{key: row[key] for key in same} for row in own] == [{key: row[key] for key in same} for row in alone.rows]
    assert [row["modalities"] for row in table.rows if row["encoder"] == "small"] == [["text"]] * 2
    found = table.run / "bundle/late@weightless-without-one/head.safetensors"
    assert found.read_bytes() == (alone.run / "bundle/without-one/head.safetensors").read_bytes()


def test_encoders_are_compared_with_the_first_on_the_same_segments(world, table):
    assert [(row["one"], row["other"], row["corpus"]) for row in table.comparisons] == [
        ("late@weightless", "late@small", corpus) for corpus in world.corpora
    ]
    scores = {(row["head"], row["corpus"]): row["held_out"]["uar"] for row in table.rows}
    for row in table.comparisons:
        assert row["difference"] == pytest.approx(
            scores[row["one"], row["corpus"]] - scores[row["other"], row["corpus"]]
        )
    folds = {row["fold"].split("/")[2] for row in read_lines(table.run / "predictions.jsonl")}
    assert folds == {"late@weightless", "late@small"}
    assert set(table.identifiability) == {"audio@weightless", "face@weightless", "text@weightless", "text@small"}


@pytest.mark.parametrize(
    ("heads", "rows", "expected"),
    [
        (["a", "b", "c"], [""], [("a", "b"), ("a", "c")]),
        (["a"], ["@x", "@y", "@z"], [("a@x", "a@y"), ("a@x", "a@z")]),
        (["a", "b"], ["@x", "@y"], [("a@x", "b@x"), ("a@y", "b@y"), ("a@x", "a@y"), ("b@x", "b@y")]),
    ],
)
def test_only_systems_that_differ_in_one_thing_are_compared(heads, rows, expected):
    assert systems.pairs([head + row for row in rows for head in heads]) == expected


@pytest.mark.parametrize("what", ["labels", "features"])
def test_what_is_poisoned_in_the_held_out_corpus_changes_no_weight_of_any_row_or_matrix(
    world, small, table, tmp_path, monkeypatch, what
):
    load, fit, alone = dataset.load, fitting.fit, {}

    def poisoned(given):
        data = load(given)
        held = data.corpora["two"]
        if what == "labels":
            held.targets[:] = [(target + 1) % 7 for target in held.targets]
        else:
            held.bundles[:] = [
                replace(b, features={m: f and replace(f, values=f.values + 100) for m, f in b.features.items()})
                for b in held.bundles
            ]
        return data

    def watched(given, data, learn, *rest):
        made = fit(given, data, learn, *rest)
        if learn == [("one", "train")]:
            alone.setdefault(tuple(data.dims), []).append(made.head.state_dict())
        return made

    monkeypatch.setattr(dataset, "load", poisoned)
    monkeypatch.setattr(fitting, "fit", watched)
    again = loco.loco(told(world, tmp_path, "weightless", small, matrix=True))
    for row in ("weightless", "small"):
        name = f"bundle/late@{row}-without-two/head.safetensors"
        assert (again.run / name).read_bytes() == (table.run / name).read_bytes()
    # the fold without two and the model of one alone: both seeds of both have learned the same, poison or not
    for states in alone.values():
        assert len(states) == 4
        for fold, own in zip(states[:2], states[2:], strict=True):
            torch.testing.assert_close(fold, own, rtol=0, atol=0)
    cells = [[c for c in made.matrix if c["trained_on"] == c["tested_on"] == "one"] for made in (table, again)]
    assert cells[0] == cells[1]
    assert [row["held_out"] for row in again.rows] != [row["held_out"] for row in table.rows]


def test_what_an_encoder_has_seen_is_marked_and_in_no_mean(world, small, tmp_path, monkeypatch):
    load = dataset.load

    def seen(given):
        data = load(given)
        uses = {"text": (TrainedOn("made:one", "test"),)} if tuple(data.dims) == ("text",) else {}
        return replace(data, trained_on=uses)

    monkeypatch.setattr(dataset, "load", seen)
    made = loco.loco(told(world, tmp_path, "weightless", small, seeds=1))
    uar = {(row["head"], row["corpus"]): row["held_out"]["uar"] for row in made.rows}
    assert made.means["late@small"] == uar["late@small", "two"]
    (found,) = made.encoders
    first, second = found["rows"]
    assert found["common"] == ["two"]
    assert (first["common_mean"], second["common_mean"]) == (uar["late@weightless", "two"], uar["late@small", "two"])
    assert second["cells"]["one"]["seen_by"] == ["text"]
    assert found["average"]["one"] == uar["late@weightless", "one"]
    home = next(r["others_test"] for r in made.rows if (r["head"], r["corpus"]) == ("late@small", "two"))
    assert (home["seen_by"], home["corpora"], second["others_test"]) == ({"one": ["text"]}, ["one"], None)
    assert [row["seen_by"] for row in made.comparisons] == [["text"], []]


def test_the_table_is_shown_in_a_pipe_and_in_the_report(mer, world, small, table, tmp_path):
    words = ("loco", "--corpora", *world.corpora, "--data", world.data, "--runs", tmp_path, "--set", "epochs=1")
    answer = mer(*words, "--encoders", "weightless", small, "--preset", "weightless")
    assert answer.code == 0, answer.err
    head = next(n for n, line in enumerate(answer.out.splitlines()) if line.startswith("table\tencoders\t"))
    lines = answer.out.splitlines()[head : head + 4]
    assert lines[0] == "table\tencoders\tone\ttwo\tmean\tcommon\tothers' test UAR"
    assert [line.split("\t")[:2] for line in lines[1:]] == [
        ["loco-encoders-late", row] for row in ("weightless", "small", "average")
    ]
    made = report("loco", table.run.parent, [str(table.run)], tmp_path / "out")
    assert {"loco-encoders-late.png", "loco-encoders-late.svg", "loco-encoders-late.csv"} <= {
        p.name for p in made.files
    }
    assert made.section.document["encoders"] == json.loads((table.run / "scores.json").read_text())["encoders"]


def test_the_bundles_of_each_row_are_asked_again_with_the_features_of_their_row(table):
    found = list(reopening.answering(table.run))
    assert [(each.group, each.parts) for each in found] == [
        ("one/late@weightless", [("one", "test")]), ("two/late@weightless", [("two", "test")]),
        ("one/late@small", [("one", "test")]), ("two/late@small", [("two", "test")]),
    ]  # fmt: skip
    assert [set(each.data.dims) for each in found] == [{"audio", "face", "text"}] * 2 + [{"text"}] * 2
    for each, row in zip(found, table.rows, strict=True):
        answers = each.fitted.log_probabilities(each.data, each.parts)
        guessed = [each.data.scheme.names[k] for k in answers.argmax(1)]
        stored = (r for r in read_lines(table.run / "predictions.jsonl") if r["fold"].endswith(row["head"]))
        seeds = {0: [], 1: []}
        for line in stored:
            if line["fold"].startswith(row["corpus"]):
                seeds[int(line["fold"].split("/")[1][-1])].append(line["label"])
        assert guessed in seeds.values()


def test_a_row_without_features_is_told_with_its_name_and_the_line_that_makes_them(mer, world, tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(SMALL.replace("64", "32"))
    words = ("loco", "--corpora", *world.corpora, "--data", world.data, "--runs", tmp_path / "runs")
    answer = mer(*words, "--preset", "weightless", "--encoders", "weightless", path)
    assert answer.code == 4
    assert "encoders 'other': no segment of 'one' has features made by this recipe" in answer.err
    assert (
        "try: mer extract --corpora one --modalities text --set recipe.encoders.text.name=hashed-ngrams" in answer.err
    )
    assert "buckets=32" in answer.err
    assert not (tmp_path / "runs").exists()


def test_rows_are_presets_or_folders_that_finetune_left_or_both(tmp_path):
    folder = tmp_path / "20260101-000000-mine" / "encoder"
    folder.mkdir(parents=True)
    card = {"modality": "audio", "encoder": {"name": "hf-audio", "option": "model"}}
    (folder / "card.json").write_text(json.dumps(card))
    run = str(folder.parent)
    made = told_alone(tmp_path, "weightless", run, f"weightless+{run}")
    assert list(made) == [
        f"late@{row}" for row in ("weightless", folder.parent.name, f"weightless+{folder.parent.name}")
    ]
    plain, tuned, both = (own.recipe.encoders for own in made.values())
    assert (plain["audio"].name, plain["text"].name) == ("logmel-stats", "hashed-ngrams")
    assert tuned["audio"].options == both["audio"].options == {"model": str(folder)}
    assert (tuned["text"].name, both["text"].name) == ("embedded-text", "hashed-ngrams")


def told_alone(folder: Path, *rows: str):
    flags = {"corpora": ["one", "two"], "data": str(folder)}
    return systems.systems(config.resolve(config.LocoConfig, flags | systems.flags(rows)))


@pytest.mark.parametrize(
    ("rows", "fault", "said"),
    [
        (
            ["weightles"],
            ConfigError,
            "neither an extract preset nor a folder that mer finetune left; did you mean 'weight",
        ),
        (["weightless", "weightless"], ConfigError, "a second row of encoders called 'weightless'"),
        (["weightless+embedded"], ConfigError, "'embedded' is a second preset in 'weightless+embedded'"),
        (["."], DataError, "holds no tuned encoder"),
    ],
)
def test_what_is_no_row_of_encoders_is_refused(rows, fault, said):
    with pytest.raises(fault) as refused:
        systems.flags(rows)
    assert said in refused.value.message


def test_a_row_of_other_modalities_than_asked_for_is_refused(small):
    flags = {"corpora": ["one", "two"], "modalities": ["audio"], **systems.flags([str(small)])}
    with pytest.raises(ConfigError, match="encoders 'small' are of text, and audio is asked for"):
        systems.systems(config.resolve(config.LocoConfig, flags))
