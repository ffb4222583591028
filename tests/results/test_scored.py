"""Figures of labels and of values against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mercli.results import intervals, labelled, rated, scored, seed_metrics
from mercli.types import LabelScheme

LABELS = LabelScheme("labels", "many-of", ("happy", "sad", "fear"))
VAD = LabelScheme("vad", "values", ("valence", "arousal"), 1.0, 5.0)
SENTIMENT = LabelScheme("sentiment", "values", ("sentiment",), -3.0, 3.0)
CLUSTERS = [f"s{number % 7}" for number in range(60)]


def labels(seed=0):
    draw = np.random.default_rng(seed)
    return (draw.random((60, 3)) < 0.35).astype(np.float32), draw.random((60, 3))


def values(seed=0):
    draw = np.random.default_rng(seed)
    targets = draw.uniform(1, 5, (60, 2))
    return targets, np.clip(targets + draw.normal(0, 1, targets.shape), 1, 5)


def concordance(x, y):
    """Lin 1989, as it is written there."""
    return 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_every_figure_of_a_label_is_scikit_learns():
    targets, p = labels()
    found = scored.score(LABELS, targets, [p], CLUSTERS)
    for place, name in enumerate(LABELS.names):
        true, said = targets[:, place] > 0, p[:, place] >= 0.5
        own = found["labels"][name]
        assert own["weighted_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(true, said))
        assert own["f1"] == pytest.approx(metrics.f1_score(true, said))
        assert own["weighted_f1"] == pytest.approx(metrics.f1_score(true, said, average="weighted"))
        assert own["precision"] == pytest.approx(metrics.precision_score(true, said))
        assert own["recall"] == pytest.approx(metrics.recall_score(true, said))
        assert found["support"][name] == true.sum()
    for name in ("weighted_accuracy", "f1"):
        assert found[name] == pytest.approx(np.mean([own[name] for own in found["labels"].values()]))


def test_weighted_accuracy_and_weighted_f1_are_smils_where_every_label_occurs():
    targets, p = labels()
    seeds = seed_metrics.smil_many_of(targets.astype(int), (p >= 0.5).astype(int))
    own = labelled.figures(labelled.tallies(targets > 0, p >= 0.5, CLUSTERS).sum(0))
    np.testing.assert_allclose(own["weighted_accuracy"], seeds["weighted_accuracy"])
    np.testing.assert_allclose(own["weighted_f1"], seeds["weighted_f1"])


def test_a_label_that_never_occurs_is_undefined_and_in_no_mean():
    targets, p = labels()
    targets[:, 2] = 0
    found = scored.score(LABELS, targets, [p], CLUSTERS)
    assert found["labels"]["fear"]["weighted_accuracy"] is found["labels"]["fear"]["f1"] is None
    assert found["f1"] == pytest.approx(np.mean([found["labels"][name]["f1"] for name in ("happy", "sad")]))
    none = scored.score(LABELS, np.zeros_like(targets), [p], CLUSTERS)
    assert found["labels"]["fear"]["precision"] is none["precision"] is None
    assert none["weighted_accuracy"] is none["weighted_accuracy_interval"] is None


def test_ccc_pearson_and_mae_are_those_of_lin_and_scipy():
    targets, answers = values()
    found = scored.score(VAD, targets, [answers], CLUSTERS)
    for place, name in enumerate(VAD.names):
        x, y = answers[:, place], targets[:, place]
        own = found["dimensions"][name]
        assert own["ccc"] == pytest.approx(concordance(x, y))
        assert own["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
        assert own["mae"] == pytest.approx(metrics.mean_absolute_error(y, x))


def test_figures_of_seeds_are_means_and_the_spread_is_that_of_the_main_one():
    targets, answers = values()
    other = values(1)[1]
    found = scored.score(VAD, targets, [answers, other], CLUSTERS)
    each = [scored.score(VAD, targets, [one], CLUSTERS)["ccc"] for one in (answers, other)]
    assert found["ccc_seeds"] == pytest.approx(each)
    assert found["ccc"] == pytest.approx(np.mean(each))
    assert found["ccc_spread"] == pytest.approx(np.std(each, ddof=1))


@pytest.mark.parametrize(("scheme", "given_"), [(LABELS, labels()), (VAD, values())], ids=["labels", "values"])
def test_the_interval_is_drawn_by_cluster_and_holds_the_figure(scheme, given_):
    main = scored.score(scheme, *(given_[0], [given_[1]], CLUSTERS))
    name = scored.main_of(main)
    low, high = main[f"{name}_interval"]
    assert low < main[name] < high
    whole = scored.score(scheme, given_[0], [given_[1]], ["one"] * 60)
    assert whole[f"{name}_interval"] is None
    assert whole["clusters"] == 1


def unlike(scheme):
    """Targets and the answers of two seeds, of which the second is far off."""
    if scheme is LABELS:
        targets, p = labels()
        return targets, [np.where(labels(1)[1] < 0.8, targets, p), p**4]
    targets, answers = values()
    return targets, [answers, np.clip(6 - answers, 1, 2)]


@pytest.mark.parametrize("scheme", [LABELS, VAD], ids=["labels", "values"])
def test_the_interval_is_that_of_the_mean_of_seeds_that_differ(scheme):
    targets, answers = unlike(scheme)
    found = scored.score(scheme, targets, answers, CLUSTERS)
    name = scored.main_of(found)
    cluster = np.arange(60) % 7
    draw = np.random.default_rng(0)
    means = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(cluster == one) for one in draw.integers(0, 7, 7)])
        if scheme is LABELS:
            true, said = targets[rows] > 0, [p[rows] >= 0.5 for p in answers]
            recalls = [((p == true) & part).sum(0) / part.sum(0) for p in said for part in (true, ~true)]
            each = np.concatenate(recalls)
        else:
            each = [concordance(own[rows, k], targets[rows, k]) for own in answers for k in range(2)]
        means.append(np.mean(each))
    np.testing.assert_allclose(found[f"{name}_interval"], np.quantile(means, [0.025, 0.975]))
    assert found[f"{name}_interval"][0] < found[name] < found[f"{name}_interval"][1]


@pytest.mark.parametrize("scheme", [LABELS, VAD], ids=["labels", "values"])
def test_figures_of_stored_answers_are_means_over_seeds_as_the_scores_are(scheme):
    targets, answers = unlike(scheme)
    score = scored.score(scheme, targets, answers, CLUSTERS)
    name = scored.main_of(score)
    stored = (np.tile(targets, (2, 1)), np.concatenate(answers), np.arange(120) % 60 % 7, np.repeat([1, 0], 60))
    own = intervals.mean(intervals.Answered(scheme.kind, *stored), (name,))
    assert own[name] == pytest.approx(score[name])
    assert own[f"{name}_interval"] == pytest.approx(score[f"{name}_interval"])
    each = {row["name"]: row for row in intervals.each(intervals.Answered(scheme.kind, *stored), scheme.names)}
    for part, figures in score["labels" if scheme is LABELS else "dimensions"].items():
        assert {figure: each[part][figure] for figure in figures} == pytest.approx(figures)
        assert each[part][f"{name}_interval"][0] < each[part][name] < each[part][f"{name}_interval"][1]


@given(st.lists(st.tuples(st.floats(1, 5), st.floats(1, 5), st.integers(0, 3)), min_size=1, max_size=30))
def test_tallies_of_clusters_add_to_that_of_all(rows):
    x, y = (np.asarray([[row[place]] for row in rows]) for place in (0, 1))
    apart = rated.tallies(x, y, [row[2] for row in rows]).sum(0)
    np.testing.assert_allclose(apart, rated.tallies(x, y, [0] * len(rows)).sum(0))
    ccc = rated.figures(apart)["ccc"]
    assert np.isnan(ccc).all() or (np.abs(ccc) <= 1 + 1e-9).all()


def test_what_never_varies_has_no_correlation():
    same = np.full((10, 1), 0.1)
    found = rated.figures(rated.tallies(same, same, range(10)).sum(0))
    assert np.isnan(found["pearson"]).all()
    assert np.isnan(found["ccc"]).all()
    assert found["mae"] == 0


def test_sentiment_is_told_apart_both_ways_and_rounded_away_from_zero():
    targets, answers = np.asarray([-3, -1, 0, 0.5, 2.5, -2.5]), np.asarray([-2.5, 0.2, 0.1, 1.0, 3.0, -2.4])
    found = rated.sentiment(targets, answers)
    assert found["acc2_negative_rest"] == pytest.approx(5 / 6)
    assert found["acc2_negative_positive"] == pytest.approx(4 / 5)
    kept = targets != 0
    f1 = metrics.f1_score(targets[kept] > 0, answers[kept] > 0, average="weighted")
    assert found["f1_negative_positive"] == pytest.approx(f1)
    assert found["acc7"] == pytest.approx(4 / 6)  # -2.5 is -3, and 0.5 and 2.5 are 1 and 3
    scores = scored.score(SENTIMENT, targets[:, None], [answers[:, None]], range(6))
    assert scores["sentiment"] == found


def test_the_recalls_of_classes_are_means_over_seeds_and_their_mean_is_uar():
    scheme = LabelScheme("classes", "one-of", ("a", "b", "c"))
    draw = np.random.default_rng(0)
    targets, answers = draw.integers(0, 3, 60), [draw.dirichlet(np.ones(3), 60) for _ in range(2)]
    found = scored.score(scheme, targets, answers, CLUSTERS)
    each = [metrics.recall_score(targets, one.argmax(1), average=None) for one in answers]
    assert list(found["recall"].values()) == pytest.approx(np.mean(each, 0))
    assert np.mean(list(found["recall"].values())) == pytest.approx(found["uar"])


def test_figures_of_each_label_have_intervals_of_their_own():
    targets, p = labels()
    rows = intervals.each(intervals.Answered("many-of", targets, p, np.arange(60) % 7, np.zeros(60)), LABELS.names)
    assert [row["name"] for row in rows] == list(LABELS.names)
    for row in rows:
        assert row["f1_interval"][0] <= row["f1"] <= row["f1_interval"][1]
