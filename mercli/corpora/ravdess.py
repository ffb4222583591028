"""RAVDESS: 24 actors, two sentences, spoken and sung (Livingstone & Russo 2018, Zenodo 1188976)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.media import kind, missing, walk
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

Channel = Literal["speech", "song", "both"]

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
CHANNELS = {"speech": ("01",), "song": ("02",), "both": ("01", "02")}
CHANNEL_NAMES = {"01": "speech", "02": "song"}
INTENSITIES = {"01": "normal", "02": "strong"}
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
FIXED = "fixed sentence: it carries no emotion"
STEM = re.compile(r"^(0[1-3])-(0[12]-0[1-8]-0[12]-0[12]-0[12]-\d\d)$")
AV, SILENT, SOUND = "01", "02", "03"


@plugin("corpora", "ravdess", scheme="ravdess", labels=LABELS)
def ravdess(*, calm: str = DEFAULT_POLICY["calm"], channel: Channel = "speech") -> CorpusReader:
    """RAVDESS: two fixed sentences spoken or sung by 24 actors, video and audio, eight emotions.

    ``calm``: neutral, own or drop; ``channel``: speech, song or both.
    """
    return Ravdess(policy(calm=calm), channel)


@dataclass
class _Takes:
    """The files of one utterance: with picture and sound, with picture only, with sound only."""

    files: dict[str, list[Path]] = field(default_factory=lambda: {AV: [], SILENT: [], SOUND: []})


class Ravdess:
    """Reads the files' names; one clip is one utterance, whichever of its three files are there."""

    scheme = LabelScheme("ravdess", "one-of", LABELS)
    facts = facts.load("ravdess")

    def __init__(self, choices: Mapping[str, str], channel: Channel) -> None:
        self.choices = choices
        self.channel = channel
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, split convention and which files were found."""
        return {
            "licence": "CC BY-NC-SA 4.0",
            "language": "en",
            "label_map": canonical_map("ravdess", LABELS, self.choices),
            "policy": policy_name(self.choices),
            "splits": "convention, none is official: actors in order, train 01-16, dev 17-20, test 21-24",
            "layout": self.layout,
            "expected": self.channel,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the utterances of the release, those not found as ``Excluded``; raises ``DataError`` without any."""
        found, strange = _find(root)
        channels = CHANNELS[self.channel]
        here = {identity: takes for identity, takes in found.items() if identity[:2] in channels}
        if not here:
            others = f"; {len(found)} of another channel are there" if found else ""
            raise DataError(
                f"no RAVDESS file ({self.channel}) under '{root}', expected Actor_01/03-01-01-01-01-01-01.wav{others}",
                "mer prepare --corpus ravdess --root DIR-OF-ACTOR_01 --set channel=both",
            )
        ids = [identity for one in channels for identity in expected_ids(one)]
        self.layout = _layout(self.channel, here, len(ids))
        for identity in ids:
            if identity in here:
                yield from _utterance(name, identity, here[identity], root)
            else:
                yield Excluded(identity, "not found: neither mp4 nor wav")
        for identity in sorted(set(here) - set(ids)):
            yield Excluded(identity, "the release has no such utterance")
        yield from strange


def expected_ids(channel: str) -> list[str]:
    """Return the ids of every utterance of channel ``01`` (speech, 1440) or ``02`` (song, 1012), sorted.

    Neutral has no strong intensity; nobody sings disgust or surprise, and actor 18 does not sing.
    """
    song = channel == "02"
    emotions = [f"{number:02d}" for number in range(1, 7 if song else 9)]
    actors = [f"{number:02d}" for number in range(1, 25) if not (song and number == 18)]
    return [
        "-".join((channel, *fields))
        for fields in product(emotions, INTENSITIES, SENTENCES, ("01", "02"), actors)
        if fields[:2] != ("01", "02")
    ]


def default_split(actor: str) -> str:
    """Return ``train`` for actors 01-16, ``dev`` for 17-20, ``test`` for 21-24."""
    number = int(actor)
    return "train" if number <= 16 else "dev" if number <= 20 else "test"


def _find(root: Path) -> tuple[dict[str, _Takes], list[Excluded]]:
    """Return the files of each utterance, and the media that no utterance can claim.

    Some copies hold the whole tree twice: a name that occurs again is the same file.
    """
    found: dict[str, _Takes] = {}
    strange = []
    for path in walk(root):
        what = kind(path)
        if what not in ("video", "audio"):
            continue
        match = STEM.match(path.stem)
        if match is None or (match[1] == SOUND) != (what == "audio"):
            reason = "name and ending are not those of RAVDESS, such as 01-01-03-01-01-01-01.mp4 or 03-01-*.wav"
            strange.append(Excluded(path.relative_to(root).as_posix(), reason))
            continue
        found.setdefault(match[2], _Takes()).files[match[1]].append(path)
    return found, strange


def _layout(channel: str, here: Mapping[str, _Takes], whole: int) -> str:
    counts = {modality: sum(bool(takes.files[modality]) for takes in here.values()) for modality in (AV, SILENT, SOUND)}
    return (
        f"{channel}: {len(here)} of {whole} utterances; with picture and sound {counts[AV]}, "
        f"picture only {counts[SILENT]}, sound only {counts[SOUND]}"
    )


def _usable(paths: Sequence[Path]) -> Path | None:
    return next((path for path in paths if missing(path) is None), None)


def _media(takes: _Takes) -> tuple[Path | None, Path | None, dict[str, str]]:
    """Return video, audio and why a modality must not be used; the sound of an AV file serves where no other is."""
    both, silent = _usable(takes.files[AV]), _usable(takes.files[SILENT])
    audio = _usable(takes.files[SOUND])
    pictures = takes.files[AV] or takes.files[SILENT]
    sounds = takes.files[SOUND] or takes.files[AV]
    masked = {}
    if not (both or silent) and pictures:
        masked["face"] = str(missing(pictures[0]))
    if not (both or audio):
        masked["audio"] = str(missing(sounds[0])) if sounds else "only the file without sound (02-*) is there"
    return both or silent, audio, masked


def _utterance(name: str, identity: str, takes: _Takes, root: Path) -> Iterator[Clip | Segment]:
    channel, emotion, intensity, statement, repetition, actor = identity.split("-")
    video, audio, masked = _media(takes)
    yield Clip(
        identity,
        name,
        video=video.relative_to(root).as_posix() if video else None,
        audio=audio.relative_to(root).as_posix() if audio else None,
        meta={
            "channel": CHANNEL_NAMES[channel],
            "intensity": INTENSITIES[intensity],
            "statement": statement,
            "repetition": repetition,
        },
    )
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        speaker=actor,
        sex="m" if int(actor) % 2 else "f",
        text=SENTENCES[statement],
        text_source="corpus",
        language="en",
        masked={"text": FIXED, **masked},
        labels={"ravdess": LABELS[int(emotion) - 1]},
        split=default_split(actor),
    )
