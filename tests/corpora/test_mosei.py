"""CMU-MOSEI: each layout on small made trees, and the public label tables."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import errata
from mercli.corpora.cmu.mosei_labels import EMOTIONS, dominant
from mercli.corpora.cmu.release import folds
from mercli.corpora.expected import Tally
from mercli.errors import ConfigError, DataError
from mercli.types import Clip, Segment

ORDER = ("sentiment", *EMOTIONS)
TRAIN, DEV, FACELESS = "hh04W3xXa5s", "-571d8cVauQ", "_HanACduNJk"
SEGMENTED = "Raw/Videos/Segmented/Combined"


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 2000)


def write_csd(path, videos, group="All Labels", names=ORDER):
    """Write {video: [(start, end, values)]} as the SDK does."""
    import h5py
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for video, rows in videos.items():
            here = file.create_group(f"{group}/data/{video}")
            here["features"] = np.array([values for _, _, values in rows], np.float32)
            here["intervals"] = np.array([(start, end) for start, end, _ in rows], np.float32)
        if names:
            file[f"{group}/metadata/dimension names"] = np.array([json.dumps(names).encode()])


def write_transcript(root, video, *lines):
    path = root / "Raw/Transcript/Segmented/Combined" / f"{video}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{video}___{number}___{a}___{b}___{text}\n" for number, a, b, text in lines))


def emotions(sentiment=0.0, **values):
    return [sentiment, *(values.get(name, 0.0) for name in EMOTIONS)]


def read(root, **options):
    reader = registry.build("corpora", "mosei", options=options)
    items = list(reader.read(root, "x"))
    clips, segments, excluded = ([i for i in items if isinstance(i, kind)] for kind in (Clip, Segment, Excluded))
    return reader, clips, segments, excluded


def raw(root, shuffled=False):
    """Two labelled segments and an unlabelled one; the rows of the csd in either order."""
    rows = [(4.84, 14.052, emotions(1.0, happy=2 / 3)), (82.753, 100.555, emotions(-2 / 3, sad=1.0, anger=1 / 3))]
    write_csd(root / "CMU_MOSEI_Labels.csd", {TRAIN: rows[::-1] if shuffled else rows})
    lines = [(0, 82.753, 100.555, "so _____ sad"), (2, 4.84, 14.052, "hello"), (5, 119.919, 125.299, "nobody rated me")]
    write_transcript(root, TRAIN, *lines)


def test_rows_of_a_csd_meet_their_transcript_lines_by_times_in_any_order(tmp_path):
    answers = []
    for shuffled in (False, True):
        root = tmp_path / str(shuffled)
        raw(root, shuffled)
        put(root, f"Raw/Videos/Full/Combined/{TRAIN}.mp4")
        _, clips, segments, excluded = read(root)
        answers.append((clips, segments, excluded))
    assert answers[0] == answers[1]
    clips, segments, excluded = answers[0]
    assert [(c.id, c.video) for c in clips] == [(TRAIN, f"Raw/Videos/Full/Combined/{TRAIN}.mp4")]
    assert [(s.id, s.start, s.end, s.text) for s in segments] == [
        (f"x/{TRAIN}/0", 82.753, 100.555, "so _____ sad"),
        (f"x/{TRAIN}/2", 4.84, 14.052, "hello"),
    ]
    assert [(s.dialogue, s.turn, s.speaker, s.split) for s in segments] == [(TRAIN, n, None, "train") for n in (0, 2)]
    assert [s.labels["mosei"] for s in segments] == ["sad", "happy"]
    assert segments[0].labels["sentiment"] == pytest.approx(-2 / 3)
    assert segments[0].labels["mosei-6"] == pytest.approx(dict.fromkeys(EMOTIONS, 0) | {"sad": 1, "anger": 1 / 3})
    assert [(e.id, e.reason) for e in excluded] == [(f"{TRAIN}/5", "no label at 119.919 to 125.299 s")]


def test_cut_media_give_one_clip_a_segment_and_absent_ones_leave_text(tmp_path):
    raw(tmp_path / "deep" / "CMU-MOSEI")
    put(tmp_path / "deep" / "CMU-MOSEI", f"{SEGMENTED}/{TRAIN}_0.MP4", f"{SEGMENTED}/._{TRAIN}_2.mp4",
        f"{SEGMENTED}/{TRAIN}_5.mp4", f"{SEGMENTED}/stranger_1.mp4")  # fmt: skip
    _, clips, segments, excluded = read(tmp_path)
    assert [(c.id, bool(c.video), c.meta) for c in clips] == [
        (f"{TRAIN}/0", True, {"seconds": 17.802}),
        (f"{TRAIN}/2", False, {"seconds": 9.212}),
    ]
    assert [(s.id, s.start, s.end) for s in segments] == [(f"x/{TRAIN}/0/0", 0, None), (f"x/{TRAIN}/2/0", 0, 9.212)]
    assert segments[0].masked == {}
    assert segments[1].masked == {"audio": "media not found", "face": "media not found"}
    assert [e.id for e in excluded] == [f"{TRAIN}/5", "stranger_1"]


def test_sound_beside_the_videos_is_used_and_a_pointer_is_told(tmp_path):
    raw(tmp_path)
    put(tmp_path, f"Raw/Audio/Full/WAV_16000/{TRAIN}.wav", f"Raw/Videos/Full/Combined/{TRAIN}.mp4")
    _, (clip,), _, _ = read(tmp_path)
    assert (clip.video, clip.audio) == (
        f"Raw/Videos/Full/Combined/{TRAIN}.mp4",
        f"Raw/Audio/Full/WAV_16000/{TRAIN}.wav",
    )
    (tmp_path / clip.video).write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    _, (clip,), segments, _ = read(tmp_path)
    assert (clip.video, clip.id) == (None, TRAIN)
    assert {s.masked["face"] for s in segments} == {"media is a git-lfs pointer"}
    assert not any("audio" in s.masked for s in segments)


def test_rows_without_a_transcript_are_cut_from_the_whole_video(tmp_path):
    write_csd(tmp_path / "labels/CMU_MOSEI_Labels.csd", {TRAIN: [(1, 2.5, emotions(happy=1))]})
    put(tmp_path, f"Raw/Videos/Full/Combined/{TRAIN}.mp4")
    _, _, (segment,), _ = read(tmp_path)
    assert (segment.id, segment.start, segment.end, segment.text, segment.turn) == (
        f"x/{TRAIN}/at1.000", 1.0, 2.5, None, None,
    )  # fmt: skip


def test_ids_with_underscores_and_dashes_are_read_whole(tmp_path):
    ids = ["_-a_b____", "-x__1_2", "_HanACduNJk"]
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {video: [(0.5, 2, emotions(fear=1))] for video in ids})
    for video in ids:
        write_transcript(tmp_path, video, (3, 0.5, 2, "a___b___7___1___2___c"))
    put(tmp_path, *(f"{SEGMENTED}/{video}_3.mp4" for video in ids))
    _, clips, segments, excluded = read(tmp_path)
    assert sorted(c.id for c in clips) == sorted(f"{video}/3" for video in ids)
    assert {s.text for s in segments} == {"a___b___7___1___2___c"}
    assert all(c.video for c in clips)
    assert excluded == []


def test_a_negative_start_is_clamped_and_noted(tmp_path):
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {TRAIN: [(0, 2, emotions(fear=1))]})
    write_transcript(tmp_path, TRAIN, (0, -0.4875, 2, "hi"))
    put(tmp_path, f"Raw/Videos/Full/Combined/{TRAIN}.mp4")
    _, (clip,), (segment,), _ = read(tmp_path)
    assert (segment.start, segment.end) == (0.0, 2.0)
    assert clip.meta["errata"] == ["segment 0: times: start -0.487 clamped to 0"]


def test_values_outside_their_scale_are_clipped_and_noted_and_no_number_is_left_out(tmp_path):
    rows = [(0, 1, emotions(-3.5, happy=4)), (1, 2, emotions(float("nan"), happy=1))]
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {TRAIN: rows})
    _, (clip,), (segment,), (excluded,) = read(tmp_path)
    assert (segment.labels["sentiment"], segment.labels["mosei-6"]["happy"]) == (-3.0, 3.0)
    assert clip.meta["errata"] == [
        "happy: 4 clipped to the scale of 0 to 3",
        "sentiment: -3.5 clipped to the scale of -3 to 3",
    ]
    assert excluded == Excluded(f"{TRAIN}/at1.000", "sentiment is nan, expected a number of -3 to 3")


def test_the_older_csd_has_emotions_alone(tmp_path):
    row = (0, 1, emotions(disgust=1, happy=1)[1:])
    write_csd(tmp_path / "CMU_MOSEI_LabelsEmotions.csd", {TRAIN: [row]}, "Emotion Labels", names=None)
    reader, _, (segment,), _ = read(tmp_path)
    assert (segment.labels["mosei"], "sentiment" in segment.labels) == ("tie", False)
    assert [scheme.name for scheme in reader.card()["schemes"]] == ["mosei-6"]


def test_columns_are_read_by_the_names_the_csd_gives_them(tmp_path):
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {TRAIN: [(0, 1, [3, 0, 0, 0, 0, 0, -1])]}, names=(*EMOTIONS, ORDER[0]))
    _, _, (segment,), _ = read(tmp_path)
    assert (segment.labels["mosei"], segment.labels["sentiment"]) == ("happy", -1.0)


def test_a_csd_of_another_form_is_refused(tmp_path):
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {TRAIN: [(0, 1, [1, 2])]}, names=None)
    with pytest.raises(DataError, match=r"features \(1, 2\).*expected \(n, 6 or 7\)"):
        read(tmp_path)
    (tmp_path / "CMU_MOSEI_Labels.csd").write_bytes(b"no hdf5" * 300)
    with pytest.raises(DataError, match="cannot be read as csd"):
        read(tmp_path)
    (tmp_path / "CMU_MOSEI_Labels.csd").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    with pytest.raises(DataError, match="git-lfs pointer"):
        read(tmp_path)


HEADERS = (
    "video_id,clip_id,text,label,annotation,mode,label_T,label_A,label_V",
    "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode",
)


@pytest.mark.parametrize("header", HEADERS)
def test_mmsa_gives_sentiment_by_column_name_and_no_emotion(tmp_path, header):
    home = tmp_path / "MOSEI"
    put(home, f"Raw/{DEV}/0010.mp4", f"Raw/{DEV}/3.mp4", "Raw/81406/1.mp4")
    rows = [
        {"video_id": DEV, "clip_id": "0010", "text": "well, yes", "label": "-1.5", "mode": "valid"},
        {"video_id": DEV, "clip_id": "3", "text": "no", "label": "x", "mode": "valid"},
        {"video_id": "81406", "clip_id": "1", "text": "oh", "label": "2", "mode": "train"},
    ]
    with (home / "label.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, header.split(","))
        writer.writeheader()
        writer.writerows(rows)
    reader, clips, segments, excluded = read(tmp_path)
    assert [(c.id, c.video) for c in clips] == [
        (f"{DEV}/0010", f"MOSEI/Raw/{DEV}/0010.mp4"),
        ("81406/1", "MOSEI/Raw/81406/1.mp4"),
    ]
    assert [(s.labels, s.split, s.turn) for s in segments] == [
        ({"sentiment": -1.5}, "dev", 10),
        ({"sentiment": 2.0}, "train", 1),
    ]
    assert [e.id for e in excluded] == [f"{DEV}/3"]
    assert (reader.card()["expected"], reader.card()["layout"]) == (
        "mmsa", "MMSA's label.csv: sentiment only, no emotion",
    )  # fmt: skip


def write_table(root, *rows, header="file,index,start,end,label2a,label2b,label6,label7,split"):
    root.mkdir(parents=True, exist_ok=True)
    (root / "CMU_MOSEI_Labels.csv").write_text("\n".join([header, *rows]) + "\n")


def test_the_csv_of_cut_sound_names_the_dominant_emotion(tmp_path):
    put(tmp_path, f"Audio/Segmented_Audio/train/{TRAIN}_1.wav")
    write_table(tmp_path, f"{TRAIN},1,-0.5,2.5,1,1,4,2,0", f"{TRAIN},2,3,4,1,1,9,2,0", "unknown,0,3,4,1,1,0,-3,3",
                f"{TRAIN},1,3,4,1,1,0,0,0")  # fmt: skip
    reader, clips, segments, excluded = read(tmp_path)
    assert (clips[0].id, clips[0].audio, clips[0].meta) == (
        f"{TRAIN}/1",
        f"Audio/Segmented_Audio/train/{TRAIN}_1.wav",
        {"seconds": 2.5, "errata": ["times: start -0.500 clamped to 0"]},
    )
    assert [(s.labels, s.split) for s in segments] == [
        ({"mosei": "disgust", "sentiment": 2.0}, "train"),
        ({"mosei": "happy", "sentiment": -3.0}, None),
    ]
    assert segments[0].masked == {}
    assert [e.reason for e in excluded] == [
        "line 3: unknown label '9', expected one of 0, 1, 2, 3, 4, 5",
        "its id is already that of another segment of the video",
    ]
    assert reader.card()["layout"].endswith("; 1 segments of 1 videos outside the standard folds have no split")


def test_the_csv_of_cut_sound_also_cuts_whole_videos(tmp_path):
    put(tmp_path, f"Videos/Full/Combined/{TRAIN}.mp4", f"Audio/Segmented_Audio/train/{TRAIN}_1.wav")
    write_table(tmp_path, f"{TRAIN},1,0.5,2.5,1,1,4,2,0")
    _, (clip,), (segment,), excluded = read(tmp_path)
    assert (clip.id, clip.audio, segment.start, segment.end, excluded) == (TRAIN, None, 0.5, 2.5, [])


def test_a_missing_column_is_named_with_those_found(tmp_path):
    write_table(tmp_path, "a,1", header="file,index")
    with pytest.raises(DataError, match="no column 'start'; columns found: file, index"):
        read(tmp_path)


def test_a_broken_gzip_is_told(tmp_path):
    (tmp_path / "CMU_MOSEI_Labels.csv.gz").write_bytes(gzip.compress(b"file,index\n" * 50)[:-9])
    with pytest.raises(DataError, match="no whole gzip file"):
        read(tmp_path)


def test_ratings_of_workers_are_averaged_and_placed_by_clip_number(tmp_path):
    answers = ("sentiment", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    header = ",".join(["Input.VIDEO_ID", "Input.CLIP", "WorkerId", *(f"Answer.{name}" for name in answers)])
    rows = [f"dir/{TRAIN},4,w1,-1,2,0,0,0,1,0", f"{TRAIN},4,w2,0,1,0,0,0,0,0", f"{TRAIN},9,w2,1,,0,0,0,0,0"]
    (tmp_path / "Raw/Labels").mkdir(parents=True)
    (tmp_path / "Raw/Labels/batch1.csv").write_text("\n".join([header, *rows]) + "\n")
    write_transcript(tmp_path, TRAIN, (4, 1.5, 3, "grr"), (5, 3, 4, "unrated"))
    put(tmp_path, f"Raw/Videos/Full/Combined/{TRAIN}.mp4")
    _, _, (segment,), excluded = read(tmp_path)
    assert (segment.start, segment.text, segment.labels["mosei"]) == (1.5, "grr", "anger")
    assert segment.labels["sentiment"] == -0.5
    assert segment.labels["mosei-6"] == dict.fromkeys(EMOTIONS, 0.0) | {"anger": 1.5, "sad": 0.5}
    assert [(e.id, e.reason) for e in excluded] == [
        (f"{TRAIN}/9", "no worker rated its anger"),
        (f"{TRAIN}/5", "no worker rated it"),
    ]


def test_another_folder_and_the_sister_corpus_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected CMU_MOSEI_Labels\.csd"):
        read(tmp_path)
    (tmp_path / "label.csv").write_text("video_id,clip_id,text,label,mode\n03bSnISJMiM,1,x,1.0,test\n")
    with pytest.raises(DataError, match="those of CMU-MOSI, expected CMU-MOSEI"):
        read(tmp_path)


@pytest.mark.parametrize("place", ["Raw/Videos/Full/Combined/{}.mp4", SEGMENTED + "/{}_7.mp4"])
def test_videos_without_a_face_are_masked_by_the_errata(tmp_path, place):
    write_csd(tmp_path / "CMU_MOSEI_Labels.csd", {v: [(0, 1, emotions(happy=1))] for v in (FACELESS, TRAIN)})
    for video in (FACELESS, TRAIN):
        write_transcript(tmp_path, video, (7, 0, 1, "hm"))
        put(tmp_path, place.format(video))
    reader = registry.build("corpora", "mosei")
    segments = [i for i in errata.applied(reader.read(tmp_path, "x"), reader.facts.errata) if isinstance(i, Segment)]
    assert {s.dialogue: set(s.masked) for s in segments} == {FACELESS: {"face"}, TRAIN: set()}
    assert len(next(e for e in reader.facts.errata if e.kind == "no-face").ids) == 12


def test_a_policy_decides_what_a_segment_without_emotion_is():
    tables = {
        choice: registry.build("corpora", "mosei", options={"none": choice}).card() for choice in ("drop", "neutral")
    }
    assert {choice: card["label_map"].table["none"] for choice, card in tables.items()} == {
        "drop": None,
        "neutral": "neutral",
    }
    assert tables["drop"]["label_map"].table["tie"] is None
    assert tables["drop"]["label_map"].table["anger"] == "angry"
    assert tables["neutral"]["policy"].endswith("none=neutral")
    with pytest.raises(ConfigError, match="none='happy'"):
        registry.build("corpora", "mosei", options={"none": "happy"})


thirds = st.lists(st.integers(0, 9), min_size=6, max_size=6)


@given(thirds, st.permutations(EMOTIONS))
def test_the_dominant_emotion_is_a_plurality_in_any_order(values, order):
    scores = dict(zip(EMOTIONS, (v / 3 for v in values), strict=True))
    found = dominant(scores)
    assert dominant({name: scores[name] for name in order}) == found
    best = [name for name, v in zip(EMOTIONS, values, strict=True) if v == max(values)]
    if not any(values):
        assert found == "none"
    else:
        assert found == (best[0] if len(best) == 1 else "tie")
    majority = [name for name, v in zip(EMOTIONS, values, strict=True) if 2 * v > sum(values)]
    if majority:
        assert [found] == majority


def test_values_that_differ_by_rounding_alone_tie():
    assert dominant({"happy": 0.6666667, "sad": 2 / 3, "fear": 0.666667}) == "tie"


def test_the_standard_folds_have_their_sizes_and_keep_their_notice():
    from mercli.corpora import facts

    assert Counter(folds("mosei").values()) == {"train": 2249, "dev": 300, "test": 678}
    held = json.loads((Path(facts.__file__).parent / "cmu_std_folds.json").read_text())
    assert sum(len(videos) for videos in held["cmu_mosei"].values()) == 3227
    assert held["notice"][0] == "MIT License"
    assert "shall be included in all copies" in " ".join(held["notice"])


def test_the_public_table_has_its_known_counts(shared_data, tmp_path):
    shutil.copy(shared_data / "labels_only/CMU_MOSEI_Labels.csv.gz", tmp_path)
    reader = registry.build("corpora", "mosei")
    tally = Tally("mosei")
    segments = [item for item in tally.watch(reader.read(tmp_path, "x")) if isinstance(item, Segment)]
    tally.expected = reader.facts.expected[reader.card()["expected"]]
    assert len(segments) == 23_259
    assert tally.faults() == []
    assert not any(row.differs for row in tally.rows())
    assert Counter(s.split for s in segments) == {"train": 16_327, "dev": 1871, "test": 4662, None: 399}
    assert len({s.dialogue for s in segments}) == 3293
    assert "399 segments of 68 videos outside" in reader.card()["layout"]
    with gzip.open(tmp_path / "CMU_MOSEI_Labels.csv.gz", "rt") as handle:  # the table's own split agrees with the folds
        own = {f"x/{row['file']}/{row['index']}/0": row["split"] for row in csv.DictReader(handle)}
    assert {(own[s.id], s.split) for s in segments} == {("0", "train"), ("1", "dev"), ("2", "test"), ("3", None)}


def test_the_public_tables_of_each_split_have_their_known_counts(shared_data, tmp_path):
    for split in ("train", "dev", "test"):
        shutil.copy(shared_data / f"labels_only/mosei_{split}.csv.gz", tmp_path)
    reader = registry.build("corpora", "mosei")
    tally = Tally("mosei")
    segments = [item for item in tally.watch(reader.read(tmp_path, "x")) if isinstance(item, Segment)]
    tally.expected = reader.facts.expected[reader.card()["expected"]]
    assert not any(row.differs for row in tally.rows())
    assert Counter(s.labels["sentiment-2"] for s in segments if s.split == "dev") == {"positive": 1365, "negative": 506}
    assert tally.counts["train"]["happy"] == 10_180
    splits: dict[str, set] = {}
    for s in segments:
        splits.setdefault(s.dialogue, set()).add(s.split)
    assert all(len(found) == 1 for found in splits.values())
