"""A tuned encoder's card tells what an audit of its corpora found, and marks the figures that rest on a leak."""

from __future__ import annotations

import json

import pytest

from mercli.corpora.audit import Finding
from mercli.jobs.audit import Audit
from mercli.jobs.tuned import leaks


def finding(kind, what, left, right):
    return Finding(kind, what, left, right, 2, 5, ("an example",))


def card(*names):
    return {"classes": [], "figures": {f"{name} test": {"uar": 0.5} for name in names}}


@pytest.mark.parametrize(
    ("left", "right", "touched"),
    [
        ("a/train", "a/test", ["a test"]),
        ("a/dev", "a/test", ["a test"]),
        ("a/train", "a/dev", []),
        ("a", "b", ["a test", "b test"]),
    ],
)
def test_a_figure_rests_on_the_leaks_of_its_own_test_split(left, right, touched):
    made = leaks.marked(card("a", "b", "c"), Audit([finding("leak", "media", left, right)], {}))
    assert [place for place, row in made["figures"].items() if row["leaks"]] == touched
    assert made["audit"]["leaks"] == [{"what": "media", "left": left, "right": right, "count": 2, "of": 5}]
    assert leaks.sentences(made["audit"]) == [f"Trained in spite of leaks: '{left}' and '{right}' share 2 of 5 media."]


def test_what_is_known_is_no_leak_and_what_was_not_compared_is_told():
    known = finding("known", "text", "a/train", "a/test")
    audit = Audit([known], {"a": ("fixed sentences",), "b": ()}, ("a",), {"a": ("speaker",), "b": ()})
    made = leaks.marked(card("a"), audit)
    assert made["figures"]["a test"]["leaks"] == []
    assert made["audit"] == {
        "leaks": [],
        "known": [{"what": "text", "left": "a/train", "right": "a/test", "count": 2, "of": 5}],
        "notes": {"a": ["fixed sentences"]},
        "not_compared": {"a": ["speaker", "media"]},
    }
    assert leaks.sentences(made["audit"]) == [
        "No leak was found between splits, or between corpora.",
        "Not compared: a (speaker, media).",
    ]


@pytest.fixture
def leaking(made, tmp_path):
    """A copy of the made corpus whose test segments are of a training dialogue."""
    held = tmp_path / "data" / "meld"
    held.mkdir(parents=True)
    for name in ("corpus.yaml", "clips.jsonl"):
        (held / name).write_bytes((made / "data" / "meld" / name).read_bytes())
    rows = [json.loads(line) for line in (made / "data" / "meld" / "segments.jsonl").read_text().splitlines()]
    dialogue = next(row["dialogue"] for row in rows if row["split"] == "train")
    changed = [{**row, "dialogue": dialogue} if row["split"] == "test" else row for row in rows]
    (held / "segments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    return held.parent


def tuned(mer, made, data, runs, *more):
    words = ("finetune", "text", "--corpora", "meld", "--encoder", made / "bert", "--set", "epochs=1")
    answer = mer(*words, "--device", "cpu", "--data", data, "--runs", runs, *more)
    assert answer.code == 0, answer.err
    (folder,) = runs.glob("*/encoder")
    return answer, json.loads((folder / "card.json").read_text()), (folder / "README.md").read_text()


@pytest.mark.slow
def test_a_leak_that_was_allowed_stands_in_the_card_the_readme_and_the_table(mer, made, leaking, tmp_path):
    answer, card, readme = tuned(mer, made, leaking, tmp_path / "runs", "--allow-leak")
    assert [(leak["what"], leak["left"], leak["right"]) for leak in card["audit"]["leaks"]] == [
        ("dialogue", "meld/train", "meld/test")
    ]
    assert card["figures"]["meld test"]["leaks"] == ["dialogue"]
    assert "meld test\u2021\tuar" in answer.out
    for said in (answer.err, readme):
        assert "\u2021 rests on a leak: this figure is not speaker- or clip-independent." in said
    assert "Trained in spite of leaks: 'meld/train' and 'meld/test' share 1 of 1 dialogues." in readme


@pytest.mark.slow
def test_a_clean_run_says_so_and_tells_what_few_clusters_are_worth(mer, made, tmp_path):
    answer, card, readme = tuned(mer, made, made / "data", tmp_path / "runs")
    assert card["audit"]["leaks"] == []
    assert "media" in card["audit"]["not_compared"]["meld"]
    assert "No leak was found" in readme
    assert "\u2021" not in readme + answer.out + answer.err
    assert 1 < card["figures"]["meld test"]["clusters"] < 5
    for said in (answer.err, readme):
        assert "too few to rely on" in said


@pytest.mark.slow
def test_a_result_without_a_test_split_says_so_in_the_place_of_a_table(mer, made, leaking, tmp_path):
    segments = leaking / "meld" / "segments.jsonl"
    lines = [line for line in segments.read_text().splitlines() if json.loads(line)["split"] != "test"]
    segments.write_text("\n".join(lines) + "\n")
    answer, card, readme = tuned(mer, made, leaking, tmp_path / "runs")
    assert card["figures"] == {}
    assert "no segment of a test split could be scored" in readme
    assert "no segment of a test split could be scored" in answer.err
    assert "| data |" not in readme
