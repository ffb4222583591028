"""RAVDESS: which files make an utterance, what is missing, and the convention of its splits."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora.expected import Tally
from mercli.corpora.ravdess import expected_ids
from mercli.errors import ConfigError, DataError
from mercli.labels import canonical
from mercli.types import Clip, Segment

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def read(root, **options):
    items = list(registry.build("corpora", "ravdess", options=options).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def whole(root, channel):
    (root / "flat").mkdir(parents=True, exist_ok=True)
    for identity in expected_ids(channel):
        (root / "flat" / f"03-{identity}.wav").write_bytes(b"x")


def test_the_files_of_one_utterance_make_one_clip_with_the_picture_that_has_sound(tmp_path):
    put(tmp_path, "Actor_02/01-01-05-02-01-02-02.mp4", "Actor_02/02-01-05-02-01-02-02.mp4",
        "Actor_02/03-01-05-02-01-02-02.wav")  # fmt: skip
    (clip,), (segment,), _ = read(tmp_path)
    assert clip.id == "01-05-02-01-02-02"
    assert clip.video == "Actor_02/01-01-05-02-01-02-02.mp4"
    assert clip.audio == "Actor_02/03-01-05-02-01-02-02.wav"
    assert clip.meta == {"channel": "speech", "intensity": "strong", "statement": "01", "repetition": "02"}
    assert (segment.id, segment.speaker, segment.sex, segment.split) == ("x/01-05-02-01-02-02/0", "02", "f", "train")
    assert segment.labels == {"ravdess": "angry"}
    assert segment.text == "Kids are talking by the door."
    assert set(segment.masked) == {"text"}


@pytest.mark.parametrize(
    ("file", "video", "audio", "masked"),
    [
        ("ACTOR01/01-01-03-01-02-01-01.MP4", True, False, {"text"}),
        ("ACTOR01/02-01-03-01-02-01-01.mp4", True, False, {"text", "audio"}),
        ("a/b/c/Actor_01/03-01-03-01-02-01-01.WAV", False, True, {"text"}),
        ("03-01-03-01-02-01-01.flac", False, True, {"text"}),
    ],
)
def test_any_one_file_of_an_utterance_is_enough(tmp_path, file, video, audio, masked):
    put(tmp_path, file)
    (clip,), (segment,), _ = read(tmp_path)
    assert (bool(clip.video), bool(clip.audio), set(segment.masked)) == (video, audio, masked)
    assert (segment.labels["ravdess"], segment.text, segment.sex) == ("happy", "Dogs are sitting by the door.", "m")


def test_a_copy_that_holds_the_tree_twice_is_read_once_and_a_pointer_gives_way(tmp_path):
    name = "Actor_01/03-01-01-01-01-01-01.wav"
    put(tmp_path, name, content=POINTER)
    put(tmp_path, f"audio_speech_actors_01-24/{name}")
    (clip,), (segment,), _ = read(tmp_path)
    assert clip.audio == f"audio_speech_actors_01-24/{name}"
    assert set(segment.masked) == {"text"}


def test_a_pointer_alone_leaves_the_row_with_the_reason(tmp_path):
    put(tmp_path, "01-01-01-01-01-01-01.mp4", content=POINTER)
    (clip,), (segment,), _ = read(tmp_path)
    assert clip.video is None
    assert segment.masked["face"] == segment.masked["audio"] == "media is a git-lfs pointer"


def test_utterances_that_are_not_there_are_named(tmp_path):
    put(tmp_path, "03-01-01-01-01-01-01.wav")
    _, segments, excluded = read(tmp_path)
    assert len(segments) == 1
    assert len(excluded) == 1439
    assert {e.reason for e in excluded} == {"not found: neither mp4 nor wav"}
    assert sorted([*(e.id for e in excluded), "01-01-01-01-01-01"]) == sorted(expected_ids("01"))


def test_strange_media_are_left_out_with_a_reason_and_hidden_ones_are_not_seen(tmp_path):
    put(tmp_path, "03-01-03-01-01-01-01.wav", "._03-01-04-01-01-01-01.wav", "03-01-09-01-01-01-01.wav",
        "01-01-04-01-01-01-01.wav", "notes.mp4", "03-01-01-02-01-01-01.wav", "03-01-03-01-01-01-25.wav",
        "README.txt")  # fmt: skip
    clips, _, excluded = read(tmp_path)
    assert len(clips) == 1
    strange = {e.id: e.reason for e in excluded if not e.reason.startswith("not found")}
    assert sorted(strange) == [
        "01-01-02-01-01-01", "01-01-04-01-01-01-01.wav", "01-03-01-01-01-25", "03-01-09-01-01-01-01.wav", "notes.mp4",
    ]  # fmt: skip
    assert strange["01-01-02-01-01-01"] == "the release has no such utterance"  # neutral is never strong


@pytest.mark.parametrize(
    ("channel", "codes", "size"), [("speech", "1", 1440), ("song", "2", 1012), ("both", "12", 2452)]
)
def test_a_whole_release_has_its_known_counts(tmp_path, channel, codes, size):
    for code in "12":  # the other channel's files are there, too, and are not read
        whole(tmp_path, f"0{code}")
    reader = registry.build("corpora", "ravdess", options={"channel": channel})
    items = list(reader.read(tmp_path, "x"))
    assert Counter(type(item) for item in items) == {Clip: size, Segment: size}
    expected = reader.facts.expected[reader.card()["expected"]]
    tally = Tally("ravdess", expected)
    assert list(tally.watch(items)) == items
    assert tally.faults() == []
    assert sum(expected.counts["all"].values()) == size == sum(len(expected_ids(f"0{code}")) for code in codes)


def test_song_has_no_actor_18_no_disgust_and_no_surprise():
    fields = [identity.split("-") for identity in expected_ids("02")]
    assert Counter(f[-1] for f in fields) == {f"{n:02d}": 44 for n in range(1, 25) if n != 18}
    assert Counter(f[1] for f in fields) == {"01": 92, "02": 184, "03": 184, "04": 184, "05": 184, "06": 184}


def test_splits_keep_actors_apart_and_follow_the_shipped_voice_encoder(tmp_path):
    whole(tmp_path, "01")
    _, segments, _ = read(tmp_path)
    actors = {split: {s.speaker for s in segments if s.split == split} for split in ("train", "dev", "test")}
    assert actors["train"] == {f"{n:02d}" for n in range(1, 17)}
    assert actors["dev"] == {"17", "18", "19", "20"}
    assert actors["test"] == {"21", "22", "23", "24"}
    seen = registry.get("encoders", "embedded-audio").facts["trained_on"]
    assert {*seen[0].speakers} == actors["train"]


def test_emobox_folds_test_every_actor_once_and_never_what_they_tune_on():
    folds = registry.build("corpora", "ravdess").facts.folds["emobox"].folds
    assert sorted(actor for fold in folds for actor in fold["test"]) == [f"{n:02d}" for n in range(1, 25)]
    assert all(not set(fold["test"]) & set(fold["dev"]) for fold in folds)
    assert folds[0]["test"] == ("01", "11", "20", "21")


def test_calm_follows_its_policy(tmp_path):
    for chosen, wanted in (("neutral", "neutral"), ("own", "calm"), ("drop", None)):
        card = registry.build("corpora", "ravdess", options={"calm": chosen}).card()
        assert card["label_map"].table["calm"] == wanted
    assert "calm=drop" in card["policy"]
    with pytest.raises(ConfigError, match="calm='happy'"):
        registry.build("corpora", "ravdess", options={"calm": "happy"})
    with pytest.raises(ConfigError, match="'channel' is 'opera'"):
        registry.build("corpora", "ravdess", options={"channel": "opera"})


def test_a_root_with_the_other_channel_only_says_so(tmp_path):
    put(tmp_path, "03-02-03-01-01-01-01.wav")
    with pytest.raises(DataError, match=r"no RAVDESS file \(speech\).*1 of another channel are there"):
        read(tmp_path)
    assert len(read(tmp_path, channel="song")[1]) == 1


def test_the_real_recordings_agree_with_a_table_made_by_others(shared_data):
    with (shared_data / "ravdess_audio" / "labels.csv").open(newline="") as handle:
        table = {row["file"]: row for row in csv.DictReader(handle)}
    clips, segments, excluded = read(shared_data / "ravdess_audio")
    assert (len(clips), len(excluded)) == (1200, 240)
    for clip, segment in zip(clips, segments, strict=True):
        row = table[clip.audio]
        assert canonical(segment.labels["ravdess"], {"calm": "own"}) == canonical(row["emotion"], {"calm": "own"})
        assert (int(segment.speaker), segment.sex, segment.split) == (
            int(row["speaker"]),
            row["sex"].lower(),
            row["split"],
        )
        assert clip.meta["intensity"] == row["intensity"]
        assert segment.text.rstrip(".") == row["text"]
