"""Which labels a command learns: the scheme that its corpora share, and each segment's target in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from mercli.corpora import manifest
from mercli.errors import ConfigError, DataError
from mercli.labels import CANONICAL, POLICIES, UNDECIDED, VARIANTS, is_canonical, scheme_of
from mercli.types import LabelScheme, Segment

Target = int | tuple[float, ...]
"""A class by its index, or a number for each label (0 or 1) or dimension."""


def common_scheme(held: Sequence[manifest.Manifest], wanted: str | None = None) -> LabelScheme:
    """Return the scheme called ``wanted``; if none is, the seven classes where every corpus has them, else the one
    corpus's own. Raises ``ConfigError`` where a corpus has no such scheme, ``DataError`` where none fits all.
    """
    if wanted is not None:
        return _called(held, wanted)
    if len(held) == 1 and not _known(held[0]):
        return held[0].scheme
    mapped = [_has_canonical(m) for m in held]
    if all(mapped):
        return scheme_of([m.label_map for m in held if m.label_map])
    names = ", ".join(m.name for m, fits in zip(held, mapped, strict=True) if not fits)
    raise DataError(f"no label of {names} fits the scheme '{CANONICAL.name}'", "train on one such corpus alone")


def schemes(held: manifest.Manifest) -> tuple[str, ...]:
    """Return the names of the schemes that a corpus can be learned in."""
    beside = tuple(scheme.name for scheme in held.schemes)
    return tuple(dict.fromkeys((CANONICAL.name, *beside) if _has_canonical(held) else beside))


def _called(held: Sequence[manifest.Manifest], wanted: str) -> LabelScheme:
    for one in held:
        names = schemes(one)
        if wanted not in names:
            raise ConfigError(
                f"corpus '{one.name}' has no labels of a scheme '{wanted}', expected {' or '.join(names)}",
                f"--scheme {next(iter(get_close_matches(wanted, names, 1)), names[0])}",
            )
    if wanted == CANONICAL.name:
        return scheme_of([m.label_map for m in held if m.label_map])
    told = [next(scheme for scheme in one.schemes if scheme.name == wanted) for one in held]
    for one, scheme in zip(held, told, strict=True):
        if _form(scheme) != _form(told[0]):
            raise DataError(
                f"'{wanted}' is {', '.join(told[0].names)} in '{held[0].name}', "
                f"and {', '.join(scheme.names)} in '{one.name}'",
                "give corpora whose labels are the same",
            )
    return told[0]


def _form(scheme: LabelScheme) -> tuple[object, ...]:
    """Return what two corpora's schemes of one name must share; the order of names may differ."""
    return scheme.kind, frozenset(scheme.names), scheme.low, scheme.high


def _has_canonical(held: manifest.Manifest) -> bool:
    return held.label_map is not None and any(held.label_map.table.values())


def _known(held: manifest.Manifest) -> bool:
    """Tell whether every label is a canonical class, one that a named policy speaks of, or no class at all."""
    table = held.label_map.table if held.label_map else {}
    return bool(table) and all(
        to or label.strip().lower() in (*POLICIES, *VARIANTS, *UNDECIDED) for label, to in table.items()
    )


def policy_of(held: Sequence[manifest.Manifest]) -> str:
    """Return the policy of the corpora's labels; where they differ, each with its corpora."""
    named: dict[str, list[str]] = {}
    for one in held:
        named.setdefault(str(one.card.get("policy", CANONICAL.name)), []).append(one.name)
    if len(named) == 1:
        return next(iter(named))
    return "; ".join(f"{policy} ({', '.join(names)})" for policy, names in named.items())


def label_in(segment: Segment, held: manifest.Manifest, scheme: LabelScheme) -> str | None:
    """Return a segment's class in a one-of scheme, ``None`` where its label is of none."""
    raw = segment.labels.get(source(held, scheme))
    if raw is None:
        return None
    mapped = held.label_map.table.get(str(raw)) if is_canonical(scheme) and held.label_map else str(raw)
    return mapped if mapped in scheme.names else None


def source(held: manifest.Manifest, scheme: LabelScheme) -> str:
    """Return under which name a corpus's segments keep what a scheme's targets are made of."""
    beside = (own.name for own in held.schemes[1:])
    return scheme.name if scheme.name in beside else held.scheme.name


def target_in(segment: Segment, held: manifest.Manifest, scheme: LabelScheme) -> Target | str:
    """Return a segment's target in a scheme, or what it has instead, in words.

    A label of many is there where its value is above 0 (CMU-MultimodalSDK); a segment that lacks the value of a
    dimension has no target.
    """
    raw = segment.labels.get(source(held, scheme))
    if scheme.kind == "one-of":
        label = label_in(segment, held, scheme)
        return str(raw) if label is None else scheme.names.index(label)
    if raw is None:
        return f"no {scheme.name}"
    table: Mapping[str, float] = raw if isinstance(raw, dict) else {scheme.names[0]: float(raw)}
    if scheme.kind == "many-of":
        return tuple(float(table.get(name, 0.0) > 0) for name in scheme.names)
    absent = [name for name in scheme.names if name not in table]
    return f"no {', '.join(absent)}" if absent else tuple(float(table[name]) for name in scheme.names)
