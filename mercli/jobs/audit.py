"""``mer audit``: what the splits of prepared corpora, and the corpora among themselves, share."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Audit:
    """What was found, and the overlaps that each corpus is known for."""

    findings: list[Finding]
    notes: dict[str, tuple[str, ...]]

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
    media = _contents(held, hashing)
    own = {one.name: checks.parts(one.name, one.segments(), media[one.name]) for one in held}
    findings = [finding for one in held for finding in _inside(one, own[one.name])]
    for one, other in combinations(held, 2):
        if own[one.name] and own[other.name]:
            findings += checks.between(own[one.name], own[other.name])
    return Audit(findings, {one.name: tuple(one.card.get("known") or ()) for one in held})


def _inside(held: manifest.Manifest, own: Sequence[Part]) -> Iterator[Finding]:
    yield from checks.within(own, held.card.get("separates") or ())
    for name, row in sorted((held.card.get("folds") or {}).items()):
        yield from checks.across(checks.by_fold(f"{held.name} {name}", Folds(**row), held.segments()))


def _contents(held: Sequence[manifest.Manifest], hashing: bool) -> Mapping[str, Contents]:
    """Return what each clip's media contain: the manifest's hash, else that of the file where another has its size."""
    sizes: dict[int, int] = defaultdict(int)
    rows: list[tuple[str, str, str, Path, int, str | None]] = []
    seen: set[Path] = set()
    for one in held:
        for clip in one.clips():
            for medium in filter(None, (clip.video, clip.audio, clip.image)):
                path = one.root / medium
                size = path.stat().st_size if path.is_file() else -1
                main = clip.video or clip.audio or clip.image
                rows.append((one.name, clip.id, medium, path, size, clip.sha256 if medium == main else None))
                if path not in seen:
                    seen.add(path)
                    sizes[size] += 1
    if hashing:
        _tell_gone(row[0] for row in rows if row[4] < 0 and row[5] is None)
    contents: Mapping[str, Contents] = {one.name: {} for one in held}
    digests: dict[Path, str] = {}
    for name, clip_id, medium, path, size, known in log.progress(rows, "audit media", total=len(rows), unit="media"):
        if known is None and hashing and size > 0 and sizes[size] > 1 and path not in digests:
            digests[path] = sha256(path)
        content = known or digests.get(path)
        if content:
            contents[name].setdefault(clip_id, []).append((content, f"{name}/{medium}"))
    return contents


def _tell_gone(corpora: Iterable[str]) -> None:
    for name, count in Counter(corpora).items():
        log.logger.warning("%s: %d media are no longer where they were prepared, so they are not compared", name, count)


def refuse_leaks(config: FitConfig | FinetuneConfig) -> None:
    """Raise ``DataError`` where the corpora of a training leak, unless the config allows it; no medium is read."""
    leaks = audit(Path(config.data), config.corpora, hashing=False).leaks
    if not leaks:
        return
    first = leaks[0]
    message = f"'{first.left}' and '{first.right}' share {first.count} of {first.of} {first.what}s, which must be apart"
    if not config.allow_leak:
        raise DataError(
            message,
            f"mer audit --corpora {' '.join(config.corpora)} --data {shlex.quote(config.data)}; --allow-leak goes on",
        )
    log.logger.warning("%s; trained all the same: no figure of this run is speaker- or clip-independent", message)
