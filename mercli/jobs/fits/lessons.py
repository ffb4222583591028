"""What a teacher says of segments, kept in the run that learns from it: every process, and a resumed run, read it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mercli import rundir
from mercli.config_fit import Distill
from mercli.contracts import TrainedOn
from mercli.jobs.fits.dataset import Data

FILE = "teacher.jsonl"
TEACHER = "teacher"
"""Who has seen data, where modalities stand for their encoders."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A teacher's uniform-prior logits (K,) by segment id, what it ``saw`` itself, and ``how`` one learns from them."""

    how: Distill
    saw: tuple[TrainedOn, ...]
    answers: Mapping[str, Sequence[float]]

    def rows(self, ids: Sequence[str], log_prior: NDArray[np.floating] | None) -> NDArray[np.float32]:
        """Return the logits (N, K) of segments, NaN where it has none.

        ``log_prior`` (K,) or (N, K): what a student's logits hold, which nothing balances.
        """
        unknown = (np.nan,) * len(next(iter(self.answers.values())))
        told = np.asarray([self.answers.get(identity, unknown) for identity in ids])
        return (told if log_prior is None else told + log_prior).astype(np.float32)

    def marked(self, data: Data) -> Data:
        """Return data that knows what the teacher has seen, as it does of its encoders."""
        return replace(data, trained_on={**data.trained_on, TEACHER: self.saw})


def keep(run: Path, lesson: Lesson) -> None:
    """Write a lesson into its run."""
    rows = ({"id": identity, "logits": list(row)} for identity, row in sorted(lesson.answers.items()))
    rundir.write_lines(run / FILE, [{"trained_on": lesson.saw}, *rows])


def there(run: Path) -> bool:
    """Tell whether a run has its lesson."""
    return (run / FILE).is_file()


@cache
def read(run: Path, how: Distill) -> Lesson | None:
    """Return the lesson of a run, ``None`` where nobody teaches."""
    if how.teacher is None:
        return None
    first, *rows = map(json.loads, (run / FILE).read_text(encoding="utf-8").splitlines())
    saw = tuple(TrainedOn(use["corpus"], use["split"], tuple(use["speakers"])) for use in first["trained_on"])
    return Lesson(how, saw, {row["id"]: row["logits"] for row in rows})
