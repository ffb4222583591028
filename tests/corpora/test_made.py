"""Made corpora in every layout: read whole by their readers, and what was put in can be measured in the media."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mercli import config, registry
from mercli.corpora import manifest
from mercli.corpora.audit import fingerprint
from mercli.corpora.made_layouts import LAYOUTS, draw
from mercli.errors import ConfigError, DataError
from mercli.jobs.clips import making
from mercli.jobs.prepare import prepare
from mercli.types import Clip, Segment

# how high a label's tone lies and how far its face tilts, by the beginning of its name
STEPS = {
    "neu": 0, "joy": 1, "hap": 1, "sur": 2, "ang": 3, "sad": 4, "dis": 5, "fea": 6, "cal": -0.5, "exc": 1.5, "fru": 3.5,
    "non": 0,
}  # fmt: skip
ENDINGS = {
    "meld": {".csv", ".mp4"},
    "iemocap": {".avi", ".wav", ".txt"},
    "mosei": {".mp4", ".wav", ".txt", ".csd"},
    "afew": {".avi", ".xml"},
    "ravdess": {".mp4", ".wav"},
    "cremad": {".flv", ".wav", ".csv"},
}
WORDLESS = {"afew": None, "ravdess": "fixed sentence", "cremad": "fixed sentence"}


@dataclass
class Corpus:
    like: str
    root: Path
    held: manifest.Manifest
    clips: dict[str, Clip]
    segments: list[Segment]

    def label(self, segment: Segment) -> str:
        return str(segment.labels[self.held.scheme.name])


def make(root, data, like, *sets):
    flags = {"corpus.name": "made", "root": str(root), "data": str(data)}
    given = (f"like={like}", "clips=35", "strength=1.0", *sets)
    return prepare(config.resolve(config.PrepareConfig, flags, sets=given))


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Each layout, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("made")

    @cache
    def corpus(like: str) -> Corpus:
        make(folder / like, folder / "data", like)
        held = manifest.load(folder / "data", like)
        return Corpus(like, folder / like, held, {clip.id: clip for clip in held.clips()}, list(held.segments()))

    return corpus


@pytest.fixture(params=LAYOUTS)
def corpus(request, corpora) -> Corpus:
    return corpora(request.param)


def contents(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_layout_is_read_whole_by_the_reader_of_its_corpus(corpus):
    assert len(corpus.segments) == len({segment.id for segment in corpus.segments}) == 35
    assert corpus.held.card["made"] is True
    assert corpus.held.card["expected"] is None
    assert corpus.held.card["scheme"]["name"] == registry.build("corpora", corpus.like).scheme.name
    for segment in corpus.segments:
        clip = corpus.clips[segment.clip_id]
        assert (corpus.root / clip.video).is_file()
        assert clip.audio is None or (corpus.root / clip.audio).is_file()
        assert set(segment.masked) == ({"text"} if WORDLESS.get(corpus.like) else set())


def test_the_files_end_as_those_of_the_release_and_are_few_bytes(corpus):
    files = contents(corpus.root)
    assert {Path(name).suffix for name in files if name != "MADE.txt"} == ENDINGS[corpus.like]
    assert sum(map(len, files.values())) < 4e6


def test_splits_keep_their_promise_and_train_has_every_class(corpus):
    splits = Counter(segment.split for segment in corpus.segments)
    assert splits == ({"train": 21, "dev": 14} if corpus.like == "afew" else {"train": 21, "dev": 7, "test": 7})
    groups = defaultdict(set)
    for segment in corpus.segments:
        groups[segment.speaker or segment.dialogue or segment.clip_id].add(segment.split)
    assert all(len(where) == 1 for where in groups.values())
    labels = {corpus.label(segment) for segment in corpus.segments if segment.split == "train"}
    assert len(labels) == len(LAYOUTS[corpus.like].emotions)
    assert labels <= set(corpus.held.scheme.names) | {"none"}


def test_the_folds_that_are_kept_have_made_speakers_to_test(corpus):
    speakers = {segment.speaker for segment in corpus.segments}
    folds = registry.build("corpora", "made", options={"like": corpus.like}).facts.folds
    assert bool(folds) == (corpus.like in ("iemocap", "ravdess", "cremad"))
    for kept in folds.values():
        assert all(set(groups) & speakers for fold in kept.folds for groups in fold.values())


def decoded(path, start, end):
    """Return the sound of a stretch and its rate, and its pictures (RGB), by PyAV alone."""
    samples, pictures = [], []
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        for frame in container.decode():
            if isinstance(frame, av.AudioFrame):
                values = frame.to_ndarray().astype(np.float64)
                samples.append(values.reshape(-1))
            elif start <= frame.time < (end or 1e9):
                pictures.append(frame.to_ndarray(format="rgb24"))
    sound = np.concatenate(samples)
    return sound[round(start * rate) : round(end * rate) if end else None], rate, pictures


def step_heard(sound, rate):
    """Return the step of a tone: where its spectrum is highest, on the ladder of 140 Hz x 1.28^step."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 16))
    return np.log(np.argmax(spectrum) * rate / (1 << 16) / 140) / np.log(1.28)


@cache
def templates():
    picture = cv2.imread(str(Path(making.__file__).parents[2] / "assets" / "made" / "face.jpg"))[:, :, ::-1]
    order = ("neu", "joy", "sur", "ang", "sad", "dis", "fea", "cal", "exc", "fru")
    drawn = {}
    for number, name in enumerate(order):
        tilt, stretch = np.radians(6 * STEPS[name] - 18), (0.92, 1.0, 1.08)[number % 3]
        cos, sin = np.cos(tilt), np.sin(tilt)
        turn = np.array([[cos, sin], [-sin * stretch, cos * stretch]])
        shift = np.array([80, 80]) - turn @ np.array([80, 80])
        drawn[STEPS[name]] = cv2.warpAffine(
            picture, np.column_stack([turn, shift]), (160, 160), borderMode=cv2.BORDER_REPLICATE
        ).astype(np.float64)
    return drawn


def step_seen(pictures):
    """Return the step of a face: that of the picture, drawn anew, which the mean frame is nearest to."""
    mean = np.mean(pictures, axis=0)
    return min(templates(), key=lambda step: np.mean((templates()[step] - mean) ** 2))


def test_tone_and_face_tell_the_label_where_the_corpus_says_it_is(corpus):
    for segment in corpus.segments[::3]:
        clip = corpus.clips[segment.clip_id]
        truth = STEPS[corpus.label(segment).lower()[:3]]
        offset = clip.meta.get("offset", {}).get("video", 0.0)
        start, end = segment.start + offset, segment.end and segment.end + offset
        sound, rate, pictures = decoded(corpus.root / clip.video, start, end)
        assert len(sound) / rate > 0.9
        assert step_heard(sound, rate) == pytest.approx(truth, abs=0.2)
        if clip.audio:
            with av.open(str(corpus.root / clip.audio)) as container:
                rate = container.streams.audio[0].rate
                sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
            own = slice(round(segment.start * rate), round(segment.end * rate) if segment.end else None)
            assert step_heard(sound[own].astype(np.float64), rate) == pytest.approx(truth, abs=0.2)
        halves = {None: slice(None), "left": slice(0, 160), "right": slice(160, None)}
        assert step_seen([picture[:, halves[segment.region]] for picture in pictures]) == truth


def test_who_does_not_speak_stays_neutral_in_the_other_half(corpora):
    corpus = corpora("iemocap")
    assert {segment.region for segment in corpus.segments} == {"left", "right"}
    for segment in corpus.segments[:7]:
        clip = corpus.clips[segment.clip_id]
        start = clip.meta["offset"]["video"]
        _, _, pictures = decoded(corpus.root / clip.video, start, start + segment.end)
        other = slice(160, None) if segment.region == "left" else slice(0, 160)
        assert step_seen([picture[:, other] for picture in pictures]) == 0


def test_words_tell_the_label_where_a_corpus_has_words_of_its_own(corpus):
    said = defaultdict(set)
    for segment in corpus.segments:
        said[segment.text].add(corpus.label(segment))
    if corpus.like == "afew":
        assert set(said) == {None}
    elif corpus.like in WORDLESS:
        assert any(len(labels) > 1 for labels in said.values())
    else:
        assert all(len(labels) == 1 for labels in said.values())


@pytest.mark.parametrize("like", LAYOUTS)
def test_making_again_gives_the_same_bytes(like, corpora, tmp_path):
    first = corpora(like)
    make(tmp_path / "again", tmp_path / "data", like)
    assert contents(tmp_path / "again") == contents(first.root)
    for name in ("clips.jsonl", "segments.jsonl"):
        assert (tmp_path / "data" / like / name).read_bytes() == (first.held.folder / name).read_bytes()


def test_no_sentence_is_long_enough_to_count_as_shared_between_corpora():
    for layout in LAYOUTS.values():
        assert not any(fingerprint(Segment("x", "x", 0.0, text=one.text)) for one in draw(layout, 500, 0.5, 0))


def test_no_medium_is_made_twice(corpora, tmp_path):
    make(tmp_path / "other", tmp_path / "data", "meld", "corpus.options.seed=1")
    trees = [contents(corpora(like).root) for like in LAYOUTS] + [contents(tmp_path / "other")]
    media = [
        data for tree in trees for name, data in tree.items() if Path(name).suffix in (".mp4", ".wav", ".avi", ".flv")
    ]
    assert len(set(media)) == len(media) > 300


def test_a_weak_corpus_has_cues_of_other_classes_in_every_modality():
    for layout in LAYOUTS.values():
        said = draw(layout, 500, 0.5, 0)
        for modality in ("audio", "face"):
            told = np.mean([getattr(one, modality) == one.emotion for one in said])
            assert told == pytest.approx(0.5 + 0.5 / len(layout.emotions), abs=0.07)
    assert all(one.audio == one.face == one.emotion for one in draw(LAYOUTS["mosei"], 500, 1.0, 0))


@pytest.mark.parametrize("like", LAYOUTS)
def test_the_largest_corpus_of_a_layout_still_has_a_name_for_every_clip(like):
    reader = registry.build("corpora", "made", options={"like": like, "clips": LAYOUTS[like].most})
    paths = [clip.path for clip in reader.plan().clips]
    assert len(paths) == len(set(paths))
    with pytest.raises(ConfigError, match=re.escape(f"expected clips in 35..{LAYOUTS[like].most}")):
        registry.build("corpora", "made", options={"like": like, "clips": LAYOUTS[like].most + 1})


def test_an_unknown_layout_is_answered_with_the_near_one():
    with pytest.raises(ConfigError, match=r"like='iemocp' .*did you mean 'iemocap'"):
        registry.build("corpora", "made", options={"like": "iemocp"})


def test_the_mark_holds_the_layout_and_no_other_is_made_over_it(corpora, tmp_path):
    held = corpora("afew")
    assert "like=afew clips=35 strength=1.0 seed=0" in (held.root / "MADE.txt").read_text()
    before = contents(held.root)
    with pytest.raises(DataError, match="made with other options"):
        make(held.root, tmp_path, "meld")
    assert contents(held.root) == before


@pytest.mark.parametrize("like", ["iemocap", "mosei"])
def test_an_interrupted_making_goes_on_where_it_stopped(like, tmp_path, monkeypatch):
    class InterruptError(Exception):
        pass

    drawn = []

    def render(path, clip, face, most=5):
        if len(drawn) == most:
            raise InterruptError
        path.write_text(repr(clip))
        drawn.append(clip.path)

    monkeypatch.setattr(making, "_render", render)
    with pytest.raises(InterruptError):
        make(tmp_path / "raw", tmp_path / "data", like)
    monkeypatch.setattr(making, "_render", lambda *given: render(*given, most=None))
    make(tmp_path / "raw", tmp_path / "data", like)
    assert (
        len(drawn)
        == len(set(drawn))
        == sum(p.suffix in (".avi", ".mp4", ".wav") for p in (tmp_path / "raw").rglob("*"))
    )
