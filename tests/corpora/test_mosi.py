"""CMU-MOSI: csd with transcripts, and MMSA's form, on small made trees."""

from __future__ import annotations

from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora.cmu.release import folds
from mercli.errors import DataError
from mercli.types import Clip, Segment
from tests.corpora.test_mosei import put, write_csd

TRAIN = "2iD-tVS8NPw"
TEXTS = "Raw/Transcript/Segmented"


def read(root):
    reader = registry.build("corpora", "mosi")
    items = list(reader.read(root, "x"))
    return reader, *([i for i in items if isinstance(i, kind)] for kind in (Clip, Segment, Excluded))


def raw(root, rows, transcript, video=TRAIN):
    write_csd(root / "CMU_MOSI_Opinion_Labels.csd", {video: rows}, "Opinion Segment Labels", names=None)
    (root / TEXTS).mkdir(parents=True, exist_ok=True)
    (root / TEXTS / f"{video}.annotprocessed").write_text(transcript)


ROWS = [(1.5, 3, [2.4]), (0, 1, [-1]), (4, 6, [0])]


def test_the_kth_opinion_in_time_is_clip_k_whatever_the_order_of_the_rows(tmp_path):
    raw(tmp_path, ROWS, "1_DELIM_bad film\n2_good 3_D film\n\n")
    put(tmp_path, *(f"Raw/Video/Segmented/{TRAIN}_{n}.mp4" for n in (1, 2, 3)))
    _, clips, segments, excluded = read(tmp_path)
    assert [c.id for c in clips] == [f"{TRAIN}/{n}" for n in (1, 2, 3)]
    assert [(s.text, s.labels["sentiment-3"], s.turn) for s in segments] == [
        ("bad film", "negative", 1),
        ("good 3_D film", "positive", 2),
        (None, "neutral", 3),
    ]
    assert [s.labels["sentiment"] for s in segments] == pytest.approx([-1, 2.4, 0])
    assert {(s.dialogue, s.speaker, s.split) for s in segments} == {(TRAIN, None, "train")}
    assert (excluded, clips[1].meta, segments[1].end) == ([], {"seconds": 1.5}, None)


def test_a_whole_video_is_cut_by_times(tmp_path):
    raw(tmp_path, ROWS, "1_DELIM_bad\n")
    put(tmp_path, f"Raw/Video/Full/{TRAIN}.mp4", f"Raw/Video/Segmented/{TRAIN}_1.mp4",
        f"Raw/Audio/WAV_16000/Full/{TRAIN}.wav")  # fmt: skip
    _, (clip,), segments, excluded = read(tmp_path)
    assert (clip.video, clip.audio) == (f"Raw/Video/Full/{TRAIN}.mp4", f"Raw/Audio/WAV_16000/Full/{TRAIN}.wav")
    assert [(s.start, s.end) for s in segments] == [(0, 1), (1.5, 3), (4, 6)]
    assert excluded == []


def test_clip_numbers_beyond_the_rows_leave_texts_out_and_say_so(tmp_path):
    raw(tmp_path, ROWS, "1_DELIM_bad\n4_DELIM_odd\n")
    _, clips, segments, _ = read(tmp_path)
    assert [s.text for s in segments] == [None] * 3
    assert clips[0].meta["errata"] == ["3 labels and clips up to 4: text and cuts cannot be told apart"]


def test_mmsa_finds_its_own_table_among_several(tmp_path):
    for corpus, video in (("MOSI", "03bSnISJMiM"), ("MOSEI", "hh04W3xXa5s")):
        put(tmp_path, f"{corpus}/Raw/{video}/1.mp4")
        rows = f"{video},1,fine,1.0,Positive,test\n{video},2,odd,3.2,Positive,test\n"
        (tmp_path / corpus / "label.csv").write_text("video_id,clip_id,text,label,annotation,mode\n" + rows)
    reader, clips, segments, excluded = read(tmp_path)
    assert [(c.id, c.video) for c in clips] == [
        ("03bSnISJMiM/1", "MOSI/Raw/03bSnISJMiM/1.mp4"),
        ("03bSnISJMiM/2", None),
    ]
    assert [(s.labels["sentiment-3"], s.labels["sentiment"]) for s in segments] == [
        ("positive", 1.0),
        ("positive", 3.0),
    ]
    assert excluded == []
    assert reader.card()["layout"] == "MMSA's label.csv"


def test_a_sentiment_of_zero_is_not_the_emotion_neutral():
    card = registry.build("corpora", "mosi").card()
    assert card["label_map"].table == {"negative": None, "neutral": None, "positive": None}


def test_the_known_counts_and_folds_add_up():
    facts = registry.build("corpora", "mosi").facts
    counts = facts.expected["standard"].counts
    assert {split: sum(labels.values()) for split, labels in counts.items()} == {"train": 1284, "dev": 229, "test": 686}
    assert Counter(folds("mosi").values()) == {"train": 52, "dev": 10, "test": 31}


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="no CMU-MOSI labels"):
        read(tmp_path)
    (tmp_path / "label.csv").write_text("video_id,clip_id,label\na,1,1.0\n")
    with pytest.raises(DataError, match="no column 'text'"):
        read(tmp_path)
    raw(tmp_path, [(0, 1, [1])], "", video="hh04W3xXa5s")
    with pytest.raises(DataError, match="those of CMU-MOSEI, expected CMU-MOSI"):
        read(tmp_path)
