"""The kinds of report: each is one function that reads a run and returns one ``Section``, and writes nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from mercli.results.section import Section

KINDS: Mapping[str, str] = {
    name: f"{__name__}.{name}"
    for name in (
        "loco",
        "classes",
        "confusion",
        "calibration",
        "modalities",
        "groups",
        "errors",
        "projection",
        "gates",
        "distribution",
        "curves",
        "cost",
        "compare",
    )
}
"""Every kind and the module that holds the function of its name, in the order in which a page has them."""


def kind(name: str) -> Callable[..., Section]:
    """Return the function of a kind: ``(run, **options)``, two runs for ``compare``."""
    function: Callable[..., Section] = getattr(importlib.import_module(KINDS[name]), name)
    return function
