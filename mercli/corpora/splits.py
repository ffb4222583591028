"""Splits: group-disjoint, stratified by label, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from mercli.contracts import Excluded, Folds
from mercli.errors import ConfigError
from mercli.registry import near
from mercli.types import Clip, Segment

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


@dataclass(frozen=True)
class Assignment:
    """The split of each group; a group that ``table`` does not name goes to ``rest``."""

    group: str
    table: Mapping[str, str]
    rest: str | None = None


def assigned(segments: Iterable[Segment], text: str, folds: Mapping[str, Folds], seed: int) -> Assignment:
    """Return what ``--split`` asks for: ``GROUP:T/D/T`` drawn from the segments, or ``NAME:K``, the K-th named fold.

    Raises ``ConfigError`` for another form, an unknown fold, or segments without that group.
    """
    name, _, number = text.partition(":")
    if not number.isdecimal():
        rule = parse(text)
        return Assignment(rule.group, assign(segments, rule, seed))
    if name not in folds:
        raise ConfigError(f"--split '{text}': this corpus has no folds called '{name}'{near(name, folds)}")
    own = folds[name]
    if not 1 <= int(number) <= len(own.folds):
        raise ConfigError(f"--split '{text}': the folds '{name}' are numbered 1 to {len(own.folds)}")
    fold = own.folds[int(number) - 1]
    return Assignment(own.group, {group: split for split, groups in fold.items() for group in groups}, "train")


def parse(text: str) -> SplitRule:
    """Return the rule of ``speaker:0.8/0.1/0.1``; raises ``ConfigError`` for another form."""
    group, _, numbers = text.partition(":")
    try:
        shares = tuple(float(number) for number in numbers.split("/"))
    except ValueError:
        shares = ()
    if group not in GROUPS or len(shares) != 3 or abs(sum(shares) - 1) > 1e-6 or min(shares) < 0:
        raise ConfigError(
            f"--split '{text}' cannot be read, expected GROUP:TRAIN/DEV/TEST: one of {', '.join(GROUPS)}, "
            "and shares that sum to 1",
            "mer prepare --split speaker:0.8/0.1/0.1 ...",
        )
    return SplitRule(group, shares)


def group_of(segment: Segment, group: str) -> str:
    """Return a segment's ``speaker``, ``dialogue`` or ``clip``; raises ``ConfigError`` where it has none."""
    key = {"speaker": segment.speaker, "dialogue": segment.dialogue, "clip": segment.clip_id}[group]
    if key is None:
        raise ConfigError(
            f"splitting by {group} was asked for, and segment '{segment.id}' has none",
            "name another group: mer prepare --split clip:0.8/0.1/0.1, or mer train --folds clip:5",
        )
    return key


def assign(segments: Iterable[Segment], rule: SplitRule, seed: int) -> dict[str, str]:
    """Return the split of each group: the largest first, each to the split whose classes lack it most."""
    groups: dict[str, Counter[str]] = {}
    for segment in segments:
        # values and many-of labels would make nearly every segment a class of its own
        label = "/".join(value for value in segment.labels.values() if isinstance(value, str))
        groups.setdefault(group_of(segment, rule.group), Counter())[label] += 1
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


def applied(items: Iterable[Clip | Segment | Excluded], assignment: Assignment) -> Iterator[Clip | Segment | Excluded]:
    """Yield the items, segments with the split of their group."""
    for item in items:
        if isinstance(item, Segment):
            group = group_of(item, assignment.group)
            item = replace(item, split=assignment.table.get(group, assignment.rest))
        yield item
