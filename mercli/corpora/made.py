"""Made corpora: tiny synthetic clips in an official layout, whose emotion can be read from each modality.

The plan is drawn here, deterministically; ``jobs/clips/making.py`` renders it, and the imitated corpus's reader reads
it. Audio: a tone per class. Face: a packaged face that tilts and stretches by class. Text: words of the class, where
the corpus has words of its own. Each cue tells the truth with probability ``strength``, else it belongs to a random
class, so that no modality alone is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

from mercli import registry
from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.made_layouts import LAYOUTS, Plan, draw
from mercli.errors import ConfigError
from mercli.registry import plugin
from mercli.types import Clip, Segment


@plugin("corpora", "made", scheme="that of the corpus it is like", layouts=tuple(LAYOUTS))
def made(*, like: str = "meld", clips: int = 140, strength: float = 0.8, seed: int = 0) -> CorpusReader:
    """A tiny synthetic corpus in the layout of another, made under --root when it is not there.

    ``like``: meld, iemocap, mosei, afew, ravdess or cremad; ``clips``: labelled utterances; ``strength``: how often a
    modality shows the utterance's own emotion (0..1).
    """
    if like not in LAYOUTS:
        raise ConfigError(
            f"like='{like}' is no layout that can be made{registry.near(like, LAYOUTS)}",
            "mer prepare --corpus made --set like=meld --root DIR",
        )
    most = LAYOUTS[like].most
    if not 35 <= clips <= most or not 0 <= strength <= 1:
        raise ConfigError(f"clips={clips} strength={strength}: expected clips in 35..{most} and strength in 0..1")
    return Made(like, clips, strength, seed)


class Made:
    """Reads its own clips through the reader of the layout it imitates."""

    def __init__(self, like: str, clips: int, strength: float, seed: int) -> None:
        self.like = like
        self.clips = clips
        self.strength = strength
        self.seed = seed
        self._reader: CorpusReader = registry.build("corpora", like)
        self.scheme = self._reader.scheme
        # its errata and counts are those of the release: a made clip may bear the name of a faulty one
        told = self._reader.facts
        known = told.known if LAYOUTS[like].known else ()
        self.facts = Facts(separates=told.separates, known=known, folds=told.folds)

    @property
    def options(self) -> str:
        """All that decides what is made, in one line."""
        return f"like={self.like} clips={self.clips} strength={self.strength} seed={self.seed}"

    def card(self) -> Mapping[str, Any]:
        """Return the imitated corpus's card, marked as made."""
        facts = {"made": True, "strength": self.strength, "seed": self.seed, "licence": "public domain"}
        return {**self._reader.card(), "expected": None, **facts}

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the made utterances as the imitated corpus's; what the release has beyond them is no exclusion."""
        return (item for item in self._reader.read(root, name) if not isinstance(item, Excluded))

    def plan(self) -> Plan:
        """Return the files to write and the clips to render, the same for the same options."""
        layout = LAYOUTS[self.like]
        plan = layout.plan(draw(layout, self.clips, self.strength, self.seed))
        grained = (replace(clip, grain=crc32(f"{self.like} {self.seed} {clip.path}".encode())) for clip in plan.clips)
        return replace(plan, clips=tuple(grained))
