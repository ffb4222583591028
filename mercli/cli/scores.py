"""Scores as rows of a table: the figures of their kind of label scheme, and of each label or dimension by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mercli.cli.listing import show_table
from mercli.cli.options import say
from mercli.labels import FIGURES, WORDS

Score = Mapping[str, Any]


def kind_of(scores: Iterable[Score]) -> str:
    """Return the kind of label scheme that scores are of: all of a run's are of one."""
    return next((score.get("kind", "one-of") for score in scores), "one-of")


def columns(kind: str) -> tuple[str, ...]:
    """Return the columns of ``cells``."""
    main, *others = (WORDS[name] for name in FIGURES[kind][:3])
    return ("n", main, "95 % interval", "seeds sd", *others)


def cells(score: Score, seen: bool) -> list[str]:
    """Return a score's cells; a dagger marks data that an encoder has seen."""
    main, *others = FIGURES[score.get("kind", "one-of")][:3]
    interval = score[f"{main}_interval"]
    return [
        str(score["n"]),
        figure(score[main]) + ("†" if seen else ""),
        f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else "",
        figure(score[f"{main}_spread"]),
        *(figure(score[name]) for name in others),
    ]


def figure(value: float | None) -> str:
    """Return a figure with three digits, nothing where it is undefined."""
    return "" if value is None else f"{value:.3f}"


def show_parts(scores: Mapping[str, Score]) -> None:
    """Print the figures of each label or dimension of each corpus; nothing where scores are of classes."""
    kind = kind_of(scores.values())
    if kind == "one-of":
        return
    what, key = ("label", "labels") if kind == "many-of" else ("dimension", "dimensions")
    names = FIGURES[kind]
    rows = [
        [corpus, own, *([str(score["support"][own])] if kind == "many-of" else []), *(figure(found[n]) for n in names)]
        for corpus, score in scores.items()
        for own, found in score[key].items()
    ]
    there = ["there"] if kind == "many-of" else []
    show_table(["corpus", what, *there, *(WORDS[name] for name in names)], rows, f"each {what}")
    for corpus, score in scores.items():
        if "sentiment" in score:
            told = score["sentiment"]
            two = "/".join(figure(told[f"acc2_negative_{name}"]) for name in ("rest", "positive"))
            f1 = "/".join(figure(told[f"f1_negative_{name}"]) for name in ("rest", "positive"))
            say(f"{corpus}: negative against the rest/positive: Acc-2 {two}, F1 {f1}; Acc-7 {figure(told['acc7'])}")


def few(scores: Mapping[str, Score]) -> None:
    """Say which intervals are drawn from so few clusters that they are much too narrow, or jump."""
    from mercli.results.stats import too_few

    for name, score in scores.items():
        if too_few(score["clusters"]):
            own = f"only {score['clusters']} speakers, dialogues or clips"
            say(f"{name}: the interval is drawn from {own}, too few to rely on")


def legend(seen: Iterable[list[str]]) -> None:
    """Say what the dagger means, where one stands."""
    if any(seen):
        say("† an encoder, or the teacher, was trained on this data: no figure of transfer, and left out of means")
