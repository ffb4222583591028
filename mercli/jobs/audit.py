"""``mer audit``: what the splits of prepared corpora, and the corpora among themselves, share."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from mercli import log
from mercli.config import FitConfig
from mercli.config_tune import FinetuneConfig
from mercli.contracts import Folds
from mercli.corpora import audit as checks
from mercli.corpora import manifest
from mercli.corpora.audit import Finding, Part
from mercli.errors import DataError
from mercli.rundir import sha256

Contents = dict[str, list[tuple[str, str]]]
"""The (content, corpus/path) of each clip's media."""


File = tuple[int, int] | Path
"""A file by device and number, however it is named; one that is gone by its path."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A medium of a clip: its size, -1 where it is gone, and its hash where the manifest knows it."""

    corpus: str
    clip_id: str
    medium: str
    path: Path
    file: File
    size: int
    known: str | None


@dataclass(frozen=True)
class Audit:
    """What was found, the overlaps that each corpus is known for, and what could not be compared.

    ``unread``: corpora whose media were not compared by content; ``untold`` {corpus: what none of its segments has}.
    """

    findings: list[Finding]
    notes: dict[str, tuple[str, ...]]
    unread: tuple[str, ...] = ()
    untold: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def leaks(self) -> list[Finding]:
        """The findings that break what a protocol promises."""
        return [finding for finding in self.findings if finding.kind == "leak"]


def audit(data: Path, corpora: Sequence[str], *, hashing: bool = True) -> Audit:
    """Compare the splits of each corpus, its named folds, and every two corpora.

    ``hashing``: media of equal size are read and compared by content; else only hashes in the manifest count. Raises
    ``DataError`` where a corpus, or any at all, is not prepared.
    """
    names = list(corpora) or sorted(path.parent.name for path in data.glob("*/corpus.yaml"))
    if not names:
        raise DataError(f"nothing is prepared under '{data}'", "mer prepare --corpus NAME --root DIR")
    held = [manifest.load(data, name) for name in dict.fromkeys(names)]
    rows = [row for one in held for row in _media(one)]
    media = _contents(rows, hashing)
    own = {one.name: checks.parts(one.name, one.segments(), media[one.name]) for one in held}
    findings = [finding for one in held for finding in _inside(one, own[one.name])]
    for one, other in combinations(held, 2):
        if own[one.name] and own[other.name]:
            findings += checks.between(own[one.name], own[other.name])
    known = {(row.corpus, row.clip_id) for row in rows if row.known or hashing}
    unread = tuple(dict.fromkeys(row.corpus for row in rows if (row.corpus, row.clip_id) not in known))
    notes = {one.name: tuple(one.card.get("known") or ()) for one in held}
    return Audit(findings, notes, unread, {name: _untold(parts) for name, parts in own.items()})


def _untold(own: Sequence[Part]) -> tuple[str, ...]:
    told = {
        "speaker": any(part.speakers for part in own),
        "dialogue": any(part.dialogues for part in own),
        "text": any(part.said for part in own),
    }
    return tuple(what for what, there in told.items() if not there)


def _inside(held: manifest.Manifest, own: Sequence[Part]) -> Iterator[Finding]:
    yield from checks.within(own, held.card.get("separates") or ())
    for name, row in sorted((held.card.get("folds") or {}).items()):
        yield from checks.across(checks.by_fold(f"{held.name} {name}", Folds(**row), held.segments()))


def _contents(rows: Sequence[_Row], hashing: bool) -> Mapping[str, Contents]:
    """Return what each clip's media contain: the manifest's hash, else that of the file where another has its size.

    A file that several corpora name is what it is, read or not.
    """
    sizes = Counter({row.file: row.size for row in rows}.values())
    users: dict[File, set[str]] = defaultdict(set)
    for row in rows:
        users[row.file].add(row.corpus)
    if hashing:
        _tell_gone(row.corpus for row in rows if row.size < 0 and row.known is None)
    contents: Mapping[str, Contents] = defaultdict(dict)
    digests = {row.file: row.known for row in rows if row.known}
    for row in log.progress(rows, "audit media", total=len(rows), unit="media"):
        if row.file not in digests and row.size > 0:
            if hashing and sizes[row.size] > 1:
                digests[row.file] = sha256(row.path)
            elif len(users[row.file]) > 1:
                digests[row.file] = str(row.path)
        if content := digests.get(row.file):
            contents[row.corpus].setdefault(row.clip_id, []).append((content, f"{row.corpus}/{row.medium}"))
    return contents


def _media(held: manifest.Manifest) -> Iterator[_Row]:
    for clip in held.clips():
        main = clip.video or clip.audio or clip.image
        for medium in filter(None, (clip.video, clip.audio, clip.image)):
            path = held.root / medium
            told = path.stat() if path.is_file() else None
            file = (told.st_dev, told.st_ino) if told else path
            known = clip.sha256 if medium == main else None
            yield _Row(held.name, clip.id, medium, path, file, told.st_size if told else -1, known)


def _tell_gone(corpora: Iterable[str]) -> None:
    for name, count in Counter(corpora).items():
        log.logger.warning("%s: %d media are no longer where they were prepared, so they are not compared", name, count)


def shared(finding: Finding) -> str:
    """Return in words what two parts share."""
    things = finding.what if finding.what == "media" else f"{finding.what}s"
    return f"'{finding.left}' and '{finding.right}' share {finding.count} of {finding.of} {things}"


def refuse_leaks(config: FitConfig | FinetuneConfig) -> Audit:
    """Return what the corpora of a training share; no medium is read.

    Raises ``DataError`` where they leak, unless the config allows it.
    """
    found = audit(Path(config.data), config.corpora, hashing=False)
    closer = f"mer audit --corpora {' '.join(config.corpora)} --data {shlex.quote(config.data)}"
    if found.unread:
        log.logger.info("%s: media are not compared by content here: %s does", ", ".join(found.unread), closer)
    if not found.leaks:
        return found
    message = f"{shared(found.leaks[0])}, which must be apart"
    if not config.allow_leak:
        raise DataError(message, f"{closer}; --allow-leak goes on")
    log.logger.warning("%s; trained all the same: no figure of this run is speaker- or clip-independent", message)
    return found
