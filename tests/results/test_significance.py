"""Differences and shifts: compared with exact enumeration, scikit-learn, statsmodels' definition, and known truths."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.results import metrics, shift, significance, stats


def accuracy(targets, predicted):
    return float((targets == predicted).mean())


def uar3(matrix):
    return metrics.uar_of(matrix)


def test_the_p_value_is_that_of_every_swap_of_whole_clusters():
    draw = np.random.default_rng(3)
    targets, one, other = (draw.integers(0, 3, 40) for _ in range(3))
    one = np.where(draw.random(40) < 0.6, targets, one)
    clusters = [i % 8 for i in range(40)]
    seen, found = significance.paired_permutation(metrics.accuracy_of, targets, one, other, clusters, 3, draws=20_000)
    assert seen == pytest.approx(accuracy(targets, one) - accuracy(targets, other))
    exact = []
    for swaps in product([False, True], repeat=8):
        swapped = np.asarray([swaps[c] for c in clusters])
        exact.append(
            accuracy(targets, np.where(swapped, other, one)) - accuracy(targets, np.where(swapped, one, other))
        )
    share = np.mean(np.abs(exact) >= abs(seen) - 1e-12)
    assert found == pytest.approx(share, abs=0.012)


def test_equal_predictions_differ_by_nothing_and_chance_is_rarely_called_a_difference():
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 3, 60)
    clusters = [i // 4 for i in range(60)]
    assert significance.paired_permutation(uar3, targets, targets, targets, clusters, 3) == (0.0, 1.0)
    low = 0
    for trial in range(60):
        one, other = draw.integers(0, 3, 60), draw.integers(0, 3, 60)
        low += significance.paired_permutation(uar3, targets, one, other, clusters, 3, draws=99, seed=trial)[1] <= 0.05
    assert low <= 8


def test_one_cluster_proves_nothing():
    targets = np.zeros(3, np.int64)
    assert np.isnan(significance.paired_permutation(metrics.accuracy_of, targets, targets, targets, ["s"] * 3, 1)[1])
    assert np.isnan(significance.smallest_difference(metrics.accuracy_of, targets, targets, targets, ["s"] * 3, 1))
    assert np.isnan(
        significance.smallest_difference(metrics.accuracy_of, targets, targets, targets, ["s", "t", "u"], 1)
    )


def test_holm_by_its_definition():
    assert significance.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert significance.holm([0.5, 0.9]) == [1.0, 1.0]
    mixed = significance.holm([0.02, float("nan"), 0.01])
    assert mixed[0] == pytest.approx(0.02)
    assert np.isnan(mixed[1])
    assert mixed[2] == pytest.approx(0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    adjusted = significance.holm(values)
    assert all(a >= p - 1e-12 for a, p in zip(adjusted, values, strict=True))
    for (p, a), (q, b) in product(zip(values, adjusted, strict=True), repeat=2):
        if p < q:
            assert a <= b + 1e-12


def test_the_smallest_difference_shrinks_with_the_data():
    draw = np.random.default_rng(1)

    def at(count):
        targets = draw.integers(0, 3, count)
        one = np.where(draw.random(count) < 0.6, targets, draw.integers(0, 3, count))
        other = np.where(draw.random(count) < 0.5, targets, draw.integers(0, 3, count))
        return significance.smallest_difference(
            metrics.accuracy_of, targets, one, other, [i // 5 for i in range(count)], 3
        )

    small, large = at(100), at(6400)
    assert 4 < small / large < 16


def test_the_prior_of_a_shifted_corpus_is_found_without_its_labels():
    draw = np.random.default_rng(2)
    true = np.asarray([0.7, 0.2, 0.1])
    means = 2.0 * np.eye(3)
    labels = draw.choice(3, 4000, p=true)
    points = means[labels] + draw.normal(size=(4000, 3))
    log_likelihood = -((points[:, None] - means[None]) ** 2).sum(2) / 2
    assert shift.estimated_prior(log_likelihood) == pytest.approx(true, abs=0.03)
    assert shift.estimated_prior(np.zeros((10, 4))) == pytest.approx([0.25] * 4)


def test_features_that_tell_the_corpus_are_told_from_those_that_do_not():
    draw = np.random.default_rng(4)
    corpora = ["a"] * 100 + ["b"] * 100
    speakers = [i % 10 for i in range(200)]
    plain = draw.normal(size=(200, 5)).astype(np.float32)
    marked = plain + np.asarray([[3.0 if c == "a" else 0.0] * 5 for c in corpora], np.float32)
    assert shift.identifiability(marked, corpora, speakers)["uar"] > 0.95
    assert shift.identifiability(plain, corpora, speakers)["uar"] < 0.65
    assert shift.identifiability(plain, corpora, speakers)["chance"] == 0.5
    assert np.isnan(shift.identifiability(plain, corpora, ["one"] * 200)["uar"])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 4)), min_size=1, max_size=60))
def test_figures_of_a_matrix_are_those_of_the_segments_and_scikit_learns(rows):
    from sklearn.metrics import f1_score

    targets, predicted, clusters = (np.asarray(column) for column in zip(*rows, strict=True))
    matrices = stats.by_cluster(targets, predicted, clusters.tolist(), 3)
    matrix = matrices.sum(0)
    assert (matrix == metrics.confusion(targets, predicted, 3)).all()
    assert len(matrices) == len(set(clusters.tolist()))
    assert metrics.uar_of(matrix) == pytest.approx(metrics.uar(targets, predicted, 3))
    assert metrics.accuracy_of(matrix) == pytest.approx(metrics.accuracy(targets, predicted))
    expected = f1_score(targets, predicted, average="weighted", zero_division=0)
    assert metrics.weighted_f1_of(matrix) == pytest.approx(expected)


def test_a_draw_is_the_sum_over_the_segments_of_the_clusters_drawn():
    draw = np.random.default_rng(5)
    targets, predicted = draw.integers(0, 3, 50), draw.integers(0, 3, 50)
    clusters = draw.integers(0, 6, 50)
    names = list(dict.fromkeys(clusters.tolist()))
    summed = stats.redrawn(stats.by_cluster(targets, predicted, clusters.tolist(), 3), 4, seed=9)
    again = np.random.default_rng(9)
    for matrix in summed:
        drawn = again.integers(0, len(names), len(names))
        rows = np.concatenate([np.flatnonzero(clusters == names[i]) for i in drawn])
        assert (matrix == metrics.confusion(targets[rows], predicted[rows], 3)).all()


def test_of_several_tests_each_must_differ_more_to_be_seen():
    from scipy.stats import norm

    draw = np.random.default_rng(7)
    targets, one, other = (draw.integers(0, 3, 90) for _ in range(3))
    given = (metrics.accuracy_of, targets, one, other, [i // 5 for i in range(90)], 3)
    alone, of_six = (significance.smallest_difference(*given, tests=tests) for tests in (1, 6))
    widths = [norm.ppf(1 - 0.05 / (2 * tests)) + norm.ppf(0.8) for tests in (1, 6)]
    assert of_six / alone == pytest.approx(widths[1] / widths[0])
    assert widths[0] == pytest.approx(1.96 + 0.84, abs=0.005)
