"""IEMOCAP as released: five sessions of dialogs between two actors, cut and judged by utterance (Busso et al. 2008)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mercli import presets
from mercli.contracts import CorpusReader, Excluded
from mercli.corpora import facts, media
from mercli.corpora.dimensions import VAD
from mercli.corpora.emoevaluation import KINDS, LABELS, Utterance, named, utterances, words
from mercli.errors import DataError
from mercli.labels import DEFAULT_POLICY, canonical_map, policy, policy_name
from mercli.registry import plugin
from mercli.types import Clip, LabelScheme, Segment

SPLITS = {"1": "train", "2": "train", "3": "train", "4": "dev", "5": "test"}


@plugin("corpora", "iemocap", scheme="iemocap", labels=LABELS)
def iemocap(
    *,
    labels: Literal["emoeval", "erc"] = "emoeval",
    audio: Literal["sentences", "dialog"] = "sentences",
    excited: str = DEFAULT_POLICY["excited"],
    frustrated: str = DEFAULT_POLICY["frustrated"],
) -> CorpusReader:
    """IEMOCAP: utterances of ten actors in dialogs, with video, transcript, eleven labels and V/A/D.

    ``labels``: erc takes 53 undecided utterances as happy, as the files of DialogueRNN and its successors do.
    ``audio``: a clip per utterance with its own wav (sentences), or a clip per dialog, cut by the label files' times.
    """
    return Iemocap(labels, audio == "sentences", policy(excited=excited, frustrated=frustrated))


@cache
def undecided_as_happy() -> frozenset[str]:
    """Return the 53 utterances without a majority that the usual six-class files call happy."""
    path = Path(facts.__file__).with_name("iemocap.yaml")
    return frozenset(presets.parse(path.read_text(encoding="utf-8"), path.name)["undecided_as_happy"])


@dataclass(frozen=True)
class _Session:
    """The files of one session: label files in order, the others by stem."""

    labels: Sequence[Path]
    texts: Mapping[str, Path]
    video: Mapping[str, Path]
    dialogs: Mapping[str, Path]
    sentences: Mapping[str, Path]


@dataclass(frozen=True)
class _Medium:
    """A medium's path relative to the corpus, or why there is none."""

    path: str | None
    reason: str | None


class Iemocap:
    """Reads the top-level label files of each session; media and transcripts are joined to them by name."""

    scheme = LabelScheme("iemocap", "one-of", LABELS)
    facts = facts.load("iemocap")

    def __init__(self, labels: str, by_sentence: bool, choices: Mapping[str, str]) -> None:
        self.labels = labels
        self.by_sentence = by_sentence
        self.choices = choices
        self.layout = ""

    def card(self) -> Mapping[str, Any]:
        """Return licence, label policy, V/A/D's scheme, whose splits these are, and which form of clips was read."""
        return {
            "licence": "IEMOCAP release form of USC SAIL; research use, not to be passed on",
            "language": "en",
            "label_map": canonical_map("iemocap", LABELS, self.choices),
            "policy": policy_name(self.choices),
            "schemes": [VAD],
            "splits": "none official; sessions 1-3 train, 4 dev, 5 test (nkululeko's convention), disjoint by speaker",
            "layout": self.layout,
            "expected": self.labels,
        }

    def read(self, root: Path, name: str) -> Iterator[Clip | Segment | Excluded]:
        """Stream the utterances session by session; raises ``DataError`` where no label file is found."""
        sessions = [_files(folder) for folder in _folders(root)]
        if not any(session.labels for session in sessions):
            raise DataError(
                f"no IEMOCAP session under '{root}', expected Session1/dialog/EmoEvaluation/Ses01F_impro01.txt",
                "mer prepare --corpus iemocap --root DIR-OF-IEMOCAP_full_release",
            )
        sentences = self.by_sentence and any(session.sentences for session in sessions)
        form = "clip per utterance, wavs of sentences/wav" if sentences else "clip per dialog, cut by the label files"
        self.layout = f"sessions: {sum(bool(session.labels) for session in sessions)}; {form}"
        held: set[str] = set()
        for session in sessions:
            for path in session.labels:
                yield from self._dialog(session, path, held, sentences, root, name)
            media_of = session.sentences if sentences else {**session.video, **session.dialogs}
            known = held if sentences else {path.stem for path in session.labels}
            yield from (Excluded(stem, "media without a label") for stem in sorted(media_of) if stem not in known)

    def _dialog(
        self, session: _Session, path: Path, held: set[str], sentences: bool, root: Path, name: str
    ) -> Iterator[Clip | Segment | Excluded]:
        """Yield one label file's utterances, each once, by their starts; then what has words and no label."""
        mine: list[Utterance] = []
        for item in utterances(path):
            if isinstance(item, Excluded):
                held.add(item.id)
                yield item
            elif str(item.name) in held:
                yield Excluded(str(item.name), f"'{path.relative_to(root)}' labels it a second time")
            else:
                held.add(str(item.name))
                mine.append(item)
        mine.sort(key=lambda u: (u.start, u.end, str(u.name)))
        texts = words(session.texts[path.stem]) if path.stem in session.texts else {}
        video = _medium(session.video.get(path.stem), root)
        if sentences:
            for turn, one in enumerate(mine):
                sound = _medium(session.sentences.get(str(one.name)), root)
                yield from self._alone(name, one, turn, texts.get(str(one.name)), video, sound)
        elif mine:
            yield from self._together(
                name, path.stem, mine, texts, video, _medium(session.dialogs.get(path.stem), root)
            )
        for identity in sorted(set(texts) - held):
            held.add(identity)
            known = named(identity)
            yield Excluded(identity, "both speak at once: not labelled" if known and known.overlap else "not labelled")

    def _alone(
        self, name: str, one: Utterance, turn: int, text: str | None, video: _Medium, sound: _Medium
    ) -> Iterator[Clip | Segment]:
        """Yield an utterance as a clip of its own; the dialog's video begins at its offset."""
        identity, seconds = str(one.name), round(one.end - one.start, 4)
        masked = {key: found.reason for key, found in (("audio", sound), ("face", video)) if found.reason}
        meta = {
            **_about(one),
            "seconds": seconds,
            **({"offset": {"video": one.start}} if video.path else {}),
            **({"errata": list(one.notes)} if one.notes else {}),
        }
        yield Clip(identity, name, video=video.path, audio=sound.path, meta=meta)
        yield self._segment(f"{name}/{identity}/0", identity, one, turn, (0.0, seconds), text, masked, video)

    def _together(
        self,
        name: str,
        dialog: str,
        mine: Sequence[Utterance],
        texts: Mapping[str, str],
        video: _Medium,
        sound: _Medium,
    ) -> Iterator[Clip | Segment]:
        """Yield a dialog as one clip and its utterances as segments; the video's own sound serves where no wav is."""
        notes = [f"{one.name}: {note}" for one in mine for note in one.notes]
        meta = {**_about(mine[0]), **({"errata": notes} if notes else {})}
        yield Clip(dialog, name, video=video.path, audio=sound.path, meta=meta)
        silent = {"audio": sound.reason} if sound.reason and video.reason else {}
        masked = {**silent, **({"face": video.reason} if video.reason else {})}
        for turn, one in enumerate(mine):
            text = texts.get(str(one.name))
            yield self._segment(f"{name}/{dialog}/{turn}", dialog, one, turn, (one.start, one.end), text, masked, video)

    def _segment(
        self,
        identity: str,
        clip_id: str,
        one: Utterance,
        turn: int,
        times: tuple[float, float],
        text: str | None,
        masked: Mapping[str, str],
        video: _Medium,
    ) -> Segment:
        happy = self.labels == "erc" and one.label == "xxx" and str(one.name) in undecided_as_happy()
        return Segment(
            id=identity,
            clip_id=clip_id,
            start=times[0],
            end=times[1],
            region=one.name.region if video.path else None,
            speaker=one.name.speaker,
            sex=one.name.letter.lower(),
            dialogue=one.name.dialogue,
            turn=turn,
            text=text or None,
            text_source="corpus" if text else None,
            language="en",
            masked=masked,
            labels={"iemocap": "hap" if happy else one.label, **({VAD.name: one.ratings} if one.ratings else {})},
            split=SPLITS[one.name.session],
        )


def _about(one: Utterance) -> dict[str, str]:
    return {"session": one.name.session, "kind": KINDS[one.name.scene]}


def _medium(path: Path | None, root: Path) -> _Medium:
    reason = media.missing(path)
    return _Medium(None if path is None or reason else path.relative_to(root).as_posix(), reason)


def _folders(root: Path) -> list[Path]:
    """Return the sessions' folders at or below the root; raises ``DataError`` where the root is no folder."""
    if not root.is_dir():
        raise DataError(f"'{root}' is not a folder, expected the root of IEMOCAP")
    return media.subtrees(root, "dialog", "EmoEvaluation")


def _files(folder: Path) -> _Session:
    # the folders below EmoEvaluation hold each rater's own files, which look alike
    found = _below(folder, "dialog", "EmoEvaluation")
    labels = [path for path in media.walk(found, depth=0) if media.kind(path) == "text"] if found else []
    return _Session(
        labels,
        _by_stem(folder, "text", "dialog", "transcriptions"),
        _by_stem(folder, "video", "dialog", "avi"),
        _by_stem(folder, "audio", "dialog", "wav"),
        _by_stem(folder, "audio", "sentences", "wav"),
    )


def _below(folder: Path, *parts: str) -> Path | None:
    """Return the folder at ``parts``, spelled in any case, or ``None``."""
    for part in parts:
        within = sorted(p for p in folder.iterdir() if p.name.lower() == part.lower() and p.is_dir())
        if not within:
            return None
        folder = within[0]
    return folder


def _by_stem(folder: Path, kind: str, *parts: str) -> dict[str, Path]:
    found = _below(folder, *parts)
    return {path.stem: path for path in media.walk(found) if media.kind(path) == kind} if found else {}
