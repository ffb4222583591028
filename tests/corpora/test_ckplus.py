"""CK+: the release with its emotion files, the cuts in class folders and in an npz, and subjects kept apart."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import audit, unpacking
from mercli.corpora.ckplus import default_splits
from mercli.corpora.expected import Tally
from mercli.errors import ConfigError, DataError
from mercli.streams.pictures import read_image
from mercli.types import Clip, Segment


def read(root, **options):
    items = list(registry.build("corpora", "ckplus", options=options).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def sequence(root, subject, number, frames, code=None):
    put(root, *(f"cohn-kanade-images/{subject}/{number}/{subject}_{number}_{i:08d}.png" for i in range(1, frames + 1)))
    (root / "Emotion" / subject / number).mkdir(parents=True, exist_ok=True)
    if code is not None:
        place = root / "Emotion" / subject / number / f"{subject}_{number}_{frames:08d}_emotion.txt"
        place.write_text(f"   {float(code):.7e}\n")


def test_the_last_three_frames_of_a_labelled_sequence_are_read(tmp_path):
    root = tmp_path / "a" / "b" / "c" / "d"  # four folders down
    sequence(root, "S005", "001", 11, 3)
    sequence(root, "S005", "002", 4)
    put(root, "cohn-kanade-images/S005/001/._S005_001_00000012.png", "cohn-kanade-images/S005/001/.DS_Store")
    clips, segments, excluded = read(tmp_path)
    assert [c.id for c in clips] == [f"S005_001_{i:08d}" for i in (9, 10, 11)]
    assert clips[2].image == "a/b/c/d/cohn-kanade-images/S005/001/S005_001_00000011.png"
    assert {(s.labels["ckplus"], s.speaker, s.end) for s in segments} == {("disgust", "S005", None)}
    assert clips[0].meta == {"sequence": "S005_001"}
    assert excluded == [Excluded("S005_002", "the release has no emotion for this sequence")]


def test_codes_are_those_of_the_release(tmp_path):
    for code in range(8):
        sequence(tmp_path, f"S{code:03d}", "001", 1, code)
    _, segments, _ = read(tmp_path, frames=1)
    assert [s.labels["ckplus"] for s in segments] == [
        "neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise",
    ]  # fmt: skip


def test_another_number_of_frames_has_no_known_counts(tmp_path):
    sequence(tmp_path, "S005", "001", 5, 3)
    for frames, found, expected in ((1, 1, None), (3, 3, "last3"), (9, 5, None)):
        reader = registry.build("corpora", "ckplus", options={"frames": frames})
        assert sum(isinstance(item, Clip) for item in reader.read(tmp_path, "x")) == found
        assert reader.card()["expected"] == expected
    with pytest.raises(ConfigError, match="frames=0"):
        registry.build("corpora", "ckplus", options={"frames": 0})


def test_codes_that_are_none_and_emotions_without_pictures_are_told(tmp_path):
    for number, code in (("001", 8), ("002", 1.5), ("003", "nan"), ("004", 1)):
        sequence(tmp_path, "S005", number, 3, code)
    put(tmp_path, "Emotion/S006/001/S006_001_00000009_emotion.txt", content=b"1.0")
    clips, _, excluded = read(tmp_path)
    assert len(clips) == 3
    assert [(e.id, e.reason.split(" ")[-1]) for e in excluded] == [
        ("S005_001", "7"), ("S005_002", "7"), ("S005_003", "7"), ("S006_001", "pictures"),
    ]  # fmt: skip


def test_class_folders_are_read_in_any_case_and_strange_ones_told(tmp_path):
    put(tmp_path, "CK+48/Anger/S010_004_00000017.PNG", "CK+48/happiness/s011_001_00000002.jpg",
        "CK+48/other/S012_001_00000001.png", "CK+48/fear/face1.png", "copy/anger/S010_004_00000017.png")  # fmt: skip
    clips, segments, excluded = read(tmp_path)
    assert [(c.id, s.labels["ckplus"]) for c, s in zip(clips, segments, strict=True)] == [
        ("S010_004_00000017", "anger"), ("S011_001_00000002", "happy"),
    ]  # fmt: skip
    assert [e.id for e in excluded] == ["CK+48/fear/face1.png", "S010_004_00000017", "S012_001_00000001"]


def test_cuts_beside_the_release_do_not_take_the_place_of_its_pictures(tmp_path):
    sequence(tmp_path, "S005", "001", 3, 3)
    put(tmp_path, "CK+48/disgust/S005_001_00000003.png")
    clips, _, _ = read(tmp_path)
    assert all(c.image.startswith("cohn-kanade-images/") for c in clips)


def test_a_pointer_leaves_the_row_with_the_reason(tmp_path):
    put(tmp_path, "anger/S010_004_00000017.png", content=b"version https://git-lfs.github.com/spec/v1\noid x\n")
    (clip,), (segment,), _ = read(tmp_path)
    assert (clip.image, segment.masked) == (None, {"face": "media is a git-lfs pointer"})


def test_an_npz_that_is_empty_or_a_pointer_is_refused(tmp_path):
    for content, told in (
        (b"", "is no npz of CK"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
    ):
        (tmp_path / "ck.npz").write_bytes(content)
        with pytest.raises(DataError, match=told):
            read(tmp_path)


def test_an_npz_has_rows_and_unpacks_outside_the_corpus(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    faces = np.arange(3 * 48 * 48, dtype=np.uint8).reshape(3, 48, 48)
    ids = ["S010_004_00000017", "../evil", "S011_001_00000001"]
    np.savez(root / "ck.npz", images=faces, emotion=["angry", "sad", "bored"], id=ids, subject=["S010"] * 3)
    (clip,), (segment,), excluded = read(root)
    assert (clip.image, segment.masked, segment.labels["ckplus"]) == (None, {"face": unpacking.INSIDE}, "anger")
    assert [e.id for e in excluded] == ["row1", "row2"]
    (clip,), (segment,), _ = read(root, unpack=str(tmp_path / "out"))
    assert (clip.image, segment.masked) == (str(tmp_path / "out" / "S010_004_00000017.png"), {})
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "S010_004_00000017.png")[:, :, 0], faces[0])
    with pytest.raises(DataError, match="lies inside the corpus"):
        read(root, unpack=str(root / "out"))
    assert [path.name for path in root.iterdir()] == ["ck.npz"]


def test_other_tables_and_pictures_without_emotions_are_refused(tmp_path):
    put(tmp_path, "cohn-kanade-images/S005/001/S005_001_00000001.png")
    with pytest.raises(DataError, match=r"no \*_emotion\.txt of Emotion_labels"):
        read(tmp_path)
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 2)), emotion=["fear"])
    with pytest.raises(DataError, match="is no npz of CK"):
        read(tmp_path)
    np.savez(tmp_path / "a.npz", images=np.zeros((1, 2)), emotion=["fear"], id=["S005_001_00000001"])
    with pytest.raises(DataError, match=r"expected uint8 \(N, H, W\)"):
        read(tmp_path)


def test_every_fifth_subject_is_test_and_the_next_dev():
    splits = default_splits([f"S{number:03d}" for number in (9, 1, 5, 7, 3, 30, 2)])
    assert splits == {
        "S001": "dev", "S002": "train", "S003": "train", "S005": "train", "S007": "test", "S009": "dev",
        "S030": "train",
    }  # fmt: skip


def test_contempt_follows_the_policy():
    def table(**options):
        return registry.build("corpora", "ckplus", options=options).card()["label_map"].table

    assert table()["contempt"] is None
    assert table(contempt="disgust")["contempt"] == "disgust"
    assert (table()["anger"], table()["sadness"]) == ("angry", "sad")


def test_the_released_cuts_have_their_counts_and_keep_subjects_apart(shared_data):
    items = list(registry.build("corpora", "ckplus").read(shared_data / "ckplus48", "x"))
    segments = [item for item in items if isinstance(item, Segment)]
    assert Counter(type(item) for item in items) == {Clip: 825, Segment: 825}
    theirs = Counter(map(str, np.load(shared_data / "ckplus48" / "ckplus48.npz")["emotion"]))
    ours = Counter(s.labels["ckplus"] for s in segments)
    assert sorted(ours.values()) == sorted(theirs.values())
    assert (ours["anger"], ours["sadness"], ours["surprise"]) == (theirs["angry"], theirs["sad"], theirs["surprise"])
    for split in ("train", "dev", "test"):
        assert len({s.labels["ckplus"] for s in segments if s.split == split}) == 7
    facts = registry.build("corpora", "ckplus").facts
    assert not [f for f in audit.within(audit.parts("x", segments, {}), facts.separates) if f.what == "speaker"]
    counts = facts.expected["last3"].counts["all"]
    assert sum(counts.values()) == 981
    assert all(counts[label] >= n for label, n in ours.items())


def test_a_whole_release_has_its_known_counts(tmp_path):
    reader = registry.build("corpora", "ckplus")
    expected = reader.facts.expected["last3"]
    number = 0
    for label, count in expected.counts["all"].items():
        for _ in range(count // 3):
            number += 1
            name = f"S{number % 118:03d}_{number:03d}"
            put(tmp_path, *(f"CK+48/{label}/{name}_{i:08d}.png" for i in (7, 8, 9)), content=b"x")
    tally = Tally("ckplus", expected)
    assert len(list(tally.watch(reader.read(tmp_path, "x")))) == 2 * 981
    assert tally.faults() == []
