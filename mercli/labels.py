"""Label schemes, and the named, versioned policies that bring each corpus's labels into one of them.

The seven canonical classes are Ekman's six and neutral. Every policy decision (calm, excited, frustrated, ...) is an
option with a name; what is dropped is counted by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mercli.errors import ConfigError
from mercli.types import LabelMap, LabelScheme

CANONICAL = LabelScheme("canonical-7", "one-of", ("neutral", "happy", "sad", "angry", "surprise", "fear", "disgust"))
POLICY_VERSION = "1"
CLASS_SETS: dict[str, tuple[str, ...]] = {
    "4": ("neutral", "happy", "sad", "angry"),
    "6": ("neutral", "happy", "sad", "angry", "excited", "frustrated"),
    "7": CANONICAL.names,
}
"""Named choices of classes: the four and six that IEMOCAP is reported on, and all seven."""

THRESHOLD = 0.5
"""The probability at which a label of a many-of scheme is given."""
FIGURES: dict[str, tuple[str, ...]] = {
    "one-of": ("uar", "accuracy", "weighted_f1", "macro_f1"),
    "many-of": ("weighted_accuracy", "f1", "weighted_f1"),
    "values": ("ccc", "pearson", "mae"),
}
"""What each kind of scheme is scored by: the first is its main figure, told with intervals and watched in training."""
WORDS: dict[str, str] = {
    "uar": "UAR",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "weighted_accuracy": "weighted accuracy",
    "f1": "F1",
    "ccc": "CCC",
    "pearson": "Pearson",
    "mae": "MAE",
    "precision": "precision",
    "recall": "recall",
}
"""How figures are called where they are read."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "neutral": ("neu", "no emotion"),
    "happy": ("hap", "joy", "happiness", "joyful"),
    "sad": ("sadness",),
    "angry": ("ang", "anger", "mad"),
    "surprise": ("sur", "surprised", "ps", "pleasant surprise"),
    "fear": ("fea", "fearful", "scared", "afraid", "anxiety"),
    "disgust": ("dis", "disgusted"),
}

POLICIES: dict[str, dict[str, str | None]] = {
    "calm": {"neutral": "neutral", "own": "calm", "drop": None},
    "boredom": {"neutral": "neutral", "own": "boredom", "drop": None},
    "excited": {"happy": "happy", "own": "excited", "drop": None},
    "frustrated": {"drop": None, "angry": "angry", "own": "frustrated"},
    "contempt": {"drop": None, "disgust": "disgust", "own": "contempt"},
    "none": {"drop": None, "neutral": "neutral"},
}
DEFAULT_POLICY = {
    "calm": "neutral",
    "boredom": "neutral",
    "excited": "happy",
    "frustrated": "drop",
    "contempt": "drop",
    "none": "drop",
}
VARIANTS = {
    "exc": "excited",
    "excitement": "excited",
    "fru": "frustrated",
    "frustration": "frustrated",
    "bored": "boredom",
    "peaceful": "calm",
}

UNDECIDED = ("tie", "several", "undecided", "xxx", "oth", "other", "others")
"""What corpora write where raters agreed on no single class of the corpus: never a class to learn."""

_TO_CANONICAL = {word: name for name, words in SYNONYMS.items() for word in (name, *words)}


def policy(**choices: str) -> dict[str, str]:
    """Return the choice for each ambiguous label; raises ``ConfigError`` for a choice that its policy does not have."""
    for word, chosen in choices.items():
        if chosen not in POLICIES[word]:
            raise ConfigError(f"policy {word}={chosen!r} is unknown; expected {' or '.join(POLICIES[word])}")
    return choices


def canonical(label: str, choices: Mapping[str, str] | None = None) -> str | None:
    """Return the canonical class of a label in any usual spelling, or ``None`` where it has none."""
    word = label.strip().lower()
    word = VARIANTS.get(word, word)
    if word in POLICIES:
        chosen = (choices or {}).get(word, DEFAULT_POLICY[word])
        return POLICIES[word][policy(**{word: chosen})[word]]
    return _TO_CANONICAL.get(word)


def canonical_map(source: str, labels: Iterable[str], choices: Mapping[str, str] | None = None) -> LabelMap:
    """Return the map of a corpus's labels to the seven canonical classes under the named policies."""
    return LabelMap(source, CANONICAL.name, {label: canonical(label, choices) for label in sorted(set(labels))})


def policy_name(choices: Mapping[str, str] | None = None) -> str:
    """Return how a policy is named in reports: ``canonical-7/1`` and every choice that differs from the default."""
    changed = [f"{k}={v}" for k, v in sorted((choices or {}).items()) if DEFAULT_POLICY.get(k) != v]
    return "/".join([CANONICAL.name, POLICY_VERSION]) + "".join(f" {change}" for change in changed)


def scheme_of(maps: Iterable[LabelMap]) -> LabelScheme:
    """Return the canonical classes, and those that a policy keeps as their own (``calm=own``) behind them, by name."""
    own = sorted({name for one in maps for name in one.table.values() if name} - set(CANONICAL.names))
    if not own:
        return CANONICAL
    return LabelScheme("+".join([CANONICAL.name, *own]), "one-of", (*CANONICAL.names, *own))


def narrowed(scheme: LabelScheme, classes: Sequence[str]) -> LabelScheme:
    """Return the scheme with these classes only, in their order, or those of a named set (``4``, ``6``, ``7``).

    Raises ``ConfigError`` for a class that no label has under the policies of ``prepare``, and where there are none.
    """
    if scheme.kind != "one-of":
        raise ConfigError(
            f"--classes are for one-of schemes, and '{scheme.name}' is a {scheme.kind} scheme", "--scheme NAME"
        )
    names = CLASS_SETS[classes[0]] if len(classes) == 1 and classes[0] in CLASS_SETS else tuple(dict.fromkeys(classes))
    absent = [name for name in names if name not in scheme.names]
    if absent:
        kept = [f"--set {name}=own" for name in absent if name in POLICIES]
        hint = f"mer prepare ... {' '.join(kept)}" if kept else f"classes: {', '.join(scheme.names)}"
        raise ConfigError(f"no label is '{absent[0]}' under the policies of these corpora", hint)
    if len(names) < 2:
        raise ConfigError(f"{len(names)} class is too few, expected two or more")
    return scheme if names == scheme.names else LabelScheme(f"{len(names)}-of-{scheme.name}", "one-of", names)


def is_canonical(scheme: LabelScheme) -> bool:
    """Tell whether a scheme is made of the canonical classes: all, some, or more that a policy keeps as their own."""
    return scheme.name.endswith(CANONICAL.name) or scheme.name.partition("+")[0].endswith(CANONICAL.name)
