"""Streams kept by ``prepare --streams``: decoded and cropped once, read by every encoder that asks for the same.

``data/<corpus>/streams/<key>/<segment>.json`` lists a segment's pieces and is written last, so what it lists is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mercli.jobs.clips.cutting import STREAMS_VERSION, Piece
from mercli.rundir import json_line, write_text
from mercli.streams import files
from mercli.types import Clip, Segment, StreamSettings

FOLDER = "streams"
SHOWN = ("audio", "face")
"""What is stored together unless one of them is asked for alone."""


def place(corpus: Path, settings: StreamSettings, face: str, shown: Sequence[str] = SHOWN) -> Path:
    """Return the folder of streams made in exactly this way below a prepared corpus."""
    made = {"version": STREAMS_VERSION, "face": face, **asdict(settings)}
    made |= {} if tuple(shown) == SHOWN else {"shown": shown}
    return corpus / FOLDER / hashlib.sha256(json_line(made).encode()).hexdigest()[:12]


def write(folder: Path, segment: Segment, clip: Clip, pieces: Sequence[Piece]) -> None:
    """Store all pieces of a segment's sound and face."""
    name = _name(segment)
    rows = []
    for number, piece in enumerate(pieces):
        facts = files.write(piece.streams, folder / f"{name}-{number}")
        rows.append({"start": piece.start, "last": piece.last, **facts})
    document = {"id": segment.id, "print": fingerprint(segment, clip), "pieces": rows}
    write_text(folder / f"{name}.json", json_line(document) + "\n")


def read(folder: Path, segment: Segment, clip: Clip) -> list[Piece] | None:
    """Return a segment's stored pieces, or ``None`` where they are not there or were made from other media or times."""
    rows = _rows(folder, segment, clip)
    if rows is None:
        return None
    name = _name(segment)
    return [
        Piece(0, files.read(folder / f"{name}-{number}", row), row["start"], row["last"])
        for number, row in enumerate(rows)
    ]


def there(folder: Path, segment: Segment, clip: Clip) -> bool:
    """Tell whether a segment's streams are stored, made from its media and times as they are now."""
    return _rows(folder, segment, clip) is not None


def _rows(folder: Path, segment: Segment, clip: Clip) -> list[dict[str, Any]] | None:
    try:
        document = json.loads((folder / f"{_name(segment)}.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return document["pieces"] if document.get("print") == fingerprint(segment, clip) else None


def fingerprint(segment: Segment, clip: Clip) -> str:
    """Return what a segment's streams depend on: its times, half of the picture, masks, and media."""
    masks = {modality: reason for modality, reason in segment.masked.items() if modality != "text"}
    media = (clip.video, clip.audio, clip.image, clip.sha256, clip.meta.get("offset"))
    made_of = json_line((segment.start, segment.end, segment.region, masks, media))
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def _name(segment: Segment) -> str:
    return hashlib.sha256(segment.id.encode()).hexdigest()[:20]
