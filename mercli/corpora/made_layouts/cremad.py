"""CREMA-D's layout: flash videos and wavs named by actor, sentence, emotion and level, and the tables of votes."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mercli.corpora.made_layouts.plan import Layout, Plan, Utterance, rotated, single

CODES = {"neutral": "NEU", "joy": "HAP", "sadness": "SAD", "anger": "ANG", "fear": "FEA", "disgust": "DIS"}
SENTENCES = ("TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
FOLDS = {"train": (0, 1, 2), "dev": (3,), "test": (4,)}
"""Which of every five actors: the reader's default split."""
ACTORS = {split: [1001 + n for n in range(91) if n % 5 in folds] for split, folds in FOLDS.items()}
VOTES = "FileName,VoiceVote,VoiceLevel,FaceVote,FaceLevel,MultiModalVote,MultiModalLevel"


def _who(dice: random.Random, split: str, number: int) -> int:
    return ACTORS[split][rotated(number, len(CODES), len(ACTORS[split]))]


def _plan(said: Sequence[Utterance]) -> Plan:
    clips, votes, names = [], [], []
    for one in said:
        sentence = SENTENCES[one.number // len(CODES) // len(ACTORS[one.split])]
        name = f"{one.speaker}_{sentence}_{CODES[one.emotion]}_XX"
        clips += [single(f"VideoFlash/{name}.flv", one), single(f"AudioWAV/{name}.wav", one)]
        voice, face, both = (CODES[emotion][0] for emotion in (one.audio, one.face, one.emotion))
        names.append(name)
        votes.append(f"{name},{voice},50,{face},50,{both},50")
    actors = sorted({one.speaker for one in said})
    people = [f"{actor},{20 + actor % 50},{'Male' if actor % 2 else 'Female'},Unknown,Unknown" for actor in actors]
    numbered = [f"{number},{row}" for number, row in enumerate(votes, start=1)]
    files = {
        "VideoDemographics.csv": _table("ActorID,Age,Sex,Race,Ethnicity", people),
        "SentenceFilenames.csv": _table("Stimulus_Number,Filename", [f"{n},{x}" for n, x in enumerate(names, start=1)]),
        "processedResults/summaryTable.csv": _table(f",{VOTES}", numbered),
    }
    return Plan(files, tuple(clips))


def _table(header: str, rows: Sequence[str]) -> str:
    return "\n".join([header, *rows]) + "\n"


LAYOUT = Layout(tuple(CODES), _who, _plan, most=len(CODES) * len(ACTORS["test"]) * len(SENTENCES) * 5)
