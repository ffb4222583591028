"""CMU-MOSEI's original layout: whole videos and wavs, transcripts that cut them, labels in a csd matched by times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import groupby

from mercli.corpora.cmu import release
from mercli.corpora.made_layouts.plan import SHARES, Csd, Layout, MadeClip, Plan, Shot, Utterance

EMOTIONS = ("neutral", "joy", "sadness", "anger", "surprise", "disgust", "fear")
DIMENSIONS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
SENTIMENT = {"neutral": 0.0, "joy": 2.0, "surprise": 1.0}
PRESENT, PARTLY = 2.0, 1.0
NAMES = {"joy": "happy", "sadness": "sad"}
SEGMENTS = 4
PAUSE = 0.2
MOST = 300 * SEGMENTS * 5
"""The fold of dev has 300 videos, and a fifth of the segments."""


def _videos() -> dict[str, list[str]]:
    """Return the ids of each split's videos in the SDK's folds, sorted: the first ones begin with a dash."""
    folds = release.folds("mosei")
    return {split: sorted(video for video, own in folds.items() if own == split) for split in SHARES}


def _who(dice: random.Random, split: str, number: int) -> int:
    return number // SEGMENTS


def _plan(said: Sequence[Utterance]) -> Plan:
    files: dict[str, str | Csd] = {}
    clips: list[MadeClip] = []
    rows: dict[str, list[tuple[float, float, tuple[float, ...]]]] = {}
    videos = _videos()
    for (split, number), group in groupby(said, key=lambda one: (one.split, one.speaker)):
        video = videos[split][number]
        shots: list[Shot] = []
        lines: list[str] = []
        rows[video] = []
        time = 0.0
        for index, one in enumerate(group):
            start, end = round(time + PAUSE, 3), round(time + PAUSE + one.seconds, 3)
            shots += [Shot(PAUSE, None, "neutral", number), Shot(one.seconds, one.audio, one.face, number)]
            lines.append(f"{video}___{index}___{start}___{end}___{one.text}\n")
            rows[video].append((start, end, _values(one)))
            time = end
        files[f"Raw/Transcript/Segmented/Combined/{video}.txt"] = "".join(lines)
        whole = (*shots, Shot(PAUSE, None, "neutral", number))
        clips.append(MadeClip(f"Raw/Videos/Full/Combined/{video}.mp4", whole))
        clips.append(MadeClip(f"Raw/Audio/Full/WAV_16000/{video}.wav", whole))
    files["CMU_MOSEI_Labels.csd"] = Csd("All Labels", DIMENSIONS, rows)
    return Plan(files, tuple(clips))


def _values(one: Utterance) -> tuple[float, ...]:
    """Return sentiment (-3..3) and the six emotions (0..3): neutral is a row without any.

    What only some modalities show is there, too, and less so: such rows have several emotions.
    """
    shown = {} if one.emotion == "neutral" else dict.fromkeys((one.audio, one.face, one.text), PARTLY)
    values = {NAMES.get(name, name): value for name, value in {**shown, one.emotion: PRESENT}.items()}
    return (SENTIMENT.get(one.emotion, -2.0), *(values.get(name, 0.0) for name in DIMENSIONS[1:]))


LAYOUT = Layout(EMOTIONS, _who, _plan, most=MOST)
