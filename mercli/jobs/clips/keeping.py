"""``prepare --streams``: sound and face crops of every segment are decoded once and kept for several encoders."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from mercli import log
from mercli.config import Recipe
from mercli.corpora import manifest
from mercli.errors import DataError
from mercli.jobs.clips import kept
from mercli.jobs.clips.cutting import Piece
from mercli.jobs.clips.kept import SHOWN
from mercli.jobs.clips.pieces import Unit, pieces
from mercli.jobs.features import encoding
from mercli.types import StreamSettings


def keep(data: Path, corpus: str, recipe: Recipe) -> tuple[int, int]:
    """Store a prepared corpus's streams as the recipe's encoders ask for them; return how many clips, and failures."""
    return keep_for(manifest.load(data, corpus), encoding.build(recipe, SHOWN).settings, recipe.face)


def keep_for(
    held: manifest.Manifest, settings: StreamSettings, face: str, shown: tuple[str, ...] = SHOWN
) -> tuple[int, int]:
    """Store sound, faces or both (``shown``) of a corpus; return how many clips, and failures.

    What is there already is passed over; a clip that cannot be read is told and left out.
    """
    folder = kept.place(held.folder, settings, face, shown)
    clips = {clip.id: clip for clip in held.clips()}
    done = failed = 0
    groups = groupby(held.segments(), key=lambda segment: segment.clip_id)
    for clip_id, group in log.progress(groups, "streams", total=len(clips)):
        clip = clips[clip_id]
        if not (clip.video or clip.audio or clip.image):
            continue
        lacking = tuple(segment for segment in group if not kept.there(folder, segment, clip))
        gathered: dict[str, list[Piece]] = {}
        try:
            for identity, piece in pieces(Unit(held.root, clip, lacking, shown), settings, face, None):
                gathered.setdefault(identity, []).append(piece)
        except DataError as fault:  # the unit boundary: one bad clip never stops the others
            log.logger.warning("clip '%s': %s", clip_id, fault.message)
            failed += 1
            continue
        for segment in lacking:
            kept.write(folder, segment, clip, gathered.get(segment.id, []))
        done += 1
    return done, failed
