from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from mercli.features.embedded.stored import LARGE, packed, rounded, unpacked  # noqa: E402


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "conv.weight": torch.randn(40, 32, 3, 3, generator=draw),
        "table.weight": torch.randn(LARGE // 4, 4, generator=draw) * 10 ** torch.linspace(-1, 2, LARGE // 4)[:, None],
        "classify.weight": torch.randn(7, 64, generator=draw),
        "norm.running_mean": torch.randn(LARGE, generator=draw),
        "norm.num_batches_tracked": torch.tensor(5),
    }


def test_what_is_large_takes_a_byte_a_number_and_the_rest_two():
    held = packed(state())
    assert {key: str(value.dtype) for key, value in held.items()} == {
        "conv.weight.int8": "torch.int8",
        "conv.weight.scale": "torch.float16",
        "table.weight.int8": "torch.int8",
        "table.weight.scale": "torch.float16",
        "classify.weight": "torch.float16",
        "norm.running_mean": "torch.float16",
    }


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_each_row_comes_back_within_half_a_step(seed):
    given_ = state(seed)
    given_["table.weight"][7] = 0
    back = unpacked(packed(given_))
    assert set(back) == set(given_) - {"norm.num_batches_tracked"}
    for key in ("conv.weight", "table.weight"):
        step = given_[key].flatten(1).abs().amax(1) / 127
        error = (back[key] - given_[key]).flatten(1).abs().amax(1)
        assert (error <= 0.56 * step + 1e-7).all()  # a step in half precision is off by 1 in 2048


def test_what_was_rounded_once_stays_as_it_is():
    once = unpacked(packed(state()))
    again = unpacked(packed(once))
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_whole_weights_are_read_as_they_are_and_a_lost_scale_is_told():
    given_ = {"a.weight": torch.randn(3, 3), "b.scale": torch.ones(2)}
    assert all(torch.equal(value, given_[key]) for key, value in unpacked(given_).items())
    rows, _ = rounded(torch.randn(4, 5))
    with pytest.raises(KeyError, match=r"a\.weight\.scale"):
        unpacked({"a.weight.int8": rows})
