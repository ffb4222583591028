"""Readers on made trees, on bad ones, and on MELD's released csvs."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import config, registry
from mercli.contracts import Excluded
from mercli.corpora import manifest, splits
from mercli.corpora.meld import LABELS
from mercli.errors import ConfigError, DataError
from mercli.jobs.prepare import prepare
from mercli.rundir import read_lines
from mercli.types import Clip, Segment

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\r\n"


def read(name, root, **options):
    items = list(registry.build("corpora", name, options=options).read(root, "x"))
    kinds = {Clip: [], Segment: [], Excluded: []}
    for item in items:
        kinds[type(item)].append(item)
    return kinds[Clip], kinds[Segment], kinds[Excluded]


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 2000)


def meld_row(dialogue, utterance, text="Hi", emotion="joy", speaker="Joey"):
    return f'1,"{text}",{speaker},{emotion},positive,{dialogue},{utterance},1,1,"00:01:02,500","00:01:04,000"\r\n'


def test_meld_finds_its_trees_and_prefers_the_clips_that_were_cut_anew(tmp_path):
    root = tmp_path / "some" / "MELD.Raw"
    put(root, "train/train_splits/dia0_utt0.mp4", "dev_splits_complete/dia0_utt0.MP4",
        "output_repeated_splits_test/dia0_utt0.mp4", "output_repeated_splits_test/final_videos_testdia0_utt0.mp4",
        "output_repeated_splits_test/._dia0_utt1.mp4", "output_repeated_splits_test/dia9_utt9.mp4")  # fmt: skip
    for split in ("train", "dev", "test"):
        (root / f"{split}_sent_emo.csv").write_text(HEADER + meld_row(0, 0) + meld_row(0, 1), newline="")
    clips, segments, _ = read("meld", tmp_path)
    assert [c.id for c in clips] == [f"{s}/dia0_utt{u}" for s in ("train", "dev", "test") for u in (0, 1)]
    assert clips[4].video.endswith("final_videos_testdia0_utt0.mp4")
    assert [bool(c.video) for c in clips] == [True, False] * 3
    assert segments[1].masked == {"audio": "media not found", "face": "media not found"}
    assert segments[1].end == 1.5
    assert (segments[0].dialogue, segments[0].turn, segments[0].speaker) == ("train/dia0", 0, "Joey")


def test_meld_tells_how_many_of_the_recut_clips_are_there(mer, tmp_path):
    put(tmp_path / "raw", "test_splits/dia0_utt0.mp4", "test_splits/final_videos_testdia0_utt0.mp4")
    (tmp_path / "raw" / "test_sent_emo.csv").write_text(HEADER + meld_row(0, 0), newline="")
    words = ("prepare", "--corpus", "meld", "--root", tmp_path / "raw", "--data", tmp_path / "data", "--no-probe")
    assert "test: test_splits (1 of 132 final_videos_test* clips, which replace wrong ones)" in mer(*words).err


def test_meld_flags_a_dialogue_whose_words_and_pictures_are_out_of_step():
    told = {e.kind: e for e in registry.build("corpora", "meld").facts.errata}
    assert told["out-of-step"].ids == tuple(f"train/dia241_utt{turn}" for turn in range(1, 14))
    assert told["out-of-step"].mask == ()


def test_meld_repairs_bytes_of_another_encoding(tmp_path):
    (tmp_path / "train_sent_emo.csv").write_bytes((HEADER + meld_row(0, 0, "It\x92s me")).encode("cp1252", "replace"))
    (tmp_path / "dev_sent_emo.csv").write_bytes((HEADER + meld_row(0, 0, "ItQs me")).encode().replace(b"Q", b"\x92"))
    _, segments, _ = read("meld", tmp_path)
    assert [s.text for s in segments][-1] == "It\u2019s me"


def test_meld_names_a_missing_column_with_those_found(tmp_path):
    (tmp_path / "train_sent_emo.csv").write_text("Utterance,Speaker\nHi,Joey\n")
    with pytest.raises(DataError, match=r"no column 'Emotion'; columns found: Utterance, Speaker"):
        read("meld", tmp_path)


def test_meld_leaves_out_an_unknown_label_and_says_so(tmp_path):
    (tmp_path / "train_sent_emo.csv").write_text(HEADER + meld_row(0, 0, emotion="bored") + meld_row(0, 1))
    _, segments, excluded = read("meld", tmp_path)
    assert len(segments) == 1
    assert [e.id for e in excluded] == ["train/dia0_utt0"]
    assert excluded[0].reason == f"line 2: unknown label 'bored', expected one of {', '.join(LABELS)}"


def test_a_pointer_in_place_of_media_is_told(tmp_path):
    put(tmp_path, "train_splits/dia0_utt0.mp4")
    (tmp_path / "train_splits/dia0_utt0.mp4").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    (tmp_path / "train_sent_emo.csv").write_text(HEADER + meld_row(0, 0))
    _, segments, _ = read("meld", tmp_path)
    assert segments[0].masked["face"] == "media is a git-lfs pointer"


def test_meld_as_released_has_its_known_counts(shared_data):
    clips, segments, excluded = read("meld", shared_data / "meld" / "official")
    counts = Counter((s.split, s.labels["meld"]) for s in segments)
    assert (len(clips), len(segments), excluded) == (13_708, 13_708, [])
    assert Counter(s.split for s in segments) == {"train": 9989, "dev": 1109, "test": 2610}
    assert counts["train", "neutral"] == 4710
    assert counts["test", "fear"] == 50
    assert counts["dev", "disgust"] == 22


def test_a_folder_per_class_gives_labels_and_splits(tmp_path):
    put(tmp_path, "train/Happy/a.mp4", "val/Sad/b.wav", "test/Happy/c.JPG", "stray.mp4", "train/Happy/._x.mp4")
    clips, segments, excluded = read("folder", tmp_path)
    assert [(s.labels["folder"], s.split) for s in segments] == [("Happy", "test"), ("Happy", "train"), ("Sad", "dev")]
    assert [bool(c.image) for c in clips] == [True, False, False]
    assert [e.id for e in excluded] == ["stray"]


def test_a_link_that_leads_back_up_is_walked_once(tmp_path):
    put(tmp_path, "Happy/a.mp4")
    (tmp_path / "Happy" / "loop").symlink_to(tmp_path)
    assert len(read("folder", tmp_path)[1]) == 1


def test_a_csv_names_its_columns_by_options_and_tells_each_bad_row(tmp_path):
    put(tmp_path, "a.wav", "b.wav", "c.xyz")
    (tmp_path / "list.csv").write_text(
        "file,emotion,who,start,end,split\na.wav,joy,s1,0,1.5,train\na.wav,sad,s2,1.5,3,train\nb.wav,,s1,,,dev\n"
        "gone.wav,joy,s1,,,dev\nb.wav,joy,s1,3,1,dev\nb.wav,joy,s1,x,,dev\nc.xyz,joy,s1,,,dev\n"
    )
    clips, segments, excluded = read("csv", tmp_path, path="file", label="emotion", speaker="who")
    assert [c.id for c in clips] == ["a"]
    assert [(s.id, s.start, s.end, s.speaker) for s in segments] == [
        ("x/a/0", 0.0, 1.5, "s1"),
        ("x/a/1", 1.5, 3.0, "s2"),
    ]
    assert [e.reason.split(": ")[0] for e in excluded] == ["line 4", "line 5", "line 6", "line 7", "line 8"]


def test_a_csv_of_texts_needs_no_media(tmp_path):
    (tmp_path / "list.csv").write_text("text,label\nI am glad,joy\nhelp me,fear\n")
    clips, segments, _ = read("csv", tmp_path)
    assert [s.text for s in segments] == ["I am glad", "help me"]
    assert not any(c.video or c.audio for c in clips)


def test_a_csv_without_the_label_column_names_those_found(tmp_path):
    (tmp_path / "list.csv").write_text("text,emo\nx,y\n")
    with pytest.raises(DataError, match="no column 'label'; columns found: text, emo"):
        read("csv", tmp_path)


def test_a_read_only_corpus_is_read_and_nothing_is_written_inside(tmp_path):
    root, data = tmp_path / "raw", tmp_path / "data"
    put(root, "Happy/a.mp4", "Sad/b.mp4")
    for folder in (root, root / "Happy", root / "Sad"):
        os.chmod(folder, 0o555)
    prepare(config.resolve(config.PrepareConfig, {"corpus.name": "folder", "root": str(root), "data": str(data)}))
    assert sorted(p.name for p in root.rglob("*")) == ["Happy", "Sad", "a.mp4", "b.mp4"]
    assert [s.id for s in manifest.load(data, "folder").segments()] == ["folder/Happy/a/0", "folder/Sad/b/0"]


def test_a_failed_prepare_leaves_no_manifest(tmp_path):
    def broken():
        yield Clip("a", "x")
        yield Segment("x/a/0", "a", 0.0)
        raise DataError("half-way")

    with pytest.raises(DataError, match="half-way"):
        manifest.write(tmp_path / "x", {"root": "."}, broken())
    assert list((tmp_path / "x").iterdir()) == []


def test_an_id_that_occurs_twice_is_refused(tmp_path):
    items = [Clip("a", "x"), Segment("x/a/0", "a", 0.0), Segment("x/a/0", "a", 1.0)]
    with pytest.raises(DataError, match="'x/a/0' occurs twice"):
        manifest.write(tmp_path / "x", {"root": "."}, items)


def test_a_made_corpus_never_replaces_one_that_is_not_made(tmp_path):
    put(tmp_path / "raw", "Happy/a.mp4")
    flags = {"corpus.name": "folder", "root": str(tmp_path / "raw"), "data": str(tmp_path), "name": "meld"}
    prepare(config.resolve(config.PrepareConfig, flags))
    made = {"corpus.name": "made", "root": str(tmp_path / "new"), "data": str(tmp_path)}
    with pytest.raises(DataError, match="not made"):
        prepare(config.resolve(config.PrepareConfig, made))
    assert not (tmp_path / "new").exists()


def test_a_dry_run_counts_and_writes_nothing(tmp_path):
    put(tmp_path / "raw", "Happy/a.mp4", "Sad/b.mp4")
    flags = {"corpus.name": "folder", "root": str(tmp_path / "raw"), "data": str(tmp_path / "data"), "dry_run": True}
    summary = prepare(config.resolve(config.PrepareConfig, flags))
    assert summary.row()["segments"] == {"(none)": {"Happy": 1, "Sad": 1}}
    assert not (tmp_path / "data").exists()


segments_of = st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=12, max_size=120)


@given(segments_of, st.integers(0, 5))
@settings(max_examples=40)
def test_drawn_splits_keep_groups_together_and_repeat(some, seed):
    made = [Segment(f"x/{i}/0", str(i), 0.0, speaker=f"s{s}", labels={"y": label}) for i, (s, label) in enumerate(some)]
    rule = splits.parse("speaker:0.6/0.2/0.2")
    table = splits.assign(made, rule, seed)
    assert splits.assign(made, rule, seed) == table
    assert set(table) == {f"s{s}" for s, _ in some}
    assert set(table.values()) <= set(splits.NAMES)


def test_drawn_splits_come_near_the_shares_asked_for():
    made = [Segment(f"x/{i}/0", str(i), 0.0, speaker=f"s{i % 40}", labels={"y": "ab"[i % 2]}) for i in range(400)]
    table = splits.assign(made, splits.parse("speaker:0.7/0.1/0.2"), 0)
    counts = Counter(table[s.speaker] for s in made)
    assert counts == pytest.approx({"train": 280, "dev": 40, "test": 80}, abs=10)


@pytest.mark.parametrize("text", ["speaker", "speaker:1/2/3", "dog:0.8/0.1/0.1", "speaker:0.5/0.5", "speaker:a/b/c"])
def test_an_unreadable_split_rule_is_refused(text):
    with pytest.raises(ConfigError, match="GROUP:TRAIN/DEV/TEST"):
        splits.parse(text)


def test_hashes_are_kept_when_asked_for(tmp_path):
    import hashlib

    put(tmp_path / "raw", "Happy/a.mp4")
    flags = {"corpus.name": "folder", "root": str(tmp_path / "raw"), "data": str(tmp_path / "data"), "hash": True}
    prepare(config.resolve(config.PrepareConfig, flags))
    (row,) = read_lines(tmp_path / "data" / "folder" / "clips.jsonl")
    assert row["sha256"] == hashlib.sha256(b"x" * 2000).hexdigest()
