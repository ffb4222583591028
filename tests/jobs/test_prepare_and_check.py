"""What ``prepare`` finds out beside reading: counts as released or not, media that do not decode, named folds."""

from __future__ import annotations

import json
import os

import pytest

from mercli.contracts import Expected
from mercli.corpora.expected import TOTAL, Tally
from mercli.jobs.clips import probing
from mercli.rundir import read_lines
from mercli.types import Clip, Segment

CLIP = "train_splits/dia0_utt0.mp4"


def tally(expected, *labels, **meta):
    watched = Tally("s", expected)
    items = [item for i, label in enumerate(labels) for item in (Clip(f"c{i}", "x", video="v", meta=meta),
             Segment(f"x/c{i}/0", f"c{i}", 0.0, labels={"s": label}, split="train"))]  # fmt: skip
    assert list(watched.watch(items)) == items
    return watched


def test_counts_that_differ_from_an_exact_release_are_a_fault():
    watched = tally(Expected({"train": {"joy": 2, "sad": 1}}), "joy", "sad")
    assert [(r.label, r.expected, r.found) for r in watched.rows()] == [("joy", 2, 1), ("sad", 1, 1), (TOTAL, 3, 2)]
    assert watched.faults() == ["2 counts differ from the release"]
    assert tally(Expected({"train": {"joy": 1}}), "joy").faults() == []


def test_a_release_whose_copies_vary_is_a_warning():
    watched = tally(Expected({"train": {TOTAL: 5}}, exact=False), "joy")
    assert watched.faults() == []
    assert "differ in size" in watched.warnings()[0]
    assert [(r.label, r.expected) for r in watched.rows()] == [("joy", None), (TOTAL, 5)]


def test_an_unexpected_part_and_label_are_told():
    watched = tally(Expected({"dev": {"joy": 1}}), "odd")
    assert [(r.part, r.label, r.found) for r in watched.rows()][-2:] == [("train", "odd", 1), ("train", TOTAL, 1)]
    assert tally(Expected({"train": {"joy": 0}}), "odd").faults() == ["2 counts differ from the release"]


def test_parts_may_be_what_a_clip_says_of_itself():
    watched = tally(Expected({"1": {"joy": 1}}, by="session"), "joy", session="1")
    assert watched.faults() == []


def test_media_longer_than_their_rows_are_warned_of_unless_the_erratum_is_known():
    watched = Tally("s")
    for name, meta in (("a", {"seconds": 1.0}), ("b", {"seconds": 1.0, "errata": ["wrong-cut: known"]})):
        list(watched.watch([Clip(name, "x", video="v", duration=3.0, meta=meta)]))
    (warning,) = watched.warnings()
    assert warning == "1 media differ from their rows' times by > 0.2 s: a"


def test_meld_as_released_passes_the_check_and_a_lost_row_does_not(mer, shared_data, tmp_path):
    official = shared_data / "meld" / "official"
    words = ("prepare", "--corpus", "meld", "--check", "--data", tmp_path / "data", "--json")
    answer = mer(*words, "--root", official)
    assert answer.code == 0
    check = json.loads(answer.out)["check"]
    assert check["faults"] == []
    assert len(check["missing_media"]) == 13_708 - 2 - 8 - 5 - 6 - 13 - 1
    assert "check: as released" in answer.err
    for path in official.glob("*.csv"):
        text = path.read_bytes()
        (tmp_path / path.name).write_bytes(text[: text.rindex(b"\n", 0, -2)] if "test" in path.name else text)
    answer = mer(*words, "--root", tmp_path)
    assert answer.code == 4
    assert "not as released: 2 counts differ" in answer.err


@pytest.fixture
def corpus(tmp_path, world):
    """One real clip, one torn, one near-empty by its row's side, as MELD."""
    root = tmp_path / "raw"
    (root / "train_splits").mkdir(parents=True)
    whole = (world.folder / "raw" / "one" / CLIP).read_bytes()
    header, *rows = (world.folder / "raw" / "one" / "train_sent_emo.csv").read_text().splitlines()
    (root / "train_sent_emo.csv").write_text("\n".join([header, *rows[:2]]) + "\n")
    (root / CLIP).write_bytes(whole)
    (root / "train_splits/dia0_utt1.mp4").write_bytes(whole[: len(whole) // 3])
    return root


def test_a_torn_medium_is_masked_with_its_reason_and_fails_the_check(mer, corpus, tmp_path):
    data = tmp_path / "data"
    answer = mer("prepare", "--corpus", "meld", "--root", corpus, "--data", data, "--check")
    assert answer.code == 4
    assert "1 media do not decode: train/dia0_utt1" in answer.err
    clips, segments = (list(read_lines(data / "meld" / f"{name}.jsonl")) for name in ("clips", "segments"))
    assert clips[0]["duration"] == pytest.approx(clips[0]["meta"]["seconds"], abs=0.2)
    assert "masked" not in segments[0]
    assert segments[1]["masked"]["audio"] == segments[1]["masked"]["face"]
    assert (
        segments[1]["masked"]["audio"].startswith("media does not decode: 'dia0_utt1.mp4'")
        or "dia0_utt1.mp4" in (segments[1]["masked"]["audio"])
    )
    assert segments[1]["text"]


def test_a_medium_is_probed_once_unless_it_changes(mer, corpus, tmp_path, monkeypatch):
    probed = []
    real = probing._probe
    monkeypatch.setattr(probing, "_probe", lambda path: probed.append(path.name) or real(path))
    words = ("prepare", "--corpus", "meld", "--root", corpus, "--data", tmp_path / "data", "-q")
    mer(*words)
    first = (tmp_path / "data/meld/clips.jsonl").read_bytes()
    with (tmp_path / "data/meld/probes.jsonl").open("a") as file:
        file.write('{"medium": ["torn')
    mer(*words)
    assert sorted(probed) == ["dia0_utt0.mp4", "dia0_utt1.mp4"]
    assert (tmp_path / "data/meld/clips.jsonl").read_bytes() == first
    os.utime(corpus / CLIP, (1, 1))
    mer(*words)
    assert len(probed) == 3


def test_a_named_fold_becomes_the_split(mer, tmp_path):
    (tmp_path / "list.csv").write_text("text,label,speaker\na,joy,s1\nb,sad,s2\n")
    words = ("prepare", "--corpus", "csv", "--root", tmp_path, "--data", tmp_path / "data")
    answer = mer(*words, "--split", "session:1")
    assert answer.code == 3
    assert "no folds called 'session'" in answer.err


def test_a_part_that_is_not_here_is_named_and_not_counted_label_by_label():
    watched = tally(Expected({"train": {"joy": 1, "sad": 1}, "test": {"joy": 2, "sad": 1}}), "joy")
    assert watched.faults() == ["'test' is not here (3 segments)", "2 counts differ from the release"]


def test_a_corpus_of_text_alone_misses_no_media(mer, tmp_path):
    (tmp_path / "list.csv").write_text("text,label\na,joy\nb,sad\n")
    answer = mer("prepare", "--corpus", "csv", "--root", tmp_path / "list.csv", "--data", tmp_path / "data", "--check")
    assert answer.code == 0
    assert "no media" not in answer.err
    assert f"next: mer extract --corpora csv --data {tmp_path / 'data'}\n" in answer.err


def test_pictures_that_were_not_unpacked_are_told_with_the_option_that_unpacks_them(mer, shared_data, tmp_path):
    words = ("prepare", "--corpus", "ckplus", "--root", shared_data / "ckplus48", "--data", tmp_path / "data")
    answer = mer(*words)
    assert "825 clips have no media here: pictures lie inside a table: unpack them with --set unpack=DIR" in answer.err
    assert "825 clips cannot be used at all" in answer.err
    assert "next:" not in answer.err
    assert answer.out.splitlines()[0] == "label\ttrain\tdev\ttest"
    assert "hours\t-\t-\t-" in answer.out
    assert "825 clips have no media (pictures lie inside" in mer(*words, "--check").err


def test_a_dry_run_writes_no_picture_and_makes_no_corpus(mer, shared_data, tmp_path):
    words = ("prepare", "--data", tmp_path / "data", "--dry-run", "--corpus")
    pictures = ("ckplus", "--root", shared_data / "ckplus48", "--set", f"unpack={tmp_path / 'pictures'}")
    assert mer(*words, *pictures).code == 0
    assert mer(*words, "made", "--root", tmp_path / "raw").code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_a_name_that_is_no_folder_of_data_is_refused(mer, tmp_path, name):
    (tmp_path / "list.csv").write_text("text,label\na,joy\n")
    words = ("prepare", "--corpus", "csv", "--root", tmp_path / "list.csv", "--data", tmp_path / "data")
    answer = mer(*words, "--name", name)
    assert answer.code == 3
    assert not list(tmp_path.rglob("corpus.yaml"))


def test_text_without_media_keeps_no_streams(mer, tmp_path):
    (tmp_path / "list.csv").write_text("text,label\na,joy\nb,sad\n")
    words = ("prepare", "--corpus", "csv", "--root", tmp_path / "list.csv", "--data", tmp_path / "data", "--streams")
    answer = mer(*words)
    assert "streams of 0 clips are kept" in answer.err
    assert not (tmp_path / "data/csv/streams").exists()


def test_labels_without_a_canonical_class_are_named_as_far_as_one_can_read(mer, tmp_path):
    rows = "".join(f"text {number},odd{number:02d}\n" for number in range(40))
    (tmp_path / "list.csv").write_text("text,label\n" + rows)
    words = ("prepare", "--corpus", "csv", "--root", tmp_path / "list.csv", "--data", tmp_path / "data")
    assert "odd11 1 and 28 more labels" in mer(*words).err
    assert len(json.loads(mer(*words, "--json").out)["dropped_labels"]) == 40


def test_streams_of_some_clips_that_cannot_be_read_end_with_six_and_of_all_with_four(mer, corpus, tmp_path):
    words = ("prepare", "--corpus", "meld", "--root", corpus, "--no-probe", "--streams", "--data")
    answer = mer(*words, tmp_path / "some")
    assert (answer.code, "1 of 2 clips could not be read" in answer.err) == (6, True)
    (corpus / CLIP).write_bytes(b"no medium" * 300)
    answer = mer(*words, tmp_path / "all")
    assert (answer.code, "2 of 2 clips could not be read" in answer.err) == (4, True)
