"""CMU-MOSEI (Zadeh et al. 2018): monologues from the web with six graded emotions and sentiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.cmu import mmsa
from mercli.corpora.cmu.mosei_labels import LABELS, SINGLE, graded
from mercli.corpora.cmu.mosei_raw import from_csd, from_workers
from mercli.corpora.cmu.mosei_tables import from_splits, from_whole
from mercli.corpora.cmu.release import DEPTH, SENTIMENT, Release, described, items
from mercli.corpora.media import walk
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment


@plugin("corpora", "mosei", scheme="mosei", labels=LABELS)
def mosei(*, none: str = DEFAULT_POLICY["none"]) -> CorpusReader:
    """CMU-MOSEI: monologues with transcripts, six graded emotions and sentiment.

    ``none``: what a segment without any emotion becomes among the canonical classes, drop or neutral.
    """
    return Mosei(policy(none=none))


class Mosei:
    """Reads the csd with transcripts, nkululeko's csvs, MMSA's label.csv or the workers' ratings, whichever is there.

    Whole videos give one clip each, cut by the labels' times; cut media give one clip a segment.
    """

    scheme = SINGLE
    facts = facts.load("mosei")

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.choices = choices
        self.layout = ""
        self.expected: str | None = None
        self.schemes: Sequence[LabelScheme] = ()

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, and the layout that was read."""
        return {
            "licence": "no licence for the videos, which belong to their makers; research use",
            "language": "en",
            "label_map": canonical_map(self.scheme.name, LABELS, self.choices),
            "policy": policy_name(self.choices),
            "schemes": list(self.schemes),
            "splits": "standard folds of the CMU-MultimodalSDK, separated by video; speakers are unknown",
            "layout": self.layout,
            "expected": self.expected,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream CMU-MOSEI video by video; raises ``DataError`` where no labels are found."""
        release = _found(list(walk(root, DEPTH)))
        if release is None:
            raise DataError(
                f"no CMU-MOSEI labels under '{root}', expected CMU_MOSEI_Labels.csd, CMU_MOSEI_Labels.csv, "
                "mosei_train.csv, label.csv or Labels/*.csv of workers' ratings",
                "mer prepare --corpus mosei --root DIR-WITH-Raw-AND-CMU_MOSEI_Labels.csd",
            )
        self.layout = described(release, "mosei")
        self.expected, self.schemes = release.expected, release.schemes
        yield from items(release, "mosei", name, root)


def _found(files: Sequence[Path]) -> Release | None:
    """Return the richest labels there are: graded emotions, one emotion, sentiment; single ratings come last."""
    return from_csd(files) or from_whole(files) or from_splits(files) or _mmsa(files) or from_workers(files)


def _mmsa(files: Sequence[Path]) -> Release | None:
    path = mmsa.find(files, "mosei")
    if path is None:
        return None
    videos = mmsa.rows(path, lambda value: graded({SENTIMENT.name: value}))
    media = [file for file in files if file.is_relative_to(path.parent)]
    return Release(f"MMSA's {path.name}: sentiment only, no emotion", "mmsa", (SENTIMENT,), videos, media)
