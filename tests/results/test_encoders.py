"""The encoder x left-out table from rows made up by hand."""

from __future__ import annotations

import pytest

from mercli.results import encoders


def row(encoder, corpus, uar, seen=(), home=None):
    others = None if home is None else {"uar": home, "corpora": ["else"], "seen_by": {}}
    score = {"uar": uar, "uar_interval": [uar - 0.1, uar + 0.1]}
    where = {"head": f"late@{encoder}", "encoder": encoder, "corpus": corpus}
    return {**where, "held_out": score, "others_test": others, "seen_by": list(seen)}


def test_means_hold_no_fold_that_is_seen_and_the_common_one_the_same_corpora_for_all():
    (table,) = encoders.tables(
        [
            row("a", "x", 0.9, seen=("audio",)), row("a", "y", 0.4, home=0.5), row("a", "z", 0.6, home=0.7),
            row("b", "x", 0.3, home=0.2), row("b", "y", 0.5), row("b", "z", 0.1, seen=("text",)),
        ]
    )  # fmt: skip
    first, second = table["rows"]
    assert (table["head"], table["corpora"], table["common"]) == ("late", ["x", "y", "z"], ["y"])
    assert (first["mean"], first["common_mean"]) == (pytest.approx(0.5), 0.4)
    assert (second["mean"], second["common_mean"]) == (pytest.approx(0.4), 0.5)
    assert (first["others_test"], second["others_test"]) == (pytest.approx(0.6), 0.2)
    assert table["average"] == {"x": 0.3, "y": pytest.approx(0.45), "z": 0.6}
    assert "over y, which no encoder has seen, best is b with a mean UAR of 0.50; worst is a" in encoders.said(
        "T", table
    )


def test_rows_without_a_corpus_in_common_have_no_mean_that_compares_them():
    (table,) = encoders.tables([row("a", "x", 0.5), row("b", "x", 0.6, seen=("text",)), row("b", "y", 0.7)])
    assert [made["common_mean"] for made in table["rows"]] == [None, None]
    assert "y" not in table["rows"][0]["cells"]
    assert "no mean compares them" in encoders.said("T", table)
