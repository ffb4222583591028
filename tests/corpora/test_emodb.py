"""EMO-DB: names, sentences and splits."""

from __future__ import annotations

import csv

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora.emodb import SENTENCES, SEX, default_split
from mercli.corpora.expected import Tally
from mercli.errors import DataError
from mercli.types import Clip, Segment


def read(root, **options):
    items = list(registry.build("corpora", "emodb", options=options).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.mark.parametrize("place", ["wav/16b10Wb.wav", "16b10Wb.WAV", "a/b/c/wav/16b10Wb.flac"])
def test_a_name_gives_speaker_sentence_and_emotion(tmp_path, place):
    put(tmp_path, place)
    (clip,), (segment,), excluded = read(tmp_path)
    assert (clip.id, clip.audio, clip.video) == ("16b10Wb", place, None)
    assert clip.meta == {"sentence": "b10", "version": "b"}
    assert (segment.id, segment.speaker, segment.sex, segment.split) == ("x/16b10Wb/0", "16", "f", "test")
    assert (segment.language, segment.labels) == ("de", {"emodb": "angry"})
    assert segment.text == "Die wird auf dem Platz sein, wo wir sie immer hinlegen."
    assert segment.masked == {"text": "fixed sentence: it carries no emotion"}
    assert excluded == []


def test_every_letter_is_its_german_word(tmp_path):
    # Wut Langeweile Ekel Angst Freude Trauer neutral
    put(tmp_path, *(f"03a01{letter}a.wav" for letter in "WLEAFTN"))
    labels = {s.clip_id[5]: s.labels["emodb"] for s in read(tmp_path)[1]}
    assert labels == {
        "W": "angry", "L": "boredom", "E": "disgust", "A": "fear", "F": "happy", "T": "sad", "N": "neutral",
    }  # fmt: skip


def test_what_cannot_be_read_is_left_out_with_the_code_that_is_unknown(tmp_path):
    put(tmp_path, "wav/03a01Fa.wav", "copy/03a01Fa.wav", "wav/99a01Fa.wav", "wav/03a03Fa.wav", "wav/03a01Xa.wav",
        "wav/noise.wav", "wav/._03a02Fc.wav", "labsilb/03a01Fa.labsilb")  # fmt: skip
    clips, _, excluded = read(tmp_path)
    assert [c.audio for c in clips] == ["copy/03a01Fa.wav"]
    assert {e.id: e.reason.split(",")[0] for e in excluded} == {
        "wav/03a01Fa.wav": "its name is already that of 'copy/03a01Fa.wav'",
        "wav/99a01Fa.wav": "unknown speaker '99'",
        "wav/03a03Fa.wav": "unknown sentence 'a03'",
        "wav/03a01Xa.wav": "unknown emotion 'X'",
        "wav/noise.wav": "name is not that of an EMO-DB recording",
    }


def test_a_pointer_leaves_the_row_with_the_reason(tmp_path):
    put(tmp_path, "03a01Fa.wav", content=b"version https://git-lfs.github.com/spec/v1\n")
    (clip,), (segment,), _ = read(tmp_path)
    assert clip.audio is None
    assert segment.masked["audio"] == "media is a git-lfs pointer"


def test_another_corpus_is_refused(tmp_path):
    put(tmp_path, "03-01-01-01-01-01-01.wav")
    with pytest.raises(DataError, match=r"expected wav/03a01Fa\.wav"):
        read(tmp_path)


def test_boredom_follows_its_policy():
    for chosen, wanted in (("neutral", "neutral"), ("own", "boredom"), ("drop", None)):
        card = registry.build("corpora", "emodb", options={"boredom": chosen}).card()
        assert card["label_map"].table["boredom"] == wanted
    assert card["label_map"].table["fear"] == "fear"


def test_splits_are_those_of_the_shipped_voice_encoder_and_folds_leave_each_speaker_out_once():
    seen = registry.get("encoders", "embedded-audio").facts["trained_on"]
    assert {speaker for speaker in SEX if default_split(speaker) == "train"} == {*seen[1].speakers}
    folds = registry.build("corpora", "emodb").facts.folds["speaker"].folds
    assert [fold["test"] for fold in folds] == [(speaker,) for speaker in SEX]
    assert [fold["dev"][0] for fold in folds] == [*list(SEX)[1:], "03"]


def test_a_release_that_lacks_a_recording_is_told_by_its_counts(tmp_path):
    # 535 names in the released numbers of each emotion; which speaker says what does not matter to the counts
    wanted = {"W": 127, "L": 81, "N": 79, "F": 71, "A": 69, "T": 62, "E": 46}
    spoken = [f"{speaker}{sentence}" for speaker in SEX for sentence in SENTENCES]
    versions = [f"{version}" for version in "ab"]
    names = [f"{one}{letter}{version}.wav" for letter, count in wanted.items()
             for one, version in [(s, v) for v in versions for s in spoken][:count]]  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    for removed, faults in ((None, []), (names[0], ["2 counts differ from the release"])):
        if removed:
            (tmp_path / removed).unlink()
        reader = registry.build("corpora", "emodb")
        items = list(reader.read(tmp_path, "x"))
        tally = Tally("emodb", reader.facts.expected[reader.card()["expected"]])
        assert len(list(tally.watch(items))) == len(items)
        assert tally.faults() == faults


def test_the_real_recordings_agree_with_a_table_made_by_others(shared_data):
    with (shared_data / "emodb_audio" / "labels.csv").open(newline="", encoding="utf-8") as handle:
        table = {row["file"]: row for row in csv.DictReader(handle)}
    clips, segments, excluded = read(shared_data / "emodb_audio")
    assert (len(clips), len(table), excluded) == (408, 408, [])
    for clip, segment in zip(clips, segments, strict=True):
        row = table[clip.audio]
        assert segment.labels["emodb"] == row["emotion"]
        assert (int(segment.speaker), segment.sex) == (int(row["speaker"]), row["sex"].lower())
        assert (segment.text, segment.split) == (row["text"], row["split"])
