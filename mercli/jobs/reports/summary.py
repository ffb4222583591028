"""What a run is and its main figures, as the head of a page tells them: all from what lies in the run's folder."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli import presets
from mercli.errors import DataError
from mercli.labels import FIGURES, WORDS
from mercli.results.section import INTERVAL, Interval, Table

Pairs = list[tuple[str, str]]
TOLD = {
    "one-of": "UAR is the mean recall of the classes that occur; chance is one over their number.",
    "many-of": (
        "Weighted accuracy is the mean recall of a label's presence and absence, chance 0.5; figures are means over "
        "the labels that occur."
    ),
    "values": (
        "CCC is Lin's concordance, 0 for chance and 1 for the targets themselves; figures are means over dimensions."
    ),
}
DRAWN = (
    "The interval is a bootstrap that draws whole speakers (else dialogues, else clips: the clusters); the sd is that "
    "over seeds."
)
SEEN = "† An encoder or teacher was trained on this corpus: it tells nothing of ones never seen, and no mean holds it."
FEW = "Intervals over fewer than ten clusters are rough: they can be far too narrow."


@dataclass(frozen=True)
class Summary:
    """The head of a run's part of a page: title, facts, main figures, what they mean, what they leave out and why."""

    title: str
    facts: Pairs
    main: Table | None
    notes: list[str]
    left_out: Pairs


def summary(run: Path) -> Summary:
    """Return the summary of a run; raises ``DataError`` where its ``run.json`` or ``scores.json`` cannot be read."""
    config = presets.parse(_text(run / "config.yaml"), str(run / "config.yaml"))
    corpora = [str(name) for name in config.get("corpora", ())]
    heads = [str(name) for name in config.get("heads") or [config.get("head", {}).get("name", "")] if name]
    scores = _json(run / "scores.json")
    rows = list(_rows(scores))
    if "rows" in scores:
        title = f"Leaving one corpus out: {', '.join(heads)}"
    else:
        title = f"Trained and tested on {', '.join(corpora)}: {', '.join(heads)}" if rows else run.name
    return Summary(
        title=title,
        facts=list(_facts(run, config, corpora, heads)),
        main=_main(rows) if rows else None,
        notes=list(_notes(rows, scores.get("means", {}))),
        left_out=list(_left_out(scores)),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    """Return what a JSON file of a run holds, nothing where it is not there."""
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError as fault:
        raise DataError(f"'{path}' is not JSON: {fault}", f"ls {path.parent}") from fault
    if not isinstance(found, dict):
        raise DataError(f"'{path}' holds no JSON object", f"ls {path.parent}")
    return found


def _facts(run: Path, config: Mapping[str, Any], corpora: list[str], heads: list[str]) -> Iterator[tuple[str, str]]:
    made = _json(run / "run.json")
    cards = sorted(run.glob("bundle/**/bundle.json"))
    card = _json(cards[0]) if cards else {}
    yield "run", run.name
    if "time" in made:
        yield "date", made["time"][:16].replace("T", " ") + " UTC"
    if corpora:
        yield "corpora", ", ".join(corpora)
    if heads:
        yield "heads" if len(heads) > 1 else "head", ", ".join(heads)
    if "seeds" in config:
        first, count = config.get("seed", 0), config["seeds"]
        yield "seeds", f"{count} ({first} to {first + count - 1})" if count > 1 else f"one ({first})"
    if "folds" in config:
        yield "folds", str(config["folds"])
    encoders = config.get("recipe", {}).get("encoders", {})
    used = [f"{m}: {encoders[m]['name']}" for m in card.get("keys", encoders) if m in encoders]
    if rows := config.get("encoders"):
        yield "rows of encoders", ", ".join(rows)
    elif used:
        yield "encoders", ", ".join(used)
    if "versions" in made:
        versions = [f"{name} {made['versions'][name]}" for name in ("mercli", "torch") if name in made["versions"]]
        yield "made with", ", ".join([*versions, f"Python {made['python']}"])
    if card:
        yield "label policy", card["policy"]
        yield (
            {"one-of": "classes", "many-of": "labels"}.get(card["scheme"]["kind"], "dimensions"),
            f"{', '.join(card['scheme']['names'])} ({card['scheme']['name']})",
        )
    if "command" in made:
        yield "command", shlex.join(made["command"])


def _rows(scores: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield head, corpus, what was scored, and the score, of a run of ``loco`` or of ``train``."""
    if "rows" in scores:
        for row in scores["rows"]:
            yield {**row["held_out"], **{key: row[key] for key in ("head", "corpus", "split", "seen_by")}}
    else:
        for corpus, score in scores.items():
            yield {**score, "head": None, "corpus": corpus, "split": "test"}


def _kind(rows: list[dict[str, Any]]) -> str:
    """Return the kind of label scheme that the scores are of."""
    return str(rows[0].get("kind", "one-of"))


def _main(rows: list[dict[str, Any]]) -> Table:
    heads = {row["head"] for row in rows}
    title = "What each corpus scores" + ("" if heads == {None} else " when nothing of it was trained on")
    cells = [({"head": row["head"]} if len(heads) > 1 else {}) | _cells(row) for row in rows]
    return Table("main", title, tuple(cells[0]), [tuple(row.values()) for row in cells], keys=min(2, len(heads)))


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    kind = row.get("kind", "one-of")
    main, *others = FIGURES[kind][:3]
    classes = sum(count > 0 for count in row["support"].values()) if kind == "one-of" else 0
    bounds = row[f"{main}_interval"]
    return {
        "corpus": row["corpus"] + ("†" if row["seen_by"] else ""),
        WORDS[main]: row[main],
        INTERVAL: Interval(*bounds) if bounds else None,
        **({"chance": 1 / classes if classes else None} if kind == "one-of" else {}),
        "sd": row[f"{main}_spread"],
        **{WORDS[name]: row[name] for name in others},
        "scored on": row["split"],
        "segments": row["n"],
        "clusters": row["clusters"],
    }


def _notes(rows: list[dict[str, Any]], means: Mapping[str, float | None]) -> Iterator[str]:
    for head, mean in means.items():
        unseen = sum(row["head"] == head and not row["seen_by"] for row in rows)
        if mean is None:
            yield f"{head}: no mean, since an encoder has seen every corpus."
        else:
            which = "1 corpus" if unseen == 1 else f"the {unseen} corpora"
            main = WORDS[FIGURES[_kind(rows)][0]]
            yield f"{head}: mean {main} {mean:.3f} over {which} that no encoder has seen."
    if rows:
        yield f"{TOLD[_kind(rows)]} {DRAWN}"
    if any(row["clusters"] < 10 for row in rows):
        yield FEW
    if any(row["seen_by"] for row in rows):
        yield SEEN


def _left_out(scores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for row in _rows(scores):
        where = f"{row['corpus']}, {row['head']}" if row["head"] else row["corpus"]
        if row["seen_by"]:
            yield where, f"left out of means: seen in training by {', '.join(row['seen_by'])}"
    for failure in scores.get("failures", ()):
        yield failure["fit"], f"could not be fitted: {failure['error']}"
    for row in scores.get("rows", ()):
        for corpus in sorted((row["others_test"] or {}).get("seen_by", ())):
            yield f"{row['corpus']} held out, {row['head']}", f"others' test UAR: an encoder has seen {corpus}†"
        for corpus, count in row.get("same_texts_left_out", {}).items():
            reason = f"{count} segments of {corpus} were not trained on, since {row['corpus']} says the same words"
            yield f"{row['corpus']} held out, {row['head']}", reason
