"""Lists of utterances as speech toolkits keep them: ``utterance path label`` a line, one file a split."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.csvs import decode
from mercli.corpora.listed import place, usable
from mercli.corpora.media import kind, walk
from mercli.corpora.splits import SPELLINGS
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment


@plugin("corpora", "scp")
def scp(
    *,
    labels: str = "hap,neu,sad,ang",
    base: str | None = None,
    language: str | None = None,
    licence: str = "unknown",
    identity: str | None = None,
    calm: str = DEFAULT_POLICY["calm"],
    excited: str = DEFAULT_POLICY["excited"],
    frustrated: str = DEFAULT_POLICY["frustrated"],
    boredom: str = DEFAULT_POLICY["boredom"],
    contempt: str = DEFAULT_POLICY["contempt"],
) -> CorpusReader:
    """Any corpus listed in .scp files: a line is utterance, path of the sound, label (Foal-Net's lists).

    ``labels``: what the numbers 0, 1, ... mean, where labels are numbers; ``base``: folder that paths are looked for
    below, the root unless given; ``identity``: which known corpus this is (iemocap ...), so that encoders trained on it
    are marked.
    """
    choices = policy(calm=calm, excited=excited, frustrated=frustrated, boredom=boredom, contempt=contempt)
    words = tuple(word.strip() for word in labels.split(","))
    return Scp(words, base, choices, {"licence": licence, "language": language, "identity": identity})


@dataclass(frozen=True)
class _Line:
    """One line of a list: where it stands, and its three fields, the label as a word (``None``: unknown)."""

    where: str
    id: str
    path: str
    given: str
    label: str | None
    split: str | None


class Scp:
    """Reads every list below the root; the word train, valid or test in a list's name is its split."""

    scheme = LabelScheme("scp", "one-of", ())
    facts = Facts()

    def __init__(
        self, words: Sequence[str], base: str | None, choices: Mapping[str, str], given: Mapping[str, str | None]
    ) -> None:
        self.words = words
        self.base = base
        self.choices = choices
        self.given = given
        self.name = ""
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, identity, label policy and the lists read; the labels are known once ``read`` has begun."""
        return {
            **self.given,
            "identity": self.given["identity"] or self.name,
            "label_map": canonical_map("scp", self.scheme.names, self.choices),
            "policy": policy_name(self.choices),
            "splits": "from the names of the lists; a list called valid is dev, also where it is a held-out session",
            "layout": self.layout,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the lines; ``root`` is the lists' folder, or one list. Raises ``DataError`` without a labelled line.

        A sound that is not there leaves its row, with the reason.
        """
        lists = [root] if root.is_file() else [path for path in walk(root) if path.suffix.lower() == ".scp"]
        home = root.parent if root.is_file() else root
        items = [item for path in lists for item in self._lines(path)]
        self.name, self.layout = name, "; ".join(f"{split_of(path) or 'no split'}: {path.name}" for path in lists)
        used = {item.label for item in items if isinstance(item, _Line) and item.label}
        # numbers stand in the order of ``labels``; other words follow by name
        self.scheme = LabelScheme(
            "scp", "one-of", (*(w for w in self.words if w in used), *sorted(used - {*self.words}))
        )
        if not used:
            raise DataError(
                f"no labelled line of a .scp under '{root}', expected lines of utterance, path, label",
                "mer prepare --corpus scp --root DIR-OF-train.scp",
            )
        seen: dict[str, str] = {}
        for item in items:
            if isinstance(item, Excluded):
                yield item
            elif item.label is None:
                known = ", ".join(f"{number} {word}" for number, word in enumerate(self.words))
                yield Excluded(item.id, f"{item.where}: unknown label '{item.given}', expected a word or {known}")
            elif item.id in seen:
                yield Excluded(item.id, f"{item.where}: this utterance stands already in {seen[item.id]}")
            else:
                seen[item.id] = item.where
                yield from self._utterance(item, home)

    def _lines(self, path: Path) -> Iterator[_Line | Excluded]:
        for number, line in enumerate(decode(path).split("\n"), start=1):
            where = f"{path.name} line {number}"
            # a path may hold blanks: the first field and the last cannot
            match = re.match(r"^\s*(\S+)\s+(\S.*?)\s+(\S+)\s*$", line)
            if match:
                given = match[3].lower()
                yield _Line(where, match[1], match[2], match[3], self._label(given), split_of(path))
            elif line.strip():
                yield Excluded(where, f"'{line.strip()[:60]}' is not utterance, path and label")

    def _label(self, given: str) -> str | None:
        if not re.fullmatch(r"[-+]?\d+", given):
            return given
        return self.words[int(given)] if given.isdecimal() and int(given) < len(self.words) else None

    def _utterance(self, line: _Line, root: Path) -> Iterator[Clip | Segment]:
        base = Path(self.base).expanduser() if self.base else root
        medium, reason = usable(line.path, base, "audio", "video")
        where = place(medium, root)
        video = where if medium and kind(medium) == "video" else None
        yield Clip(line.id, self.name, video=video, audio=None if video else where)
        yield Segment(
            id=f"{self.name}/{line.id}/0",
            clip_id=line.id,
            start=0.0,
            language=self.given["language"],
            masked={"audio": reason} if reason else {},
            labels={"scp": str(line.label)},
            split=line.split,
        )


def split_of(path: Path) -> str | None:
    """Return the split that a list's name tells (``session5_train.scp``), or ``None``."""
    words = re.split(r"[^a-z]+", path.stem.lower())
    return next((SPELLINGS[word] for word in words if word in SPELLINGS), None)
