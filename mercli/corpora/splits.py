"""Splits: group-disjoint, stratified by label, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from mercli.errors import ConfigError
from mercli.types import Segment

NAMES = ("train", "dev", "test")
SPELLINGS = {
    **{name: name for name in NAMES},
    "training": "train", "val": "dev", "valid": "dev", "validation": "dev", "devel": "dev", "development": "dev",
    "testing": "test",
}  # fmt: skip
GROUPS = ("speaker", "dialogue", "clip")


@dataclass(frozen=True)
class SplitRule:
    """``GROUP:TRAIN/DEV/TEST``: what stays together, and the share of segments each split should get."""

    group: str
    shares: tuple[float, ...]


def parse(text: str) -> SplitRule:
    """Return the rule of ``speaker:0.8/0.1/0.1``; raises ``ConfigError`` for another form."""
    group, _, numbers = text.partition(":")
    try:
        shares = tuple(float(number) for number in numbers.split("/"))
    except ValueError:
        shares = ()
    if group not in GROUPS or len(shares) != 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise ConfigError(
            f"--split '{text}' cannot be read, expected GROUP:TRAIN/DEV/TEST with shares that sum to 1",
            "mer prepare --split speaker:0.8/0.1/0.1 ...",
        )
    return SplitRule(group, shares)


def _group(segment: Segment, rule: SplitRule) -> str:
    key = {"speaker": segment.speaker, "dialogue": segment.dialogue, "clip": segment.clip_id}[rule.group]
    if key is None:
        raise ConfigError(
            f"--split {rule.group}:... asks for a {rule.group}, and segment '{segment.id}' has none",
            "mer prepare --split clip:0.8/0.1/0.1 ...",
        )
    return key


def assign(segments: Iterable[Segment], rule: SplitRule, seed: int) -> dict[str, str]:
    """Return the split of each group: the largest first, each to the split whose classes lack it most."""
    groups: dict[str, Counter[str]] = {}
    for segment in segments:
        label = "/".join(map(str, segment.labels.values()))
        groups.setdefault(_group(segment, rule), Counter())[label] += 1
    total = sum(groups.values(), Counter[str]())
    order = sorted(groups)
    random.Random(seed).shuffle(order)  # noqa: S311 - a split is not a secret
    order.sort(key=lambda g: -groups[g].total())
    lack = [{label: share * n for label, n in total.items()} for share in rule.shares]
    result = {}
    for group in order:
        split = _neediest(groups[group], lack, rule.shares)
        result[group] = NAMES[split]
        for label, n in groups[group].items():
            lack[split][label] -= n
    return result


def _neediest(counts: Counter[str], lack: Sequence[dict[str, float]], shares: Sequence[float]) -> int:
    def need(split: int) -> float:
        if shares[split] == 0:
            return float("-inf")
        return sum(min(lack[split][label], n) for label, n in counts.items()) / (counts.total() * shares[split] ** 0.5)

    return max(range(len(shares)), key=lambda split: (need(split), sum(lack[split].values())))


def apply(segments: Iterable[Segment], rule: SplitRule, table: dict[str, str]) -> Iterable[Segment]:
    """Yield the segments with the split of their group."""
    for segment in segments:
        yield replace(segment, split=table[_group(segment, rule)])
