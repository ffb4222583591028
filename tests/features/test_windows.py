from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.errors import ConfigError
from mercli.features.windows import RULES, Summary, functionals, sliced, tiled, window_spans

SIZES = {"n": st.integers(0, 400), "width": st.integers(1, 40), "step": st.integers(1, 40)}


@pytest.mark.parametrize(
    ("n", "spans"),
    [
        (0, []),
        (1, [(0, 1)]),
        (19, [(0, 19)]),
        (20, [(0, 20), (10, 20)]),
        (29, [(0, 20), (10, 29)]),
        (30, [(0, 20), (10, 30), (20, 30)]),
    ],
)
def test_smil_starts_at_every_step_while_a_step_remains(n, spans):
    assert window_spans(n, 20, 10) == spans


@pytest.mark.parametrize(("n", "spans"), [(20, [(0, 20)]), (21, [(0, 20), (10, 21)]), (5, [(0, 5)])])
def test_covering_stops_once_the_end_is_reached(n, spans):
    assert window_spans(n, 20, 10, "covering") == spans


def test_first_is_the_beginning_alone():
    assert window_spans(50, 20, 10, "first") == [(0, 20)]
    assert window_spans(7, 20, 10, "first") == [(0, 7)]


@pytest.mark.parametrize("rule", RULES)
@given(**SIZES)
def test_windows_lie_inside_rise_and_are_never_empty(rule, n, width, step):
    spans = window_spans(n, max(width, step), step, rule)
    assert bool(spans) == (n > 0)
    assert all(0 <= start < end <= n and end - start <= max(width, step) for start, end in spans)
    assert spans == sorted(set(spans))


@given(**SIZES)
def test_covering_leaves_nothing_out_and_smil_less_than_a_step(n, width, step):
    width = max(width, step)
    for rule, most in (("covering", 0), ("smil", step - 1)):
        inside = {index for start, end in window_spans(n, width, step, rule) for index in range(start, end)}
        assert n - len(inside) <= most


@pytest.mark.parametrize(("width", "step"), [(0, 1), (4, 0), (4, 5), (4, -1)])
def test_windows_that_leave_gaps_or_stand_still_are_refused(width, step):
    with pytest.raises(ConfigError, match="step <= width"):
        window_spans(10, width, step)


def test_an_unknown_rule_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match="did you mean 'smil'"):
        window_spans(10, 4, 2, "smill")


def test_a_short_chunk_is_repeated_and_cut():
    assert tiled(np.arange(3), 8).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert tiled(np.arange(5), 3).tolist() == [0, 1, 2]
    assert tiled(np.ones((2, 7)), 5).shape == (5, 7)


def test_functionals_are_those_of_numpy_in_the_order_asked_for():
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
    found = functionals(rows, ("std", "mean", "p0", "p25", "p100"))
    expected = [rows.std(0), rows.mean(0), rows.min(0), np.percentile(rows, 25, axis=0), rows.max(0)]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-5, atol=1e-6)


def test_one_row_has_no_spread():
    assert functionals(np.array([[3.0, 4.0]], np.float32)).tolist() == [3, 4, 0, 0]


@pytest.mark.parametrize("statistics", [("median",), ("p101",), ()])
def test_an_unknown_statistic_or_none_is_refused_before_any_work(statistics):
    with pytest.raises(ConfigError, match="mean, std"):
        Summary(statistics)


def test_a_summary_keeps_rows_or_pools_them_over_their_whole_time():
    rows, times = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([[0, 4], [2, 6], [4, 7]], np.float32)
    valid = np.array([True, False, True])
    kept = Summary(pooled=False).feature(rows, times, valid)
    assert kept.values is rows
    assert kept.valid.tolist() == [True, False, True]
    pooled = Summary().feature(rows, times, valid)
    assert pooled.values.shape == (1, Summary().dim(2)) == (1, 4)
    assert pooled.times.tolist() == [[0, 7]]
    assert pooled.valid.tolist() == [True]


@pytest.mark.parametrize("count", [0, 2])
def test_a_summary_of_nothing_valid_is_zeros(count):
    feature = Summary().feature(np.ones((count, 3), np.float32), np.ones((count, 2), np.float32), np.zeros(count, bool))
    assert feature.values.tolist() == [[0] * 6]
    assert not feature.valid.any()


def test_slices_follow_one_another():
    assert list(sliced([2, 0, 3])) == [slice(0, 2), slice(2, 2), slice(2, 5)]
