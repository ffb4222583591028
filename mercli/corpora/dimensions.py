"""Valence, arousal and dominance on scales of 1 to 5, as dyadic corpora rate them beside the categories."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mercli.types import LabelScheme

VAD = LabelScheme("vad", "values", ("valence", "arousal", "dominance"), 1.0, 5.0)


def rated(texts: Mapping[str, str]) -> tuple[dict[str, float], list[str]]:
    """Return the ratings by dimension, and a note for each that lay outside 1-5 and was clipped.

    What is no finite number (``NaN``, nothing) was not rated: the dimension is left out.
    """
    ratings, notes = {}, []
    for name in VAD.names:
        try:
            value = float(texts.get(name, ""))
        except ValueError:
            continue
        if not math.isfinite(value):
            continue
        ratings[name] = min(max(value, 1.0), 5.0)
        if ratings[name] != value:
            notes.append(f"{name}: {value:g} clipped to the scale of 1 to 5")
    return ratings, notes
