"""What a made corpus consists of before it is rendered: utterances with their cues, files to write, clips to draw.

Each cue of an utterance (tone, face, words) tells its emotion with probability ``strength``, else a random class of the
same corpus, so that no modality alone is enough. A cue is drawn alike in every layout: what is learnt from one made
corpus holds in another.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

SHARES = {"train": 0.6, "dev": 0.2, "test": 0.2}
LADDER = {
    "neutral": 0.0,
    "joy": 1.0,
    "surprise": 2.0,
    "anger": 3.0,
    "sadness": 4.0,
    "disgust": 5.0,
    "fear": 6.0,
    "calm": -0.5,
    "excited": 1.5,
    "frustrated": 3.5,
}
"""The step of each emotion's pitch, tremolo and tilt; what label policies merge stands half a step apart."""
WORDS = {
    "neutral": ("meeting is at noon", "keys on the table", "take the usual road"),
    "joy": ("what a wonderful day", "so glad and delighted", "this is great fun"),
    "surprise": ("wow never expected that", "oh really how come", "what on earth happened"),
    "anger": ("stop this nonsense now", "furious leave me alone", "how dare you"),
    "sadness": ("i miss her terribly", "everything lost and lonely", "i could only cry"),
    "disgust": ("smells rotten and gross", "ugh this is revolting", "what a nasty mess"),
    "fear": ("scared something is outside", "please hide from danger", "help i am terrified"),
    "calm": ("the lake lies quiet", "breathe and take time", "the evening is still"),
    "excited": ("cannot wait so wonderful", "we won believe it", "so great hurry up"),
    "frustrated": ("no use tried everything", "nothing ever works properly", "told you many times"),
}
"""At most four words: sentences of five and more that two corpora share count as an overlap between them."""


@dataclass(frozen=True)
class Utterance:
    """One labelled utterance: its true ``emotion``, and the emotion each modality shows (``text``: its words).

    ``number`` counts inside the split from 0; ``seconds`` is how long it lasts.
    """

    split: str
    number: int
    emotion: str
    audio: str
    face: str
    text: str
    speaker: int
    seconds: float


@dataclass(frozen=True)
class Shot:
    """A stretch of a recording: the emotions that tone and face show, for ``seconds``.

    ``audio`` is ``None`` in a pause, where nobody speaks. ``side``: the half (``left``, ``right``) of a picture of two
    people in which the speaker is; the other one stays neutral.
    """

    seconds: float
    audio: str | None
    face: str
    speaker: int
    side: str | None = None


@dataclass(frozen=True)
class MadeClip:
    """One medium to render: its place below the root, and its shots in order. Its ending names the format.

    ``pair``: two people side by side; ``grain`` seeds the noise, so that no two media are the same.
    """

    path: str
    shots: tuple[Shot, ...]
    pair: bool = False
    grain: int = 0


@dataclass(frozen=True)
class Csd:
    """A computational sequence of the CMU SDK: ``rows`` {video: ((start, end, values), ...)}, rendered as HDF5."""

    name: str
    dimensions: tuple[str, ...]
    rows: Mapping[str, Sequence[tuple[float, float, Sequence[float]]]]


@dataclass(frozen=True)
class Plan:
    """All of a made corpus: text files and label sequences by path below the root, and the clips to render."""

    files: Mapping[str, str | Csd] = field(default_factory=dict)
    clips: tuple[MadeClip, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a corpus is imitated: its emotions, who speaks, and how its utterances become its files.

    ``who(draw, split, number)`` returns the speaker's number; ``most`` is how many utterances the layout's names can
    tell apart; ``known``: whether the imitated corpus's known overlaps hold for the made one.
    """

    emotions: tuple[str, ...]
    who: Callable[[random.Random, str, int], int]
    plan: Callable[[Sequence[Utterance]], Plan]
    most: int = 10_000
    known: bool = True


def single(path: str, said: Utterance) -> MadeClip:
    """Return the clip of one utterance, its speaker alone in the picture."""
    return MadeClip(path, (Shot(said.seconds, said.audio, said.face, said.speaker),))


def rotated(number: int, classes: int, people: int) -> int:
    """Return whose turn it is (0..people-1) in utterance ``number``, whose class is ``number % classes``.

    The k-th utterance of a class and its successor come from neighbours, so nobody is tied to a class, and the first
    ``people`` utterances of a class come from as many people.
    """
    return (number % classes + number // classes) % people


def draw(layout: Layout, clips: int, strength: float, seed: int) -> list[Utterance]:
    """Return about ``clips`` utterances, the classes in turn in every split; the same for the same options."""
    dice = random.Random(seed)  # noqa: S311 - a toy corpus is not a secret
    emotions = layout.emotions
    drawn = []
    for split, share in SHARES.items():
        for number in range(round(clips * share)):
            truth = number % len(emotions)
            cues = [truth if dice.random() < strength else dice.randrange(len(emotions)) for _ in range(3)]
            speaker = layout.who(dice, split, number)
            seconds = round(dice.uniform(1.0, 1.6), 2)
            audio, face, text = (emotions[cue] for cue in cues)
            words = dice.choice(WORDS[text])
            drawn.append(Utterance(split, number, emotions[truth], audio, face, words, speaker, seconds))
    return drawn
