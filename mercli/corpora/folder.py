"""A folder per class: ``ROOT/[split/]<label>/<clip>``, for corpora that nobody wrote a reader for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora.media import clip, is_pointer, kind, walk
from mercli.corpora.splits import NAMES
from mercli.errors import DataError
from mercli.labels import canonical_map, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

SPLIT_NAMES = {**{name: name for name in NAMES}, "val": "dev", "valid": "dev", "validation": "dev", "training": "train"}


@plugin("corpora", "folder")
def folder(*, language: str | None = None, licence: str = "unknown") -> CorpusReader:
    """Any corpus with a folder per class: ROOT/[train|dev|test/]<label>/<clip>."""
    return Folder(language, licence)


class Folder:
    """Reads labels from folder names; the medium's stem is the clip, a speaker is not known."""

    scheme = LabelScheme("folder", "one-of", ())

    def __init__(self, language: str | None, licence: str) -> None:
        self.language = language
        self.licence = licence

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy and where the splits come from; known once ``read`` has begun."""
        return {
            "licence": self.licence,
            "language": self.language,
            "label_map": canonical_map(self.scheme.name, self.scheme.names),
            "policy": policy_name(),
            "splits": "from the folders train, dev, test where they are",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream one clip and one segment per medium; raises ``DataError`` where no medium lies in a class folder."""
        found = [path for path in walk(root) if kind(path) in ("video", "audio", "image")]
        placed = [(path, *_place(path.relative_to(root))) for path in found]
        labels = sorted({label for _, _, label in placed if label})
        if not labels:
            raise DataError(f"no medium in a class folder under '{root}', expected ROOT/<label>/<clip>")
        self.scheme = LabelScheme("folder", "one-of", tuple(labels))
        for path, split, label in placed:
            identity = path.relative_to(root).with_suffix("").as_posix()
            if label is None:
                yield Excluded(identity, "not in a class folder")
                continue
            if is_pointer(path):
                yield Excluded(identity, "media is a git-lfs pointer")
                continue
            yield clip(identity, name, path, root)
            yield Segment(
                id=f"{name}/{identity}/0",
                clip_id=identity,
                start=0.0,
                end=None,
                language=self.language,
                labels={"folder": label},
                split=split,
            )


def _place(path: Path) -> tuple[str | None, str | None]:
    """Return split and label of a path relative to the root."""
    parents = path.parts[:-1]
    split = next((SPLIT_NAMES[p.lower()] for p in parents if p.lower() in SPLIT_NAMES), None)
    rest = [p for p in parents if p.lower() not in SPLIT_NAMES]
    return split, rest[-1] if rest else None
