"""The ``gated`` head: its formula, its subsets, its masks, and the seed's weights."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import registry
from mercli.contracts import Batch
from mercli.errors import ConfigError, DataError
from mercli.fusion.heads import gated_import
from mercli.fusion.heads.gated_net import Gate, GatedNet
from mercli.labels import CANONICAL

DIMS = {"audio": 6, "face": 5, "text": 4}
SUBSETS = [s for n in (1, 2, 3) for s in itertools.combinations(DIMS, n)]


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def batch(count=9, rows=3, dims=DIMS, seed=0, present=None):
    draw = torch.Generator().manual_seed(seed)
    shown = torch.ones((count, len(dims)), dtype=torch.bool) if present is None else present
    values = {m: torch.randn((count, rows, d), generator=draw) for m, d in dims.items()}
    valid = {m: torch.ones((count, rows), dtype=torch.bool) & shown[:, i : i + 1] for i, m in enumerate(dims)}
    return Batch(tuple(dims), values, valid, shown, torch.arange(count) % 7)


def build(dims=DIMS, **options):
    return registry.build("heads", "gated", dims, CANONICAL, options={"width": 8, **options}).eval()


def seed_state(width=8, classes=7):
    """A checkpoint as SMIL's training writes it."""
    a, v, t = DIMS.values()
    sizes = {"fc_audio": (a, a), "fc_video": (v, v), "fc_text": (t, t)}
    sizes |= {"fc_avt": (width, 3 * width), "classifier": (classes, width)}
    state = {f"{name}.weight": torch.randn(size) for name, size in sizes.items()}
    state |= {f"{name}.bias": torch.randn(size[0]) for name, size in sizes.items()}
    for name, x, y in (("gal_av", a, v), ("gal_vt", v, t), ("gal_ta", t, a)):
        state |= {f"{name}.WF1": torch.randn(x, width), f"{name}.WF2": torch.randn(y, width)}
        state |= {f"{name}.WF": torch.randn(x + y, width)}
    return state


def test_a_softmax_gate_sums_to_one_and_a_sigmoid_one_does_not():
    x, y = torch.randn(5, 6), torch.randn(5, 4)
    for kind in ("softmax", "sigmoid"):
        unit = Gate(6, 4, 8, kind)
        fused, gates = unit(x, y)
        score = torch.cat([x, y], 1) @ unit.gate
        expected = F.softmax(score, 1) if kind == "softmax" else torch.sigmoid(score)
        torch.testing.assert_close(gates, expected)
        torch.testing.assert_close(fused, gates * (x @ unit.first).tanh() + (1 - gates) * (y @ unit.second).tanh())
        assert torch.allclose(gates.sum(1), torch.ones(5)) == (kind == "softmax")


def test_the_option_gate_changes_the_answer_and_another_one_is_refused():
    answers = []
    for kind in ("softmax", "sigmoid"):
        torch.manual_seed(1)
        answers.append(build(gate=kind)(batch()).logits)
    assert not torch.allclose(*answers)
    with pytest.raises(ConfigError, match="'gate' is 'tanh'"):
        build(gate="tanh")


@pytest.mark.parametrize("dims", [{m: DIMS[m] for m in subset} for subset in SUBSETS], ids="+".join)
@pytest.mark.parametrize("presence", [False, True])
def test_any_modalities_make_a_head_whose_every_weight_learns(dims, presence):
    head = build(dims, presence=presence).train()
    data = batch(dims=dims)
    for values in data.values.values():
        values.requires_grad_()
    output = head(data)
    assert output.logits.shape == (9, 7)
    pairs = len(dims) * (len(dims) - 1) // 2
    assert [t.shape for t in output.extras.values()] == [(9, pairs, 8)] * (2 if pairs else 0)
    head.loss(output, data).backward()
    assert all(weight.grad.abs().sum() > 0 for weight in head.parameters())
    assert all(values.grad.abs().sum() > 0 for values in data.values.values())


def test_two_modalities_have_the_pair_the_seed_gives_them_in_its_order():
    for dims, pair in (
        ({"audio": 6, "text": 4}, ("text", "audio")),
        ({"face": 5, "audio": 6}, ("audio", "face")),
        ({"text": 4, "face": 5}, ("face", "text")),
    ):
        head = build(dims)
        assert head.pairs == [pair]
        assert head.gates["_".join(pair)].first.shape == (dims[pair[0]], 8)


@settings(max_examples=25)
@given(st.lists(st.sampled_from(SUBSETS), min_size=1, max_size=7), st.booleans())
def test_every_mix_of_absent_modalities_is_finite_and_an_absent_one_has_no_say(mix, presence):
    torch.manual_seed(0)
    head = build(presence=presence)
    present = torch.tensor([[m in subset for m in DIMS] for subset in mix])
    one, other = batch(len(mix), present=present, seed=1), batch(len(mix), present=present, seed=1)
    for i, m in enumerate(DIMS):
        other.values[m][~present[:, i]] = 1e4
    answer = head(one).logits
    assert answer.isfinite().all()
    assert torch.equal(answer, head(other).logits)


def test_only_with_presence_does_the_head_tell_an_absent_modality_from_zeros():
    zeros, absent = batch(), batch(present=torch.tensor([[True, True, False]]).repeat(9, 1))
    zeros.values["text"].zero_()
    absent.values["text"].zero_()
    for presence in (False, True):
        head = build(presence=presence)
        assert torch.allclose(head(zeros).logits, head(absent).logits) is not presence


@settings(max_examples=20)
@given(st.integers(0, 6), st.permutations(range(9)))
def test_padding_changes_nothing_and_permuting_the_batch_permutes_the_output(more, order):
    torch.manual_seed(0)
    head, data = build(), batch()
    padded = batch()
    padded.values = {m: F.pad(v, (0, 0, 0, more), value=3.0) for m, v in data.values.items()}
    padded.valid = {m: F.pad(v, (0, more)) for m, v in data.valid.items()}
    answer = head(data).logits
    torch.testing.assert_close(head(padded).logits, answer)
    moved = Batch(
        data.modalities,
        {m: v[order] for m, v in data.values.items()},
        {m: v[order] for m, v in data.valid.items()},
        data.present[order],
    )
    torch.testing.assert_close(head(moved).logits, answer[order])


def test_a_seeds_checkpoint_becomes_a_head_of_the_sizes_its_weights_have():
    for width, classes in ((32, 6), (64, 7)):
        state = {f"module.{name}": tensor for name, tensor in seed_state(width, classes).items()}
        found = gated_import.from_seed(state)
        assert (found.name, found.dims, found.classes, found.options["width"]) == ("gated", DIMS, classes, width)
        GatedNet(found.dims, found.classes, found.options["width"]).load_state_dict(found.state)


def test_a_checkpoint_that_lacks_a_weight_or_has_another_is_refused():
    state = seed_state()
    lacking = {name: tensor for name, tensor in state.items() if name != "gal_vt.WF2"}
    with pytest.raises(DataError, match=r"gal_vt\.WF2"):
        gated_import.from_seed(lacking)
    with pytest.raises(DataError, match=r"fc_smell\.weight"):
        gated_import.from_seed({**state, "fc_smell.weight": torch.zeros(1)})


def test_the_seeds_outputs_are_put_into_the_order_of_our_classes():
    found = gated_import.from_seed(seed_state())
    head = GatedNet(found.dims, found.classes, 8).eval()
    head.load_state_dict(found.state)
    theirs = head(batch()).logits
    head.load_state_dict(gated_import.reordered(found.state, CANONICAL.names))
    ours = head(batch()).logits
    for place, name in enumerate(CANONICAL.names):
        torch.testing.assert_close(ours[:, place], theirs[:, gated_import.CLASSES.index(name)])
    with pytest.raises(DataError, match="cannot be put into the order"):
        gated_import.reordered(found.state, ("happy", "sad"))
