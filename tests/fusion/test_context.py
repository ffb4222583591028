"""The head ``context``: any head within its dialogue; nothing of the future, of other dialogues, or of who speaks."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import config, registry
from mercli.errors import ConfigError
from mercli.fusion import batch as batches
from mercli.fusion import bundle as bundles
from mercli.fusion import dialogues, loop
from mercli.fusion import source as sources
from mercli.fusion.batch import Examples, collate, select, statistics
from mercli.fusion.dropout import grow
from mercli.fusion.training import Schedule
from mercli.jobs.answers import deciding
from mercli.jobs.fits import dataset
from mercli.labels import CANONICAL
from mercli.types import Feature, FeatureBundle, Segment

DIMS = {"audio": 5, "face": 4, "text": 3}
INSIDE = [spec.name for spec in registry.specs("heads") if spec.name != "context"]
PLAN = Schedule(2, 10, 8, 1e-2, 1e-2, 0.3, 3)


def feature(draw, dim, rows=1):
    return Feature(
        draw.normal(size=(rows, dim)).astype(np.float32), np.zeros((rows, 2), np.float32), np.ones(rows, bool)
    )


def examples(sizes=(4, 3, 1), seed=0, *, whole=False):
    """Dialogues of these lengths, one after another; unless ``whole``, every subset of the modalities occurs."""
    draw = np.random.default_rng(seed)
    table = [(d, turn, int(draw.integers(0, 3))) for d, size in enumerate(sizes) for turn in range(size)]
    made = []
    for index in range(len(table)):
        here = [whole or (index % 7 + 1) >> place & 1 for place in range(3)]
        kept = {
            m: feature(draw, d, int(draw.integers(1, 4))) if there else None
            for (m, d), there in zip(DIMS.items(), here, strict=True)
        }
        made.append(FeatureBundle(str(index), kept))
    targets = draw.integers(0, 7, len(table))
    return Examples(made, tuple(DIMS), targets, ["a"] * len(table), None, np.asarray(table, np.int64))


def batch(**how):
    made = examples(**how)
    return collate(made, statistics(made), DIMS)


def head(over="concat", seed=0, dims=DIMS, **options):
    torch.manual_seed(seed)
    return registry.build("heads", "context", dims, CANONICAL, options={"over": over, **options}).eval()


def own_dims(name):
    takes = registry.get("heads", name).facts.get("modalities", tuple(DIMS))
    return {modality: dim for modality, dim in DIMS.items() if modality in takes}


def only(data, modalities):
    return collate(
        Examples(data.bundles, modalities, data.targets, data.corpora, None, data.talk), statistics(data), DIMS
    )


@pytest.mark.parametrize("over", INSIDE)
@pytest.mark.parametrize("direction", ["past", "both"])
def test_any_head_within_its_dialogue_is_finite_for_every_subset_and_trains_every_weight(over, direction):
    dims = own_dims(over)
    inside = head(over, dims=dims, direction=direction, layers=2)
    whole = only(examples((9, 7, 1)), tuple(dims))
    rows = torch.where(whole.present.any(1))[0]  # a head of two modalities is not asked about what has neither
    whole = select(whole, rows)
    output = inside(whole)
    assert output.logits.shape == (len(rows), 7)
    assert output.logits.isfinite().all()
    inside.loss(output, whole).backward()
    assert not [n for n, w in inside.named_parameters() if w.grad is None or not w.grad.any()]


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(0, 4), st.integers(0, 99))
def test_nothing_that_is_said_later_or_elsewhere_changes_an_answer(size, turn, seed):
    turn = min(turn, size - 1)
    data = batch(sizes=(size, 3), seed=seed, whole=True)
    net = head(layers=2)
    before = net(data).logits
    later = torch.arange(len(data.present)) > turn  # later turns of the dialogue, and another one
    poisoned = replace(data, values={m: torch.where(later[:, None, None], 1e6, v) for m, v in data.values.items()})
    torch.testing.assert_close(net(poisoned).logits[: turn + 1], before[: turn + 1])


def test_what_was_said_before_changes_an_answer_and_both_directions_hear_later_turns_too():
    data = batch(sizes=(3, 3), whole=True)
    changed = replace(data, values={m: v.clone() for m, v in data.values.items()})
    changed.values["text"][1] += 3
    for direction, heard in (("past", [2]), ("both", [0, 2])):
        net = head(direction=direction)
        moved = (net(data).logits - net(changed).logits).abs().amax(1) > 1e-6
        assert torch.where(moved)[0].tolist() == sorted([1, *heard])


def test_targets_and_priors_of_neighbours_change_no_answer():
    data, net = batch(), head()
    other = replace(data, targets=(data.targets + 1) % 7, log_prior=torch.randn(len(data.targets), 7))
    assert torch.equal(net(data).logits, net(other).logits)


def test_permuting_segments_and_renumbering_dialogues_and_speakers_changes_nothing():
    data, net = batch(sizes=(5, 4, 1, 2)), head(layers=2)
    order = torch.randperm(len(data.present), generator=torch.Generator().manual_seed(1))
    moved = select(data, order)
    torch.testing.assert_close(net(moved).logits, net(data).logits[order])
    # speakers are the same as the one who speaks or not, and no one in particular
    moved.talk = moved.talk * torch.tensor([3, 1, 7]) + torch.tensor([11, 2, 5])
    torch.testing.assert_close(net(moved).logits, net(data).logits[order])


def test_who_spoke_matters_unless_speakers_are_left_out():
    data = batch(sizes=(6,), whole=True)
    data.talk[:, 2] = torch.tensor([0, 1, 0, 1, 0, 1])
    mono = replace(data, talk=data.talk * torch.tensor([1, 1, 0]))
    assert not torch.allclose(head()(data).logits, head()(mono).logits)
    assert torch.equal(head(speakers=False)(data).logits, head(speakers=False)(mono).logits)


def test_a_segment_alone_in_a_batch_or_with_dialogues_untold_is_the_same():
    data, net = batch(sizes=(1, 1, 1, 4)), head()
    for row in range(3):
        alone = select(data, torch.tensor([row]))
        torch.testing.assert_close(net(alone).logits[0], net(data).logits[row])
        torch.testing.assert_close(net(replace(alone, talk=None)).logits[0], net(data).logits[row])


def test_padding_changes_nothing():
    data, net = examples(sizes=(4, 2)), head()
    one = collate(data, statistics(data), DIMS)
    longer = replace(
        one,
        values={m: torch.nn.functional.pad(v, (0, 0, 0, 3)) for m, v in one.values.items()},
        valid={m: torch.nn.functional.pad(v, (0, 3)) for m, v in one.valid.items()},
    )
    torch.testing.assert_close(net(longer).logits, net(one).logits)


def test_a_segment_without_any_modality_is_not_heard():
    data, net = batch(sizes=(3,), whole=True), head()
    silent = replace(data, present=data.present.clone())
    silent.present[0] = False
    silent = batches.select(silent, torch.arange(3))
    torch.testing.assert_close(net(silent).logits[1:], net(select(data, torch.tensor([1, 2]))).logits)


def test_a_head_that_has_dialogues_itself_is_refused_and_an_unknown_one_answered():
    with pytest.raises(ConfigError, match="cannot be over 'context'"):
        head("context")
    with pytest.raises(Exception, match="no head is called 'lat'"):
        head("lat")
    with pytest.raises(ConfigError, match="unknown option 'hiden'"):
        head("late", options={"hiden": 3})


# --- dialogues as units ---


def segment(identity, **given):
    return Segment(identity, given.pop("clip", identity), given.pop("start", 0.0), **given)


def test_turns_are_the_corpus_s_else_by_start_and_a_clip_is_a_dialogue_where_none_is_told():
    told = [
        ("a", segment("1", dialogue="d", turn=7, speaker="x")),
        ("a", segment("2", dialogue="d", turn=2, speaker="y")),
        ("b", segment("3", dialogue="d", turn=2, speaker="x")),
        ("a", segment("4", clip="c", start=5.0)),
        ("a", segment("5", clip="c", start=1.0, turn=9)),
        ("a", segment("6", clip="d")),
    ]
    table = dialogues.talk(told)
    assert table[:, 0].tolist() == [0, 0, 1, 2, 2, 3]
    assert table[:, 1].tolist() == [1, 0, 0, 1, 0, 0]
    assert table[:, 2].tolist() == [0, 1, 2, -1, -1, -1]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 9), st.integers(0, 99))
def test_batches_hold_whole_dialogues_each_once(numbers, size, seed):
    said = torch.tensor([[n, 0, 0] for n in numbers], dtype=torch.long).reshape(-1, 3)
    order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(seed))
    parts = dialogues.split(dialogues.together(order, said), said, size)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(numbers)))
    held = [set(said[part, 0].tolist()) for part in parts]
    assert sum(map(len, held)) == len(set(numbers))
    assert all(len(part) <= size or len(own) == 1 for part, own in zip(parts, held, strict=True))


def test_a_long_dialogue_comes_no_earlier_than_a_short_one():
    said = torch.tensor([[0, 0, 0]] * 9 + [[1, 0, 0]])
    draw = torch.Generator().manual_seed(0)
    first = [int(said[dialogues.together(torch.randperm(10, generator=draw), said)[0], 0]) for _ in range(300)]
    assert 0.4 < np.mean(first) < 0.6


@pytest.mark.parametrize("resident", [True, False])
def test_training_and_prediction_take_whole_dialogues_in_any_order_of_segments(resident, monkeypatch):
    data = examples(sizes=(5, 1, 4, 6, 2))
    order = np.random.default_rng(0).permutation(len(data))
    net = head("late")
    stats = statistics(data)
    straight = loop.predict(net, sources.source(data, stats, DIMS, resident=resident))
    monkeypatch.setattr(sources, "ROWS", 6)
    mixed = sources.source(data.subset(order), stats, DIMS, resident=resident)
    torch.testing.assert_close(loop.predict(net, mixed), straight[order])
    seen = []
    monkeypatch.setattr(loop, "_batch", _noting(loop._batch, seen))
    list(loop.fit(net, mixed, mixed, PLAN))
    assert len(seen) >= 4
    for rows in seen:
        inside = set(mixed.talk[rows, 0].tolist())
        assert len(rows) == int(sum((mixed.talk[:, 0] == d).sum() for d in inside))


def _noting(function, seen):
    def noted(train, index, *rest):
        seen.append(index)
        return function(train, index, *rest)

    return noted


@pytest.mark.parametrize("kind", ["softhard", "noise"])
def test_copies_of_a_dialogue_are_dialogues_of_their_own(kind):
    data = batch(sizes=(3, 2), whole=True)
    grown = grow(data, kind, torch.Generator().manual_seed(0))
    copies = 4 if kind == "softhard" else 3
    dialogue, turn, _ = grown.talk.unbind(1)
    assert len(dialogue.unique()) == 2 * copies
    for number in dialogue.unique():
        turns = turn[dialogue == number].tolist()
        assert sorted(turns) == list(range(len(turns)))
    assert torch.equal(data.talk, batch(sizes=(3, 2), whole=True).talk)


# --- the commands ---

WAY = ("--preset", "weightless", "--modalities", "audio", "text", "--set", "epochs=3", "--set", "patience=3")


def test_a_trained_context_is_packed_whole_and_answers_windows_as_one_dialogue(mer, world, tmp_path):
    words = ("--data", world.data, "--runs", tmp_path, *WAY, "--head", "context", "--set", "over=late")
    answer = mer("train", "--corpora", "one", *words, "--set", "head.options.options.hidden=8")
    assert answer.code == 0, answer.err
    (run,) = tmp_path.iterdir()
    card = json.loads((run / "bundle" / "bundle.json").read_text())
    assert card["head"]["version"] == "1+1"
    assert card["head"]["options"]["options"] == {"hidden": 8, "dropout": 0.2}
    bundle = bundles.load(run / "bundle")
    data = dataset.load(
        config.resolve(
            config.TrainConfig,
            {"corpora": ["one"], "data": str(world.data), "modalities": ["audio", "text"]},
            preset="weightless",
        )
    )
    some = data.examples([("one", "test")]).bundles[:4]
    rows = bundles.in_dialogue(bundle, some)
    together = bundle.log_probabilities(some, talk=dialogues.windows(4))
    for row, (own, features) in enumerate(zip(rows, some, strict=True)):
        np.testing.assert_allclose(own.log_probabilities([features])[0], together[row], atol=1e-6)
        past = bundle.log_probabilities(some[: row + 1], talk=dialogues.windows(row + 1))[row]
        np.testing.assert_allclose(past, together[row], atol=1e-5)
        shares = deciding.shares(own, features, None, None, ("audio", "text"), 0)
        moved = np.exp(together[row])[0] - 1 / together.shape[1]
        assert sum(shares.values()) == pytest.approx(moved, abs=1e-4)


def test_a_sampler_that_tears_dialogues_apart_is_refused(mer, world, tmp_path):
    words = ("--corpora", "one", "--data", world.data, "--runs", tmp_path, *WAY, "--head", "context")
    answer = mer("train", *words, "--set", "sampler=balanced")
    assert answer.code == 3
    assert "whole dialogues" in answer.err
    assert "class_weights=balanced" in answer.err


def test_windows_of_a_clip_are_answered_from_those_before_them(mer, world, tmp_path):
    words = ("--data", world.data, "--runs", tmp_path / "runs", "--preset", "weightless", "--modalities", "audio")
    assert mer("train", "--corpora", "one", *words, "--head", "context", "--set", "epochs=3").code == 0
    (run,) = (tmp_path / "runs").iterdir()
    clip = next(path for path in sorted((world.folder / "raw" / "one").rglob("*.mp4")))
    whole = mer("predict", clip, "--model", run / "bundle", "--windows", "1", "--explain", "--format", "jsonl")
    assert whole.code == 0, whole.err
    rows = [json.loads(line) for line in whole.out.splitlines()]
    assert len(rows) >= 2
    assert [row["start"] for row in rows] == sorted(row["start"] for row in rows)
    listed = tmp_path / "list.jsonl"
    listed.write_text(
        "".join(
            json.dumps({"id": f"w{r['start']}", "video": str(clip), "start": r["start"], "end": r["end"]}) + "\n"
            for r in rows
        )
    )
    apart = mer("predict", "--list", listed, "--model", run / "bundle", "--format", "jsonl")
    alone = [json.loads(line) for line in apart.out.splitlines()]
    assert alone[0]["scores"] == pytest.approx(rows[0]["scores"], abs=1e-4)  # nothing was said before it
    assert alone[-1]["scores"] != pytest.approx(rows[-1]["scores"], abs=1e-6)  # here something was
