"""The page of corpora: the written head, then a section for each built-in reader from the registry and its facts."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from mercli import labels, presets, registry
from mercli.contracts import CorpusReader, Expected, Facts
from mercli.corpora import expected, facts

HERE = Path(__file__).parent
FACTS = Path(facts.__file__).parent
GROUPS_SHOWN = 40
"""A cross-validation of more groups than this is told by its note alone."""
POLICIES_SHOWN = 2
"""A reader with more policies has nearly all: they are told once, above."""


def text() -> str:
    """Return the page: its tables stand where the head asks for them, its forms in the sections they are named for."""
    head, *rest = re.split(
        r"^<!-- form: (\w+) -->\n", (HERE / "corpora.head.md").read_text(encoding="utf-8"), flags=re.M
    )
    forms = dict(zip(rest[::2], rest[1::2], strict=True))
    specs = [spec for spec in registry.specs("corpora") if spec.origin.startswith("mercli:")]
    readers = {spec.name: registry.build("corpora", spec.name) for spec in specs}
    tables: dict[str, Callable[[], list[str]]] = {
        "releases": lambda: _overview([spec for spec in specs if _told(spec.name)], readers),
        "lists": lambda: _overview([spec for spec in specs if not _told(spec.name)]),
        "policies": lambda: _policies(specs),
        "classes": lambda: _classes(specs, readers),
        "spellings": _spellings,
    }
    page = re.sub(r"^<!-- table: (\w+) -->$", lambda asked: "\n".join(tables[asked[1]]()), head, flags=re.M)
    parts = [page.rstrip("\n"), ""]
    for spec in specs:
        parts += [*_section(spec, readers[spec.name], forms.pop(spec.name, "").strip("\n")), ""]
    if forms:
        raise ValueError(f"forms of no corpus: {', '.join(forms)}")
    return "\n".join(parts).rstrip("\n") + "\n"


def _overview(specs: Iterable[registry.Spec], readers: Mapping[str, CorpusReader] | None = None) -> list[str]:
    """Return what each corpus is; its licence too, where ``readers`` know it."""
    rows = [(f"[`{spec.name}`](#{spec.name})", _plain(spec.summary)) for spec in specs]
    if readers is None:
        return _table(("name", "what"), rows)
    licences = [readers[spec.name].card()["licence"] for spec in specs]
    return _table(("name", "what", "licence"), [(*row, one) for row, one in zip(rows, licences, strict=True)])


def _policies(specs: Sequence[registry.Spec]) -> list[str]:
    rows = []
    for name, choices in labels.POLICIES.items():
        default = labels.DEFAULT_POLICY[name]
        told = [f"`{choice}`: {_outcome(target)}" for choice, target in choices.items() if choice != default]
        asked = ", ".join(spec.name for spec in specs if name in spec.options())
        rows.append((f"`{name}`", f"`{default}`: {_outcome(choices[default])}", "; ".join(told), asked))
    return _table(("policy", "default", "or", "option of"), rows)


def _outcome(target: str | None) -> str:
    if target is None:
        return "left out"
    return f"counts as {target}" if target in labels.CANONICAL.names else f"an eighth class, {target}"


def _classes(specs: Iterable[registry.Spec], readers: Mapping[str, CorpusReader]) -> list[str]:
    """Return each corpus's own labels by canonical class under the default policies."""
    classes = (*labels.CANONICAL.names, None)
    rows = []
    for spec in specs:
        own = readers[spec.name].scheme.names
        if not own or spec.name == "made":
            continue
        table = readers[spec.name].card()["label_map"].table
        cells = [", ".join(_spelled(name, spec) for name in own if table.get(name) == one) for one in classes]
        rows.append((f"`{spec.name}`", *cells))
    return _table(("corpus", *labels.CANONICAL.names, "left out"), rows)


def _spelled(label: str, spec: registry.Spec) -> str:
    """Return a label, in italics where an option of the corpus decides what becomes of it."""
    word = labels.VARIANTS.get(label.lower(), label.lower())
    return f"*{label}*" if word in labels.POLICIES and word in spec.options() else label


def _spellings() -> list[str]:
    rows: list[tuple[str, str]] = [(name, ", ".join(labels.SYNONYMS[name])) for name in labels.CANONICAL.names]
    variants: dict[str, list[str]] = {}
    for word, policy in labels.VARIANTS.items():
        variants.setdefault(policy, []).append(word)
    rows += [(f"*{name}* (a policy)", ", ".join(variants.get(name, ()))) for name in labels.POLICIES]
    rows.append(("left out", ", ".join(labels.UNDECIDED)))
    return _table(("class", "also spelled"), rows)


def _section(spec: registry.Spec, reader: CorpusReader, form: str) -> list[str]:
    card, told = reader.card(), _told(spec.name)
    parts = [f"## {spec.name}", "", _fill(_plain(spec.summary)), ""]
    if told:
        licence = f"Licence: {card['licence']}."
        parts += [_fill(f"**Get it.** {told['get']} {licence}"), "", "**What is read.**", ""]
        parts += [*(_bullet(line) for line in told["read"]), ""]
    if form:
        parts += [form, ""]
    parts += [*_options(spec), ""]
    if spec.name != "made":  # its card is that of the corpus it is like
        parts += [_fill(f"**Splits.** {card['splits'][0].upper()}{card['splits'][1:]}."), ""]
    parts += _known_of(reader.facts)
    if told:
        parts.append(f"All of this as data: [{spec.name}.yaml](../mercli/corpora/facts/{spec.name}.yaml).")
    return parts if parts[-1] else parts[:-1]


def _told(name: str) -> Mapping[str, Any]:
    """Return what the facts of a corpus tell a reader of this page; empty for a corpus without facts."""
    path = FACTS / f"{name}.yaml"
    return presets.parse(path.read_text(encoding="utf-8"), path.name) if path.is_file() else {}


def _options(spec: registry.Spec) -> list[str]:
    options = spec.options()
    if not options:
        return ["**Options.** None."]
    said = " ".join(" ".join((inspect.getdoc(spec.build) or "").splitlines()[1:]).split()).replace("``", "`")
    policies = [name for name in options if name in labels.POLICIES]
    alike = policies if len(policies) > POLICIES_SHOWN else []
    rows = [
        (f"`{name}`", "none" if option.default is None else f"`{option.default}`", _choices(name, option))
        for name, option in options.items()
        if name not in alike
    ]
    if alike:
        rows.append((", ".join(f"`{name}`" for name in alike), "[policies](#labels)", "[policies](#labels)"))
    return [_fill(f"**Options** (`--set NAME=VALUE`). {said}"), "", *_table(("option", "default", "may be"), rows)]


def _choices(name: str, option: inspect.Parameter) -> str:
    if name in labels.POLICIES:
        return ", ".join(f"`{choice}`" for choice in labels.POLICIES[name])
    kinds = get_args(option.annotation)
    words = [one for one in kinds if isinstance(one, str)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    kind = next((one for one in kinds if one is not type(None)), option.annotation)
    return {str: "text", int: "a whole number", float: "a number"}[kind]


def _known_of(own: Facts) -> list[str]:
    parts = []
    if own.folds:
        parts += ["**Folds by name** (`--split NAME:K`).", "", *_folds(own), ""]
    if own.known:
        parts += ["**Known overlaps and limits** (`mer audit` prints them).", "", *map(_bullet, own.known), ""]
    if own.errata:
        parts += ["**Errata**, applied while preparing.", "", *_errata(own), ""]
    if own.expected:
        parts += ["**Counts** that `--check` compares with.", "", *_counts(own.expected), ""]
    return parts


def _folds(own: Facts) -> list[str]:
    rows = []
    for name, folds in own.folds.items():
        tests = [fold.get("test", ()) for fold in folds.folds]
        few = sum(map(len, tests)) <= GROUPS_SHOWN
        shown = "; ".join(" ".join(groups) for groups in tests) if few else ""
        rows.append((f"`{name}:1` to `{name}:{len(tests)}`", folds.group, folds.note, shown))
    return _table(("fold", "by", "what", "tests on"), rows)


def _errata(own: Facts) -> list[str]:
    rows = []
    for one in own.errata:
        count = f"{len(one.ids)} {one.by}{'s' * (len(one.ids) > 1)}"
        rows.append((one.kind, count, ", ".join(one.mask) or "nothing: only flagged", one.note))
    return _table(("kind", "of", "not used", "why"), rows)


def _counts(variants: Mapping[str, Expected]) -> list[str]:
    """Return a table for each set of labels: the variants that have it, part by part."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, variant in variants.items():
        found = tuple(dict.fromkeys(label for counts in variant.counts.values() for label in counts))
        key = next((held for held in groups if set(held) == set(found)), found)
        groups.setdefault(key, []).append(name)
    parts: list[str] = []
    for names, held in groups.items():
        shown = [name for name in names if name != expected.TOTAL]
        rows = [
            (f"`{name}`{'' if variants[name].exact else ' *'}", _part(part), *_row(counts, shown))
            for name in held
            for part, counts in variants[name].counts.items()
        ]
        by = {variants[name].by for name in held} - {"all"}
        part = by.pop() if len(by) == 1 else "part"
        parts += [*_table(("release", part, *shown, "all"), rows, numbers=len(shown) + 1), ""]
    if not all(variant.exact for variant in variants.values()):
        parts += ["\\* Copies are known to differ: another count is told, and is no fault.", ""]
    return parts[:-1]


def _part(part: str) -> str:
    return "no split" if part == "(none)" else part


def _row(counts: Mapping[str, int], shown: Sequence[str]) -> list[object]:
    """Return a part's counts and their sum; blanks where only the sum is known."""
    if expected.TOTAL in counts:
        return ["" for _ in shown] + [counts[expected.TOTAL]]
    return [*(counts.get(label, 0) for label in shown), sum(counts.values())]


def _plain(prose: str) -> str:
    """Return prose whose ``<words>`` are not taken for HTML."""
    return prose.replace("<", "\\<")


def _table(names: Sequence[str], rows: Iterable[Sequence[object]], numbers: int = 0) -> list[str]:
    """Return a table in Markdown, its last ``numbers`` columns to the right."""
    rule = ["---"] * (len(names) - numbers) + ["--:"] * numbers
    lines = [names, *rows]
    shown = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
    return [shown[0], f"|{'|'.join(rule)}|", *shown[1:]]


def _fill(prose: str, indent: str = "") -> str:
    return textwrap.fill(
        " ".join(prose.split()),
        118,
        initial_indent=indent,
        subsequent_indent=" " * len(indent),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _bullet(prose: str) -> str:
    return _fill(prose, "- ")
