"""AFEW: folders of several years' releases, what lies beside the clips, and what cannot be a clip."""

from __future__ import annotations

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora.afew import LABELS
from mercli.corpora.expected import Tally
from mercli.errors import DataError
from mercli.types import Clip, Segment


def read(root):
    reader = registry.build("corpora", "afew")
    items = list(reader.read(root, "x"))
    return *([item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)), reader.card()


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.mark.parametrize(
    ("train", "val", "variant"),
    [
        ("Train_AFEW", "Val_AFEW", "emotiw2016"),
        ("a/b/c/Train_AFEW", "a/b/c/Val_AFEW", "emotiw2016"),
        ("Train", "Val", "older"),
        ("Train/Train_AFEW", "Val_AFEW/Val_AFEW", "emotiw2016"),
        ("TRAIN", "Validation", "older"),
    ],
)
def test_the_class_is_the_folder_below_the_split(tmp_path, train, val, variant):
    put(tmp_path, f"{train}/Angry/005150814.avi", f"{val}/SURPRISE/000125280.MP4", "list_train.txt")
    clips, segments, excluded, card = read(tmp_path)
    assert [c.id for c in clips] == ["train/005150814", "dev/000125280"]
    assert clips[0].video == f"{train}/Angry/005150814.avi"
    assert [(s.id, s.labels["afew"], s.split) for s in segments] == [
        ("x/train/005150814/0", "Angry", "train"),
        ("x/dev/000125280/0", "Surprise", "dev"),
    ]
    assert (segments[0].text, segments[0].speaker, segments[0].masked, excluded) == (None, None, {}, [])
    assert card["expected"] == variant
    assert card["layout"] == f"{train.split('/')[-1]}, {val.split('/')[-1]}"


def test_cut_out_faces_metadata_and_hidden_files_are_passed_over(tmp_path):
    put(tmp_path, "Train_AFEW/Sad/1.avi", "Train_AFEW/Sad/1.xml", "Train_AFEW/Sad/._2.avi",
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Faces/1/000.jpg",
        "Val_AFEW/AlignedFaces_LBPTOP_Points_Val/1/face.avi")  # fmt: skip
    clips, _, excluded, _ = read(tmp_path)
    assert [c.id for c in clips] == ["train/1"]
    assert excluded == []


def test_what_has_no_label_is_left_out_with_the_reason(tmp_path):
    put(tmp_path, "Train_AFEW/Sad/1.avi", "Train_AFEW/Happy/1.avi", "Val_AFEW/Sad/1.avi", "Train_AFEW/Bored/2.avi",
        "Train_AFEW/3.avi", "Test_2016_EmotiW/4.avi", "5.avi")  # fmt: skip
    clips, segments, excluded, _ = read(tmp_path)
    # the same name in train and in val is another clip; a second class for one name is not
    assert [(c.id, s.labels["afew"]) for c, s in zip(clips, segments, strict=True)] == [
        ("train/1", "Happy"),
        ("dev/1", "Sad"),
    ]
    assert {e.id: e.reason.split(",")[0] for e in excluded} == {
        "Train_AFEW/Sad/1.avi": "its name is already that of 'Train_AFEW/Happy/1.avi'",
        "Train_AFEW/Bored/2.avi": "unknown class 'Bored'",
        "Train_AFEW/3.avi": "unknown class ''",
        "Test_2016_EmotiW/4.avi": "in the test set",
        "5.avi": "in no folder of a split",
    }


def test_a_pointer_leaves_the_row_with_the_reason(tmp_path):
    put(tmp_path, "Train_AFEW/Sad/1.avi", content=b"version https://git-lfs.github.com/spec/v1\n")
    (clip,), (segment,), _, _ = read(tmp_path)
    assert clip.video is None
    assert segment.masked == {"audio": "media is a git-lfs pointer", "face": "media is a git-lfs pointer"}


def test_another_corpus_is_refused(tmp_path):
    put(tmp_path, "Angry/1.avi", "Test_AFEW/2.avi")
    with pytest.raises(DataError, match="expected Train_AFEW/Angry"):
        read(tmp_path)


def test_a_link_that_leads_back_up_is_walked_once(tmp_path):
    put(tmp_path, "Train_AFEW/Sad/1.avi")
    (tmp_path / "Train_AFEW" / "Sad" / "loop").symlink_to(tmp_path)
    clips, _, excluded, _ = read(tmp_path)
    assert (len(clips), excluded) == (1, [])


@pytest.mark.parametrize(("prefix", "faults"), [("Train_AFEW", 1), ("Train", 0)])
def test_only_a_release_whose_size_is_known_for_sure_is_at_fault_when_it_differs(tmp_path, prefix, faults):
    put(tmp_path, f"{prefix}/Sad/1.avi")
    reader = registry.build("corpora", "afew")
    items = list(reader.read(tmp_path, "x"))
    tally = Tally("afew", reader.facts.expected[reader.card()["expected"]])
    assert len(list(tally.watch(items))) == 2
    assert bool(tally.faults()) == bool(faults)


def test_a_whole_release_has_its_known_counts(tmp_path):
    # EmotiW 2016: 773 and 383 clips, in the order of LABELS
    sizes = {"Train_AFEW": (133, 74, 81, 150, 144, 117, 74), "Val_AFEW": (64, 40, 46, 63, 63, 61, 46)}
    for folder, counts in sizes.items():
        for number, (label, count) in enumerate(zip(LABELS, counts, strict=True)):
            (tmp_path / folder / label).mkdir(parents=True)
            for clip in range(count):
                (tmp_path / folder / label / f"{number}{clip:03d}.avi").write_bytes(b"x")
    reader = registry.build("corpora", "afew")
    items = list(reader.read(tmp_path, "x"))
    tally = Tally("afew", reader.facts.expected[reader.card()["expected"]])
    assert sum(isinstance(item, Segment) for item in tally.watch(items)) == 773 + 383
    assert tally.faults() == tally.warnings() == []


def test_every_class_has_a_canonical_one():
    table = registry.build("corpora", "afew").card()["label_map"].table
    assert set(table) == set(LABELS)
    assert len(set(table.values())) == 7
