"""IEMOCAP's layout: five sessions of dialogues between two people, cut by the times of their label files.

A dialogue's avi shows both actors side by side, who wears the markers on the left; each utterance has a wav of its own.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import product

from mercli.corpora.made_layouts.plan import Csd, Layout, MadeClip, Plan, Shot, Utterance, rotated, single

CODES = {
    "neutral": "neu", "joy": "hap", "sadness": "sad", "anger": "ang", "excited": "exc",
    "frustrated": "fru", "surprise": "sur", "fear": "fea", "disgust": "dis",
}  # fmt: skip
NAMES = {
    "neutral": "Neutral", "joy": "Happiness", "sadness": "Sadness", "anger": "Anger", "excited": "Excited",
    "frustrated": "Frustration", "surprise": "Surprise", "fear": "Fear", "disgust": "Disgust",
}  # fmt: skip
VALUES = {
    "neutral": (3.0, 2.5, 2.5), "joy": (4.5, 3.5, 3.0), "sadness": (2.0, 2.0, 2.0), "anger": (1.5, 4.0, 4.0),
    "excited": (4.5, 4.5, 3.5), "frustrated": (2.0, 3.0, 3.0), "surprise": (3.5, 3.5, 2.5), "fear": (2.0, 3.5, 2.0),
    "disgust": (2.0, 3.0, 3.5),
}  # fmt: skip
SESSIONS = {"train": (1, 2, 3), "dev": (4,), "test": (5,)}
SCENES = [f"{kind}{number:02d}{part}" for number in range(1, 10) for kind, part in (("impro", ""), ("script", "_1"))]
DIALOGUES = list(product(SCENES, "FM"))
"""A scene, and who wears the markers in it."""
TURNS = 7
PAUSE = 0.2
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"


def _who(dice: random.Random, split: str, number: int) -> int:
    people = [2 * session + sex for session in SESSIONS[split] for sex in (0, 1)]
    return people[rotated(number, len(CODES), len(people))]


def _plan(said: Sequence[Utterance]) -> Plan:
    files: dict[str, str | Csd] = {}
    clips: list[MadeClip] = []
    for session in range(1, 6):
        turns = [one for one in said if one.speaker // 2 == session]
        # a session has no more dialogues than scenes: many utterances make them longer
        size = max(TURNS, -(-len(turns) // len(DIALOGUES)))
        for first, (scene, marked) in zip(range(0, len(turns), size), DIALOGUES, strict=False):
            dialogue = _dialogue(f"Session{session}", f"Ses0{session}{marked}_{scene}", turns[first : first + size])
            files |= dialogue.files
            clips += dialogue.clips
    return Plan(files, tuple(clips))


def _dialogue(folder: str, name: str, turns: Sequence[Utterance]) -> Plan:
    """Return one dialogue: its label and transcript files, a wav per utterance, and the avi of all of them."""
    judged, spoken, clips, shots = [HEADER], [], [], []
    counts = {"F": 0, "M": 0}
    time = 0.0
    for one in turns:
        letter = "FM"[one.speaker % 2]
        turn = f"{name}_{letter}{counts[letter]:03d}"
        counts[letter] += 1
        start, end = time + PAUSE, time + PAUSE + one.seconds
        judged.append(_judged(one, turn, start, end))
        spoken.append(f"{turn} [{start:08.4f}-{end:08.4f}]: {one.text}\n")
        side = "left" if letter == name[5] else "right"
        shots += [Shot(PAUSE, None, "neutral", one.speaker), Shot(one.seconds, one.audio, one.face, one.speaker, side)]
        clips.append(single(f"{folder}/sentences/wav/{name}/{turn}.wav", one))
        time = end
    shots.append(Shot(PAUSE, None, "neutral", 0))
    clips.append(MadeClip(f"{folder}/dialog/avi/DivX/{name}.avi", tuple(shots), pair=True))
    files = {
        f"{folder}/dialog/EmoEvaluation/{name}.txt": "\n".join(judged),
        f"{folder}/dialog/transcriptions/{name}.txt": "".join(spoken),
    }
    return Plan(files, tuple(clips))


def _judged(one: Utterance, turn: str, start: float, end: float) -> str:
    """Return the block of one utterance: its summary, and one rater's categories and values."""
    valence, arousal, dominance = VALUES[one.emotion]
    return (
        f"[{start:.4f} - {end:.4f}]\t{turn}\t{CODES[one.emotion]}\t[{valence:.4f}, {arousal:.4f}, {dominance:.4f}]\n"
        f"C-E1:\t{NAMES[one.emotion]};\t()\n"
        f"A-E1:\tval {round(valence)}; act {round(arousal)}; dom  {round(dominance)};\t()\n"
    )


LAYOUT = Layout(tuple(CODES), _who, _plan)
