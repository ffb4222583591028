"""A folder per class: ``ROOT/[split/]<label>/<clip>``, for corpora that nobody wrote a reader for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.media import UNSPELLED, claim, clip, kind, missing, spelled, walk
from mercli.corpora.splits import SPELLINGS
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment


@plugin("corpora", "folder")
def folder(
    *,
    language: str | None = None,
    licence: str = "unknown",
    identity: str | None = None,
    calm: str = DEFAULT_POLICY["calm"],
    excited: str = DEFAULT_POLICY["excited"],
    frustrated: str = DEFAULT_POLICY["frustrated"],
    boredom: str = DEFAULT_POLICY["boredom"],
    contempt: str = DEFAULT_POLICY["contempt"],
) -> CorpusReader:
    """Any corpus with a folder per class: ROOT/[train|dev|test/]<label>/<clip>.

    ``identity``: which known corpus this is (ravdess, emodb, fer2013 ...), so that encoders trained on it are marked.
    """
    choices = policy(calm=calm, excited=excited, frustrated=frustrated, boredom=boredom, contempt=contempt)
    return Folder(choices, {"licence": licence, "language": language, "identity": identity})


class Folder:
    """Reads labels from folder names; the medium's stem is the clip, a speaker is not known."""

    scheme = LabelScheme("folder", "one-of", ())
    facts = Facts()

    def __init__(self, choices: Mapping[str, str], given: Mapping[str, str | None]) -> None:
        self.choices = choices
        self.given = given

    def card(self) -> Mapping[str, Any]:
        """Return licence, identity, label policy and where splits come from; labels are known once read."""
        return {
            **self.given,
            "label_map": canonical_map(self.scheme.name, self.scheme.names, self.choices),
            "policy": policy_name(self.choices),
            "splits": "from the folders train, dev, test where they are",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream one clip and one segment per medium; raises ``DataError`` where no medium lies in a class folder."""
        found = [path for path in walk(root) if kind(path) in ("video", "audio", "image")]
        placed = [(path, *_place(path.relative_to(root))) for path in found]
        labels = sorted({label for path, _, label in placed if label and spelled(path.relative_to(root))})
        if not labels:
            raise DataError(f"no medium in a class folder under '{root}', expected ROOT/<label>/<clip>, names in UTF-8")
        self.scheme = LabelScheme("folder", "one-of", tuple(labels))
        held: dict[str, str] = {}
        for path, split, label in placed:
            place = path.relative_to(root)
            whole, stem = place.as_posix(), place.with_suffix("").as_posix()
            fault = "not in a class folder" if label is None else missing(path) if spelled(place) else UNSPELLED
            if fault:
                yield Excluded(stem, fault)
                continue
            identity = claim((stem, whole), whole, held) or whole
            yield clip(identity, name, path, root)
            yield Segment(
                id=f"{name}/{identity}/0",
                clip_id=identity,
                start=0.0,
                end=None,
                language=self.given["language"],
                labels={"folder": str(label)},
                split=split,
            )


def _place(path: Path) -> tuple[str | None, str | None]:
    """Return split and label of a path relative to the root."""
    parents = path.parts[:-1]
    split = next((SPELLINGS[p.lower()] for p in parents if p.lower() in SPELLINGS), None)
    rest = [p for p in parents if p.lower() not in SPELLINGS]
    return split, rest[-1] if rest else None
