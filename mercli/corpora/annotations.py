"""One file of annotations, ``video;audio;label;subset`` a line, as audio-visual training code for RAVDESS keeps it.

The form of AVT-CA and of Chumachenko et al. 2022 (katerynaCh/multimodal-emotion-recognition), who write it while they
cut pictures to ``.npy`` arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.csvs import decode
from mercli.corpora.listed import listing, place, pure, usable
from mercli.corpora.media import claim, walk
from mercli.corpora.splits import SPELLINGS
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

FIELDS = "video;audio;label;subset"
RAVDESS = re.compile(r"^0[1-3](?:-\d\d){5}-(\d\d)(?:_|$)")


@plugin("corpora", "annotations")
def listed_annotations(
    *,
    file: str | None = None,
    labels: str = "neutral,calm,happy,sad,angry,fearful,disgust,surprised",
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
    """Any corpus listed in one file of lines video;audio;label;subset (AVT-CA's annotations.txt).

    ``file``: which, where the root holds several; ``labels``: what the codes 1, 2, ... mean; ``base``: folder that
    media are looked for below, the root unless given; ``identity``: which known corpus this is (ravdess ...), so that
    encoders trained on it are marked.
    """
    choices = policy(calm=calm, excited=excited, frustrated=frustrated, boredom=boredom, contempt=contempt)
    words = tuple(word.strip() for word in labels.split(","))
    return Annotations(file, words, base, choices, {"licence": licence, "language": language, "identity": identity})


@dataclass(frozen=True)
class _Line:
    """One line: number, both paths, label as given and as a word, subset as given."""

    number: int
    video: str
    audio: str
    given: str
    label: str | None
    subset: str


class Annotations:
    """Reads the file; arrays that stand for media, and media that are not there, leave their rows with the reason."""

    scheme = LabelScheme("annotations", "one-of", ())
    facts = Facts()

    def __init__(
        self,
        file: str | None,
        words: Sequence[str],
        base: str | None,
        choices: Mapping[str, str],
        given: Mapping[str, str | None],
    ) -> None:
        self.file = file
        self.words = words
        self.base = base
        self.choices = choices
        self.given = given
        self.name = ""
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, identity, label policy and how often a sound stands in the file; the labels once read."""
        return {
            **self.given,
            "identity": self.given["identity"] or self.name,
            "label_map": canonical_map("annotations", self.scheme.names, self.choices),
            "policy": policy_name(self.choices),
            "splits": "from the fourth field: training, validation, testing",
            "layout": self.layout,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the lines; ``root`` is the file's folder or the file. Raises ``DataError`` without a labelled line."""
        path, home = self._file(root), root.parent if root.is_file() else root
        items = list(self._lines(path))
        lines = [item for item in items if isinstance(item, _Line)]
        used = {line.label for line in lines if line.label}
        if not used:
            raise DataError(f"'{path}' has no labelled line, expected {FIELDS}", "mer prepare --set labels=WORD,WORD")
        self.name = name
        self.scheme = LabelScheme("annotations", "one-of", tuple(word for word in self.words if word in used))
        again = len(lines) - len({line.audio for line in lines})
        self.layout = f"{path.name}: {len(lines)} lines, {again} of them with a sound that another line has"
        held: dict[str, str] = {}
        seen: dict[str, int] = {}
        for item in items:
            if isinstance(item, Excluded):
                yield item
                continue
            identity, fault = self._identity(item, held), self._fault(item)
            if identity in seen:
                fault = f"this clip stands already in line {seen[identity]}"
            if fault:
                yield Excluded(identity, f"line {item.number}: {fault}")
            else:
                seen[identity] = item.number
                yield from self._clip(identity, item, home)

    def _file(self, root: Path) -> Path:
        found = (path for path in walk(root) if path.suffix.lower() == ".txt" and _is_list(path))
        hint = "mer prepare --corpus annotations --set file=annotations.txt"
        return listing(root, self.file, found, f"files of lines {FIELDS}", hint)

    def _lines(self, path: Path) -> Iterator[_Line | Excluded]:
        for number, line in enumerate(decode(path).split("\n"), start=1):
            fields = [field.strip() for field in line.split(";")]
            if len(fields) == 4:
                video, audio, given, subset = fields
                yield _Line(number, video, audio, given, self._label(given), subset)
            elif line.strip():
                yield Excluded(f"line{number}", f"line {number}: '{line.strip()[:60]}' is not {FIELDS}")

    def _label(self, given: str) -> str | None:
        if given.isdecimal():
            return self.words[int(given) - 1] if 1 <= int(given) <= len(self.words) else None
        return given.lower() if given.lower() in self.words else None

    def _fault(self, line: _Line) -> str | None:
        if not line.video and not line.audio:
            return "neither video nor audio"
        if line.label is None:
            return f"unknown label '{line.given}', expected 1 to {len(self.words)} or one of {', '.join(self.words)}"
        if line.subset.lower() not in SPELLINGS:
            return f"unknown subset '{line.subset}', expected training, validation or testing"
        return None

    def _identity(self, line: _Line, held: dict[str, str]) -> str:
        """Return the video's stem, or its whole path where another video's stem is the same."""
        path = pure(line.video or line.audio)
        whole = path.as_posix()
        return claim((path.stem, whole), whole, held) or whole

    def _clip(self, identity: str, line: _Line, root: Path) -> Iterator[Clip | Segment]:
        base = Path(self.base).expanduser() if self.base else root
        video, unseen = usable(line.video, base, "video")
        audio, unheard = usable(line.audio, base, "audio", "video")
        masked = {"face": unseen} if unseen else {}
        if unheard and unseen:  # else the video's own sound serves
            masked["audio"] = unheard
        actor = RAVDESS.match(identity)
        yield Clip(identity, self.name, video=place(video, root), audio=place(audio, root))
        yield Segment(
            id=f"{self.name}/{identity}/0",
            clip_id=identity,
            start=0.0,
            speaker=actor[1] if actor else None,
            sex=("m" if int(actor[1]) % 2 else "f") if actor else None,
            language=self.given["language"],
            masked=masked,
            labels={"annotations": str(line.label)},
            split=SPELLINGS[line.subset.lower()],
        )


def _is_list(path: Path) -> bool:
    with path.open("rb") as handle:
        fields = handle.readline(4096).decode("utf-8", errors="replace").split(";")
    return len(fields) == 4 and fields[3].strip().lower() in SPELLINGS
