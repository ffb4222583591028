"""EMO-DB: ten German sentences acted by ten speakers, audio only (Burkhardt et al. 2005)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts
from mercli.corpora.media import claim, kind, missing, walk
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

CODES = {"W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral"}
LABELS = tuple(sorted(CODES.values()))
SEX = {
    "03": "m", "08": "f", "09": "f", "10": "m", "11": "m", "12": "m", "13": "f", "14": "f", "15": "m", "16": "f",
}  # fmt: skip
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
FIXED = "fixed sentence: it carries no emotion"
DEV, TEST = ("12", "13"), ("15", "16")
STEM = re.compile(r"^(\d\d)([ab]\d\d)([A-Z])([a-z])$")


@plugin("corpora", "emodb", scheme="emodb", labels=LABELS)
def emodb(*, boredom: str = DEFAULT_POLICY["boredom"]) -> CorpusReader:
    """EMO-DB (Berlin): ten fixed German sentences by ten actors, audio, seven emotions.

    ``boredom``: neutral, own or drop.
    """
    return Emodb(policy(boredom=boredom))


class Emodb:
    """Reads the files' names (speaker, sentence, emotion, version), in ``wav/`` or any other folder."""

    scheme = LabelScheme("emodb", "one-of", LABELS)
    facts = facts.load("emodb")

    def __init__(self, choices: Mapping[str, str]) -> None:
        self.choices = choices
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, split convention and where the recordings lie."""
        return {
            "licence": "free to use with citation (Burkhardt et al. 2005)",
            "language": "de",
            "label_map": canonical_map("emodb", LABELS, self.choices),
            "policy": policy_name(self.choices),
            "splits": "convention, none is official: by speaker, dev 12 13, test 15 16, train the other six",
            "layout": self.layout,
            "expected": "release",
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the recordings; raises ``DataError`` where none is named as EMO-DB names them."""
        paths = [path for path in walk(root) if kind(path) == "audio"]
        folders = sorted({path.parent.relative_to(root).as_posix() for path in paths if STEM.match(path.stem)})
        if not folders:
            raise DataError(
                f"no EMO-DB recording under '{root}', expected wav/03a01Fa.wav",
                "mer prepare --corpus emodb --root DIR-ABOVE-WAV",
            )
        self.layout = f"recordings in {', '.join(folders)}"
        held: dict[str, str] = {}
        for path in paths:
            place = path.relative_to(root).as_posix()
            fault = _fault(path.stem)
            if fault is None and claim([path.stem], place, held) is None:
                fault = f"its name is already that of '{held[path.stem]}'"
            if fault:
                yield Excluded(place, fault)
            else:
                yield from _recording(name, path, place)


def default_split(speaker: str) -> str:
    """Return ``dev`` for speakers 12 and 13, ``test`` for 15 and 16, else ``train``."""
    return "dev" if speaker in DEV else "test" if speaker in TEST else "train"


def _fault(stem: str) -> str | None:
    """Return why a name cannot be read, or ``None``."""
    match = STEM.match(stem)
    if match is None:
        return "name is not that of an EMO-DB recording, such as 03a01Fa"
    for what, code, known in (
        ("speaker", match[1], SEX),
        ("sentence", match[2], SENTENCES),
        ("emotion", match[3], CODES),
    ):
        if code not in known:
            return f"unknown {what} '{code}', expected one of {', '.join(known)}"
    return None


def _recording(name: str, path: Path, place: str) -> Iterator[Clip | Segment]:
    identity = path.stem
    speaker, sentence, emotion, version = identity[:2], identity[2:5], identity[5], identity[6]
    reason = missing(path)
    yield Clip(identity, name, audio=None if reason else place, meta={"sentence": sentence, "version": version})
    yield Segment(
        id=f"{name}/{identity}/0",
        clip_id=identity,
        start=0.0,
        speaker=speaker,
        sex=SEX[speaker],
        text=SENTENCES[sentence],
        text_source="corpus",
        language="de",
        masked={"text": FIXED, **({"audio": reason} if reason else {})},
        labels={"emodb": CODES[emotion]},
        split=default_split(speaker),
    )
