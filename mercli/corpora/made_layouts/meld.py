"""MELD's layout: a csv and a folder of mp4s per split, named by dialogue and utterance."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence

from mercli.corpora.made_layouts.plan import SHARES, Layout, Plan, Utterance, single

EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
HEADER = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment",
    "Dialogue_ID", "Utterance_ID", "Season", "Episode", "StartTime", "EndTime",
)  # fmt: skip
SENTIMENT = {"neutral": "neutral", "joy": "positive", "surprise": "positive"}
TURNS = 7
CAST = 6


def _who(dice: random.Random, split: str, number: int) -> int:
    return dice.randrange(CAST) + CAST * list(SHARES).index(split)


def _plan(said: Sequence[Utterance]) -> Plan:
    rows: dict[str, list[tuple[str | int, ...]]] = {split: [] for split in SHARES}
    clips = []
    for one in said:
        dialogue, turn = divmod(one.number, TURNS)
        rows[one.split].append(_row(one, dialogue, turn))
        clips.append(single(f"{FOLDERS[one.split]}/dia{dialogue}_utt{turn}.mp4", one))
    return Plan({f"{split}_sent_emo.csv": _table(table) for split, table in rows.items()}, tuple(clips))


def _row(one: Utterance, dialogue: int, turn: int) -> tuple[str | int, ...]:
    sentiment = SENTIMENT.get(one.emotion, "negative")
    end = f"00:00:{one.seconds:06.3f}".replace(".", ",")
    start = "00:00:00,000"
    speaker = f"Speaker {one.speaker}"
    return one.number + 1, one.text, speaker, one.emotion, sentiment, dialogue, turn, 1, 1, start, end


def _table(rows: list[tuple[str | int, ...]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    writer.writerows(rows)
    return buffer.getvalue()


LAYOUT = Layout(EMOTIONS, _who, _plan, known=False)
