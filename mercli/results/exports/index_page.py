"""The page that leads to the pages of several clips: a row a clip and model, sortable, which fetches nothing."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mercli.results.exports.clip_page import verdict
from mercli.results.html import Link, environment
from mercli.results.section import Table
from mercli.types import Prediction


@dataclass(frozen=True)
class Entry:
    """What a model answers of a clip: what most of its time is given, with which mean probability, and how much time.

    ``page`` is the name of the clip's page beside the index, if it has one; ``missing`` the modalities that some
    window lacks; ``seconds`` is ``None`` for what has no length.
    """

    clip: str
    page: str | None
    model: str
    answer: str
    probability: float | None
    share: float | None
    seconds: float | None
    missing: str
    fault: str | None


def entries(predictions: Sequence[Prediction], page: str | None) -> Iterator[Entry]:
    """Yield an entry for each model that was asked about a clip."""
    for model in dict.fromkeys(prediction.run for prediction in predictions):
        own = [prediction for prediction in predictions if prediction.run == model]
        answered = [prediction for prediction in own if prediction.scores]
        lengths: dict[str, float] = defaultdict(float)
        for prediction in answered or own:
            lengths[verdict(prediction)] += _length(prediction)
        answer = max(lengths, key=lambda name: lengths[name])
        sure = sum(_length(p) * max(p.scores.values()) for p in answered if verdict(p) == answer)
        ends = [prediction.end for prediction in own if prediction.end is not None]
        yield Entry(
            clip=own[0].id,
            page=page,
            model=model,
            answer=answer,
            probability=sure / lengths[answer] if answered else None,
            share=lengths[answer] / sum(map(_length, own)) if answered and len(own) > 1 else None,
            seconds=max(ends) - min(prediction.start for prediction in own) if ends else None,
            missing=", ".join(sorted({modality for prediction in own for modality in prediction.missing})),
            fault=next((prediction.error for prediction in own if prediction.error), None),
        )


def _length(prediction: Prediction) -> float:
    """Return the seconds that an answer counts for: at least a millisecond, one for what has no length."""
    return 1.0 if prediction.end is None else max(0.001, prediction.end - prediction.start)


def index(found: Sequence[Entry]) -> str:
    """Return the page; columns in which nothing is said are left out, as is the model's where there is only one."""
    shared = os.path.commonprefix([f"{os.path.dirname(each.clip)}/" for each in found])  # noqa: RUF071 - cut at a slash
    folder = shared[: shared.rfind("/") + 1]
    names = [each.clip.removeprefix(folder) for each in found]
    rows = [
        {
            "clip": name if each.page is None else Link(name, quote(each.page)),
            "model": each.model,
            "answer": each.answer,
            "probability": each.probability,
            "share of time": each.share,
            "seconds": None if each.seconds is None else f"{each.seconds:.2f}",
            "missing": each.missing,
            "fault": each.fault,
        }
        for name, each in zip(names, found, strict=True)
    ]
    kept = [name for name in rows[0] if any(row[name] for row in rows)]
    if len({each.model for each in found}) == 1:
        kept.remove("model")
    count = len({each.clip for each in found})
    without = len({each.clip for each in found if each.page is None})
    caption = "What each clip is given most of the time" + (f"; {without} of {count} have no page" if without else "")
    clips = Table("clips", caption, tuple(kept), [[row[name] for name in kept] for row in rows])
    values = {"title": f"{count} clip{'s' if count > 1 else ''}", "folder": folder, "clips": clips, "MOST": len(rows)}
    return environment().get_template("index.html.j2").render(values) + "\n"
