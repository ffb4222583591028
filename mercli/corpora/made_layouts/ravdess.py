"""RAVDESS's layout: a folder per actor, ``01-`` mp4s (sight and sound) and ``03-`` wavs of the same utterance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

from mercli.corpora.made_layouts.plan import Layout, Plan, Utterance, rotated, single

CODES = {
    "neutral": "01", "calm": "02", "joy": "03", "sadness": "04",
    "anger": "05", "fear": "06", "disgust": "07", "surprise": "08",
}  # fmt: skip
ACTORS = {"train": range(1, 17), "dev": range(17, 21), "test": range(21, 25)}
TAKES = [f"{intensity}-{statement}-{repetition}" for intensity, statement, repetition in product(*[("01", "02")] * 3)]
"""Neutral exists in normal intensity only: the first four of these."""


def _who(dice: random.Random, split: str, number: int) -> int:
    return ACTORS[split][rotated(number, len(CODES), len(ACTORS[split]))]


def _plan(said: Sequence[Utterance]) -> Plan:
    clips = []
    for one in said:
        take = TAKES[one.number // len(CODES) // len(ACTORS[one.split])]
        name = f"01-{CODES[one.emotion]}-{take}-{one.speaker:02d}"
        folder = f"Actor_{one.speaker:02d}"
        clips += [single(f"{folder}/01-{name}.mp4", one), single(f"{folder}/03-{name}.wav", one)]
    return Plan({}, tuple(clips))


# dev and test have four actors each, who say neutral in four ways
LAYOUT = Layout(tuple(CODES), _who, _plan, most=len(CODES) * 4 * 4 * 5)
