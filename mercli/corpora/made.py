"""Made corpora: tiny synthetic clips in an official layout, whose emotion can be read from each modality.

The plan is drawn here, deterministically; ``jobs/making.py`` renders it. Audio: a tone per class. Face: a packaged
face that tilts and stretches by class. Text: words of the class. Each cue tells the truth with probability
``strength``, else it belongs to a random class, so that no modality alone is enough.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli.contracts import CorpusReader, Excluded, Facts
from mercli.corpora.meld import LABELS, Meld
from mercli.errors import ConfigError
from mercli.registry import plugin
from mercli.types import Clip, Segment

WORDS = {
    "neutral": ("the meeting is at noon", "the keys are on the table", "we take the usual road"),
    "joy": ("what a wonderful lovely day", "i am so glad and delighted", "this is great fun"),
    "surprise": ("wow i never expected that", "oh really how did you", "what on earth is this"),
    "anger": ("stop this nonsense right now", "i am furious leave me alone", "how dare you do that"),
    "sadness": ("i miss her so much", "everything is lost and lonely", "i could only cry"),
    "disgust": ("that smells rotten and gross", "ugh this is revolting", "what a nasty filthy mess"),
    "fear": ("i am scared something is out there", "please hide it is dangerous", "help i am terrified"),
}
SPLITS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
HEADER = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment",
    "Dialogue_ID", "Utterance_ID", "Season", "Episode", "StartTime", "EndTime",
)  # fmt: skip
SENTIMENT = {"neutral": "neutral", "joy": "positive", "surprise": "positive"}


@dataclass(frozen=True)
class MadeClip:
    """One clip to render: its place below the root, its length in seconds, and the class each modality shows."""

    path: str
    seconds: float
    audio: int
    face: int
    speaker: int


@plugin("corpora", "made", scheme="meld", labels=LABELS)
def made(*, like: str = "meld", clips: int = 140, strength: float = 0.8, seed: int = 0) -> CorpusReader:
    """A tiny synthetic corpus in MELD's layout, made under --root when it is not there."""
    if like != "meld":
        raise ConfigError(f"like='{like}' is unknown; layouts that can be made: meld", "mer list corpora")
    if clips < 35 or not 0 <= strength <= 1:
        raise ConfigError(f"clips={clips} strength={strength}: expected clips >= 35 and strength in 0..1")
    return Made(clips, strength, seed)


class Made:
    """Reads its own clips through the reader of the layout it imitates."""

    scheme = Meld.scheme
    facts = Facts()

    def __init__(self, clips: int, strength: float, seed: int) -> None:
        self.clips = clips
        self.strength = strength
        self.seed = seed

    def card(self) -> Mapping[str, Any]:
        """Return the imitated corpus's card, marked as made."""
        facts = {"made": True, "strength": self.strength, "seed": self.seed, "licence": "public domain"}
        return {**Meld().card(), "expected": None, **facts}

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the made utterances as MELD's."""
        return Meld().read(root, name)

    def plan(self) -> tuple[dict[str, str], list[MadeClip]]:
        """Return the text files (by path) and the clips to render, the same for the same options."""
        draw = random.Random(self.seed)  # noqa: S311 - a toy corpus is not a secret
        files, clips = {}, []
        for split, folder in SPLITS.items():
            rows = []
            for number in range(round(self.clips * SHARES[split])):
                truth = number % len(LABELS)
                cues = [truth if draw.random() < self.strength else draw.randrange(len(LABELS)) for _ in range(3)]
                speaker = draw.randrange(6) + 6 * list(SPLITS).index(split)
                dialogue, turn = divmod(number, 7)
                seconds = round(draw.uniform(1.0, 1.6), 2)
                clips.append(MadeClip(f"{folder}/dia{dialogue}_utt{turn}.mp4", seconds, cues[0], cues[1], speaker))
                text = draw.choice(WORDS[LABELS[cues[2]]])
                rows.append(_row(number, text, f"Speaker {speaker}", LABELS[truth], dialogue, turn, seconds))
            files[f"{split}_sent_emo.csv"] = _table(rows)
        return files, clips


def _row(
    number: int, text: str, speaker: str, label: str, dialogue: int, turn: int, seconds: float
) -> tuple[str | int, ...]:
    sentiment = SENTIMENT.get(label, "negative")
    end = f"00:00:{seconds:06.3f}".replace(".", ",")
    return number + 1, text, speaker, label, sentiment, dialogue, turn, 1, 1, "00:00:00,000", end


def _table(rows: list[tuple[str | int, ...]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(HEADER)
    writer.writerows(rows)
    return buffer.getvalue()
