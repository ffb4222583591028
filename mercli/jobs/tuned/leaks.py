"""What the card of a tuned encoder says of leaks: what was compared and found, and which figures rest on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mercli.corpora.audit import Finding
from mercli.jobs.audit import Audit, shared

MARK = "\u2021"
LEGEND = f"{MARK} rests on a leak: this figure is not speaker- or clip-independent."


def marked(card: Mapping[str, Any], found: Audit) -> dict[str, Any]:
    """Return a card with what an audit found, without examples; each of its figures lists what was leaked to it."""
    figures = {
        place: {**row, "leaks": _leaked(place.removesuffix(" test"), found.leaks)}
        for place, row in card["figures"].items()
    }
    told = {
        "leaks": [_counted(finding) for finding in found.leaks],
        "known": [_counted(finding) for finding in found.findings if finding.kind == "known"],
        "notes": {name: list(notes) for name, notes in found.notes.items() if notes},
        "not_compared": {name: own for name in found.notes if (own := _not_compared(found, name))},
    }
    return {**card, "audit": told, "figures": figures}


def _not_compared(found: Audit, name: str) -> list[str]:
    return [*found.untold.get(name, ()), *(["media"] if name in found.unread else [])]


def _counted(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in ("what", "left", "right", "count", "of")}


def _leaked(name: str, leaks: Iterable[Finding]) -> list[str]:
    """Return what a corpus's test split shares: with its own other splits, or the corpus with another one."""
    found = set()
    for leak in leaks:
        corpora = {leak.left.partition("/")[0], leak.right.partition("/")[0]}
        if f"{name}/test" in (leak.left, leak.right) or (len(corpora) > 1 and name in corpora):
            found.add(leak.what)
    return sorted(found)


def sentences(audit: Mapping[str, Any]) -> list[str]:
    """Return what the audit of a card says, in sentences."""
    if audit["leaks"]:
        every = "; ".join(shared(Finding("leak", **leak, examples=())) for leak in audit["leaks"])
        lines = [f"Trained in spite of leaks: {every}."]
    else:
        lines = ["No leak was found between splits, or between corpora."]
    lacking = "; ".join(f"{name} ({', '.join(own)})" for name, own in audit["not_compared"].items())
    return [*lines, f"Not compared: {lacking}."] if lacking else lines
