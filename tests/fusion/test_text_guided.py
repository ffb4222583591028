"""The ``text-guided`` head: what the words ask for, and what is left without them."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError

from .sequences import SCHEME, batch_of, every_subset, keeps_the_rules_of_heads, taken

DIMS = {"audio": 6, "face": 5, "text": 7}
LENGTHS = {"audio": [9, 3, 1, 5], "face": [4, 1, 6, 2], "text": [1, 3, 1, 2]}


def built(dims=DIMS, **options):
    torch.manual_seed(0)
    return registry.build("heads", "text-guided", dims, SCHEME, options={"width": 16, "heads": 4, **options})


def test_padding_company_and_order_change_nothing_and_every_row_is_learned_from():
    keeps_the_rules_of_heads(built(dropout=0.0), DIMS, LENGTHS)


def test_every_subset_is_finite_alike():
    keeps_the_rules_of_heads(built(dropout=0.0), DIMS, every_subset(DIMS))


def test_every_subset_and_one_item_train():
    head = built().train()
    for batch in (batch_of(DIMS, every_subset(DIMS)), taken(batch_of(DIMS, every_subset(DIMS, rows=1)), [6])):
        loss = head.loss(head(batch), batch)
        loss.backward()
        assert loss.isfinite()


def test_with_one_row_attention_is_one_and_the_text_still_counts_by_its_residual():
    head = built().eval()
    batch = batch_of(DIMS, {m: [1] for m in DIMS})
    first = head(batch)
    batch.values["text"] = batch.values["text"] + 1
    second = head(batch)
    for output in (first, second):
        assert all((weights == 1).all() for weights in output.extras.values())
    assert not torch.allclose(first.logits, second.logits)


def test_with_more_rows_attention_depends_on_the_text():
    head = built().eval()
    batch = batch_of(DIMS, LENGTHS)
    first = head(batch).extras
    batch.values["text"] = batch.values["text"] * 3 + 1
    second = head(batch).extras
    assert set(first) == {"text_to_audio", "text_to_face"}
    for name, modality in (("text_to_audio", "audio"), ("text_to_face", "face")):
        assert first[name].shape == (4, 4, max(LENGTHS[modality]))
        torch.testing.assert_close(first[name].sum(-1), torch.ones(4, 4))
        assert not torch.allclose(first[name], second[name])


def test_an_absent_modality_adds_nothing_to_the_text():
    head = built().eval()
    for attention in head.attention.values():  # biases answer even where nothing was found
        torch.nn.init.normal_(attention.in_proj_bias)
    caught = []
    head.classifier.register_forward_hook(lambda _m, given, _r: caught.append(given[0]))
    extras = head(batch_of(DIMS, {"audio": [0, 4], "face": [3, 0], "text": [1, 1]})).extras
    heard, seen = caught[0].chunk(2, 1)
    text = head.text(batch_of(DIMS, {"audio": [0, 4], "face": [3, 0], "text": [1, 1]}).values["text"][:, 0])
    torch.testing.assert_close(heard[0], text[0])
    torch.testing.assert_close(seen[1], text[1])
    assert not torch.allclose(heard[1], text[1])
    assert not extras["text_to_audio"][0].any()


def test_audio_of_562_dimensions_is_read_in_its_parts():
    dims = {**DIMS, "audio": 562}
    shapes = {name: tuple(weight.shape) for name, weight in built(dims, width=512, heads=8).state_dict().items()}
    assert shapes["rows.audio.acoustic.linear.weight"] == (256, 512)
    assert shapes["rows.audio.prosodic.linear.weight"] == (128, 50)
    assert shapes["rows.audio.join.weight"] == (256, 384)
    assert shapes["rows.face.linear.weight"] == (256, 5)
    assert shapes["text.0.weight"] == (512, 7)
    assert shapes["attention.audio.k_proj_weight"] == (512, 256)
    assert shapes["classifier.0.weight"] == (512, 1024)
    keeps_the_rules_of_heads(built(dims, dropout=0.0), dims, LENGTHS)


def test_padding_does_not_enter_the_statistics_of_normalisation():
    states = []
    for extra in (0, 20):
        head = built().train()
        head(batch_of(DIMS, LENGTHS, extra=extra, behind=50.0))
        states.append({name: value for name, value in head.state_dict().items() if "running" in name})
    assert len(states[0]) == 4
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name])


@pytest.mark.parametrize("other", ["audio", "face"])
def test_text_with_one_other_modality_suffices(other):
    dims = {other: 5, "text": 7}
    keeps_the_rules_of_heads(built(dims, dropout=0.0), dims, {other: [3, 1, 0], "text": [1, 0, 2]})


@pytest.mark.parametrize("dims", [{"audio": 6, "face": 5}, {"text": 7}])
def test_no_text_or_text_alone_is_refused_with_the_flag_to_give(dims):
    with pytest.raises(ConfigError, match="text and at least 1 of the others") as refusal:
        built(dims)
    assert "--modalities text audio face" in refusal.value.hint


def test_a_width_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="'width' is 20"):
        built(width=20, heads=8)
