"""What reports compute, beside independent computations of the same."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mercli.errors import MissingExtra
from mercli.results import calibrated, classes, grouped, metrics, projected, stats, style

DRAW = np.random.default_rng(3)


def answers(count=300, names=4):
    targets = DRAW.integers(0, names, count)
    predicted = np.where(DRAW.random(count) < 0.6, targets, DRAW.integers(0, names, count))
    return targets, predicted, [f"s{n}" for n in DRAW.integers(0, 12, count)]


def test_intervals_of_classes_are_those_of_the_matrix_bootstrap():
    targets, predicted, clusters = answers()
    rows = classes.per_class(targets, predicted, clusters, list("abcd"), draws=200)
    for index, row in enumerate(rows):
        given = (targets, predicted, clusters, 4)
        recall = stats.clustered_interval(lambda m, i=index: m[i, i] / m[i].sum(), *given, draws=200)
        precision = stats.clustered_interval(lambda m, i=index: m[i, i] / m[:, i].sum(), *given, draws=200)
        assert row["recall_interval"] == pytest.approx(recall)
        assert row["precision_interval"] == pytest.approx(precision)


def test_one_cluster_gives_no_interval_and_an_absent_class_no_figure():
    rows = classes.per_class(np.asarray([0, 0]), np.asarray([0, 1]), ["s", "s"], ["a", "b", "c"])
    assert [row["recall"] for row in rows] == [0.5, None, None]
    assert [row["precision"] for row in rows] == [1.0, 0.0, None]
    assert rows[0]["recall_interval"] is None


def test_two_hundred_classes_are_drawn():
    rows = [{"class": f"c{n}", "support": 1, **dict.fromkeys(classes.FIGURES, 0.5)} for n in range(200)]
    rows = [{**row, **{f"{f}_interval": [0.4, 0.6] for f in classes.FIGURES}} for row in rows]
    assert classes.picture(rows, "many")["png"].startswith(b"\x89PNG")


def test_calibration_by_hand():
    scores = np.asarray([[0.95, 0.05], [0.92, 0.08], [0.35, 0.65], [0.62, 0.38]])
    found = calibrated.summary(scores, np.asarray([0, 1, 1, 0]))
    assert [row["n"] for row in found["bins"]] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 2]
    assert found["ece"] == pytest.approx((2 * abs(1 - 0.635) + 2 * abs(0.5 - 0.935)) / 4)
    assert found["brier"] == pytest.approx(2 * (0.05**2 + 0.92**2 + 0.35**2 + 0.38**2) / 4)
    assert [point["risk"] for point in found["risk_coverage"]] == pytest.approx([0, 1 / 2, 1 / 3, 1 / 4])
    assert found["aurc"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4) / 4)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_and_ties_share_their_errors():
    bins = calibrated.reliability(np.asarray([0.5, 1.0, 0.0]), np.asarray([True, True, False]))
    assert [index for index, row in enumerate(bins) if row["n"]] == [0, 4, 9]
    for right in ([True, False], [False, True]):
        _, risk, area = calibrated.risk_coverage(np.asarray([0.7, 0.7]), np.asarray(right))
        assert (risk, area) == ([0.5, 0.5], 0.5)


def test_answers_drawn_from_their_own_probabilities_are_calibrated_and_sharper_ones_are_not():
    scores = DRAW.dirichlet([1, 1, 1], 20000)
    targets = np.asarray([DRAW.choice(3, p=row) for row in scores])
    sharp = scores**3 / (scores**3).sum(1, keepdims=True)
    assert calibrated.summary(scores, targets)["ece"] < 0.02
    assert calibrated.summary(sharp, targets)["ece"] > 0.1
    assert len(calibrated.summary(scores, targets)["risk_coverage"]) == calibrated.POINTS


def test_a_projection_of_two_thousand_points_is_small_and_the_same_twice():
    groups = [f"g{n % 30}" for n in range(2000)]
    panels = [projected.project(f"p{n}", np.arange(2000), DRAW.normal(size=(2000, 5)), groups, "pca") for n in range(4)]
    first, second = (projected.picture(panels, groups, "many") for _ in range(2))
    assert first == second
    assert max(len(first["png"]), len(first["svg"])) < 300_000
    assert b"19 others" in first["svg"]


def test_a_projection_by_umap_without_the_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtra) as told:
        projected.project("p", np.arange(9), DRAW.normal(size=(9, 3)), list("abcabcabc"), "umap")
    assert "mercli[umap]" in told.value.hint


def test_figures_of_groups_are_those_of_the_matrix_bootstrap():
    targets, predicted, clusters = answers()
    found = grouped.measured(targets, predicted, clusters, 4, draws=200)
    for name, figure in (("uar", metrics.uar_of), ("accuracy", metrics.accuracy_of)):
        interval = stats.clustered_interval(figure, targets, predicted, clusters, 4, draws=200)
        assert found[f"{name}_interval"] == pytest.approx(interval)
    assert found["uar"] == pytest.approx(metrics.uar(targets, predicted, 4))
    assert grouped.measured(targets, predicted, ["s"] * len(targets), 4)["uar_interval"] is None


def test_emotions_have_their_colours_beside_any_others_and_others_are_told_apart():
    found = style.palette(["calm", "happy", "bored"])
    assert found["happy"] == style.emotion("happy") == style.EMOTIONS["happy"]
    assert len(set(found.values())) == 3
    assert not set(style.FURTHER) & set(style.EMOTIONS.values())
