"""Exact Shapley shares of the modalities: three modalities have only eight subsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb


def shapley(players: Sequence[str], value: Callable[[tuple[str, ...]], float]) -> dict[str, float]:
    """Return each player's Shapley value (Shapley 1953); they sum to ``value(all) - value(())``.

    ``value`` is called once for each of the ``2 ** n`` subsets, in the players' order.
    """
    n = len(players)
    worth = {subset: value(subset) for size in range(n + 1) for subset in combinations(players, size)}
    shares = {}
    for player in players:
        gains = (
            (worth[tuple(p for p in players if p in subset or p == player)] - without) / comb(n - 1, len(subset))
            for subset, without in worth.items()
            if player not in subset
        )
        shares[player] = sum(gains) / n
    return shares
