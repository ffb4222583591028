"""Metrics against scikit-learn, intervals and shares against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from mercli.results import metrics, stats
from mercli.results.shares import shapley

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(pairs)
@settings(max_examples=60)
def test_metrics_agree_with_scikit_learn(some):
    targets, predicted = (np.asarray(side, np.int64) for side in zip(*some, strict=True))
    present = np.unique(targets)
    assert metrics.uar(targets, predicted, 5) == pytest.approx(
        sk.recall_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )
    assert metrics.accuracy(targets, predicted) == pytest.approx(sk.accuracy_score(targets, predicted))
    assert metrics.weighted_f1(targets, predicted, 5) == pytest.approx(
        sk.f1_score(targets, predicted, average="weighted", zero_division=0)
    )
    assert metrics.macro_f1(targets, predicted, 5) == pytest.approx(
        sk.f1_score(targets, predicted, labels=present, average="macro", zero_division=0)
    )
    np.testing.assert_array_equal(
        metrics.confusion(targets, predicted, 5), sk.confusion_matrix(targets, predicted, labels=range(5))
    )


def test_an_absent_class_is_undefined_not_zero():
    targets, predicted = np.asarray([0, 0, 1]), np.asarray([0, 2, 1])
    assert np.isnan(metrics.recalls(targets, predicted, 3)[2])
    assert metrics.uar(targets, predicted, 3) == pytest.approx(0.75)
    assert metrics.summary(targets, predicted, ["a", "b", "c"])["recall"] == {"a": 0.5, "b": 1.0, "c": None}


def test_an_abstention_is_a_miss_and_in_no_column():
    targets, predicted = np.asarray([0, 0, 1]), np.asarray([0, -1, 1])
    assert metrics.confusion(targets, predicted, 2).sum() == 2
    assert metrics.recalls(targets, predicted, 2).tolist() == [0.5, 1.0]


def test_the_interval_covers_and_widens_when_clusters_are_whole_speakers():
    draw = np.random.default_rng(0)
    speakers = np.repeat(np.arange(20), 25)
    skill = np.repeat(draw.random(20), 25)  # a speaker is easy or hard as a whole
    targets = draw.integers(0, 2, 500)
    predicted = np.where(draw.random(500) < skill, targets, 1 - targets)
    by_speaker = stats.clustered_interval(metrics.accuracy_of, targets, predicted, speakers.tolist(), 2)
    by_segment = stats.clustered_interval(metrics.accuracy_of, targets, predicted, list(range(500)), 2)
    point = metrics.accuracy(targets, predicted)
    assert by_speaker[0] < point < by_speaker[1]
    assert by_speaker[1] - by_speaker[0] > 1.5 * (by_segment[1] - by_segment[0])


def test_one_cluster_has_no_interval():
    low, high = stats.clustered_interval(metrics.accuracy_of, np.zeros(4, int), np.zeros(4, int), ["a"] * 4, 1)
    assert np.isnan(low)
    assert np.isnan(high)


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_shares_sum_to_the_whole_and_follow_the_permutation_definition(values):
    from itertools import permutations

    players = ("audio", "face", "text")
    worth = {
        frozenset(p for i, p in enumerate(players) if number >> i & 1): value for number, value in enumerate(values)
    }
    shares = shapley(players, lambda subset: worth[frozenset(subset)])
    assert sum(shares.values()) == pytest.approx(worth[frozenset(players)] - worth[frozenset()])
    for player in players:
        gains = []
        for order in permutations(players):
            before = frozenset(order[: order.index(player)])
            gains.append(worth[before | {player}] - worth[before])
        assert shares[player] == pytest.approx(np.mean(gains), abs=1e-12)


def test_pictures_have_the_same_bytes_for_the_same_numbers():
    from mercli.results import confused

    counts = np.asarray([[3, 1], [0, 2]])
    first, second = (confused.picture(counts, ["a", "b"], "t") for _ in range(2))
    assert first == second
    assert first["png"][:4] == b"\x89PNG"
    assert b"<svg" in first["svg"]
