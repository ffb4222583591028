"""The encoder x left-out table: what each row of encoders scores on each held-out corpus, and means one may compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def tables(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a table per head from the rows of ``mer loco``: ``head``, ``corpora``, ``rows``, ``average``, ``common``.

    Each row has its ``encoder``, ``cells`` {corpus: uar, low, high, seen_by}, the ``mean`` over corpora that it has not
    seen, that over the ``common`` ones (which no row has seen and every row has scored), and ``others_test``, the mean
    over the same folds of the UAR on the training corpora's tests. ``average`` is by corpus, over the rows unseen.
    """
    corpora = list(dict.fromkeys(row["corpus"] for row in rows))
    of: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        of.setdefault(row["head"].removesuffix(f"@{row['encoder']}"), []).append(row)
    return [_table(head, corpora, own) for head, own in of.items()]


def _table(head: str, corpora: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    held = {(row["encoder"], row["corpus"]): row for row in rows}
    names = list(dict.fromkeys(row["encoder"] for row in rows))
    unseen = {key: row for key, row in held.items() if not row["seen_by"]}
    common = [corpus for corpus in corpora if all((name, corpus) in unseen for name in names)]
    made = []
    for name in names:
        own = {corpus: row for (encoder, corpus), row in unseen.items() if encoder == name}
        home = [row["others_test"] for row in own.values() if row["others_test"] is not None]
        made.append(
            {
                "encoder": name,
                "cells": {corpus: _cell(held[name, corpus]) for corpus in corpora if (name, corpus) in held},
                "mean": _mean(row["held_out"]["uar"] for row in own.values()),
                "common_mean": _mean(own[corpus]["held_out"]["uar"] for corpus in common),
                "others_test": _mean(
                    score["uar"] for score in home if not set(score["corpora"]) & set(score["seen_by"])
                ),
            }
        )
    average = {c: _mean(row["held_out"]["uar"] for (_, corpus), row in unseen.items() if corpus == c) for c in corpora}
    return {"head": head, "corpora": corpora, "rows": made, "average": average, "common": common}


def _cell(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["held_out"]["uar_interval"] or (None, None)
    return {"uar": row["held_out"]["uar"], "low": low, "high": high, "seen_by": row["seen_by"]}


def _mean(values: Any) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None


def said(title: str, table: Mapping[str, Any]) -> str:
    """Return what the picture of a table shows: the encoders whose mean over the common corpora is best and worst."""
    order = sorted(
        (row for row in table["rows"] if row["common_mean"] is not None), key=lambda row: -row["common_mean"]
    )
    if not order:
        return f"{title}: no corpus is unseen by all encoders, so no mean compares them."
    told = [f"{row['encoder']} with a mean UAR of {row['common_mean']:.2f}" for row in (order[0], order[-1])]
    over = f"over {', '.join(table['common'])}, which no encoder has seen"
    return f"{title}: {over}, best is {told[0]}" + (f"; worst is {told[1]}." if len(order) > 1 else ".")
