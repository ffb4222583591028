"""AFEW's layout: a folder per set and emotion, avis named by nine digits, their xmls among them; nothing is written
of what is said, and nobody is named but in the xmls.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mercli.corpora.made_layouts.plan import Layout, Plan, Utterance, single

FOLDERS = {
    "anger": "Angry", "disgust": "Disgust", "fear": "Fear", "joy": "Happy",
    "neutral": "Neutral", "sadness": "Sad", "surprise": "Surprise",
}  # fmt: skip
SETS = {"train": "Train_AFEW", "dev": "Val_AFEW", "test": "Val_AFEW"}
"""The release's test labels are withheld: what the other layouts test on is validated on here."""
FILMS = 6


def _who(dice: random.Random, split: str, number: int) -> int:
    return dice.randrange(FILMS) + FILMS * list(SETS).index(split)


def _plan(said: Sequence[Utterance]) -> Plan:
    files, clips = {}, []
    for index, one in enumerate(said):
        # a film's number and the frame where the scene begins
        name = f"{one.speaker:03d}{index * 40:06d}"
        folder = f"{SETS[one.split]}/{FOLDERS[one.emotion]}"
        clips.append(single(f"{folder}/{name}.avi", one))
        files[f"{folder}/{name}.xml"] = _xml(name, one)
    return Plan(files, tuple(clips))


def _xml(name: str, one: Utterance) -> str:
    person = f'<Person NameOfActor="Actor {one.speaker}" Gender="{"Male" if one.speaker % 2 else "Female"}"/>'
    return f'<?xml version="1.0"?>\n<Clip Name="{name}" Expression="{FOLDERS[one.emotion]}">{person}</Clip>\n'


LAYOUT = Layout(tuple(FOLDERS), _who, _plan)
