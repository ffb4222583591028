"""Lists and tables of others: .scp files, files of annotations, and tables with vectors in their cells."""

from __future__ import annotations

from collections import Counter

import pytest

from mercli import config, registry
from mercli.contracts import Excluded
from mercli.corpora import manifest
from mercli.corpora.listed import located
from mercli.corpora.ravdess import expected_ids
from mercli.errors import DataError
from mercli.jobs.prepare import prepare
from mercli.types import Clip, Segment

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def read(name, root, **options):
    reader = registry.build("corpora", name, options=options)
    items = list(reader.read(root, "x"))
    return reader, *([item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded))


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


# --- listed -----------------------------------------------------------------------------------------------------------


def test_the_longest_tail_of_a_path_of_another_machine_is_taken(tmp_path):
    put(tmp_path, "Session1/wav/a.wav", "a.wav")
    assert located("/home/someone/IEMOCAP/Session1/wav/a.wav", tmp_path) == tmp_path / "Session1/wav/a.wav"
    assert located(r"D:\corpora\Session1\wav\a.wav", tmp_path) == tmp_path / "Session1/wav/a.wav"
    assert located(r"D:\corpora\a.wav", tmp_path) == tmp_path / "a.wav"
    assert located("Session1/wav/a.wav", tmp_path) == tmp_path / "Session1/wav/a.wav"
    assert located(str(tmp_path / "a.wav"), tmp_path / "Session1") == tmp_path / "a.wav"
    assert located("b.wav", tmp_path) is None
    assert located("x" * 5000, tmp_path) is None


# --- scp --------------------------------------------------------------------------------------------------------------


def test_lists_give_splits_by_their_names_and_labels_by_word_or_number(tmp_path):
    put(tmp_path, "wav/a.wav", "wav/b b.WAV", "wav/c.wav")
    (tmp_path / "session5_train.scp").write_text(
        f"u1 wav/a.wav 0\r\nu2\twav/b b.WAV  Sad\n\nu3 {tmp_path}/wav/c.wav 3\n"
    )
    (tmp_path / "session5_valid.SCP").write_text("u4 wav/a.wav neu\n")
    (tmp_path / "._x.scp").write_text("junk")
    reader, clips, segments, excluded = read("scp", tmp_path)
    assert [(s.clip_id, s.split, s.labels["scp"]) for s in segments] == [
        ("u1", "train", "hap"), ("u2", "train", "sad"), ("u3", "train", "ang"), ("u4", "dev", "neu"),
    ]  # fmt: skip
    assert [c.audio for c in clips] == ["wav/a.wav", "wav/b b.WAV", "wav/c.wav", "wav/a.wav"]
    assert (reader.scheme.names, excluded) == (("hap", "neu", "sad", "ang"), [])
    assert reader.card()["label_map"].table == {"hap": "happy", "neu": "neutral", "sad": "sad", "ang": "angry"}
    assert reader.card()["identity"] == "x"


def test_sounds_that_are_not_there_leave_their_rows_with_the_reason(tmp_path):
    put(tmp_path, "a.wav", content=POINTER)
    put(tmp_path, "c.mp4", "d.txt")
    (tmp_path / "all.scp").write_text("u1 a.wav 0\nu2 gone.wav 1\nu3 c.mp4 2\nu4 d.txt 3\nu5 e.npy 3\n")
    _, clips, segments, _ = read("scp", tmp_path)
    assert [s.masked.get("audio") for s in segments] == [
        "media is a git-lfs pointer", "media not found", None, "'d.txt' is no audio or video by its ending",
        "'e.npy' holds ready-made arrays, no medium",
    ]  # fmt: skip
    assert [c.video for c in clips] == [None, None, "c.mp4", None, None]
    assert {s.split for s in segments} == {None}


def test_bad_lines_and_an_utterance_in_two_lists_are_told(tmp_path):
    (tmp_path / "train.scp").write_text("u1 a.wav 0\nu2 a.wav 4\nu3 -1\n")
    (tmp_path / "valid.scp").write_text("u1 a.wav 0\n")
    _, _, segments, excluded = read("scp", tmp_path)
    assert [s.clip_id for s in segments] == ["u1"]
    assert [e.reason for e in excluded] == [
        "train.scp line 2: unknown label '4', expected a word or 0 hap, 1 neu, 2 sad, 3 ang",
        "'u3 -1' is not utterance, path and label",
        "valid.scp line 1: this utterance stands already in train.scp line 1",
    ]


def test_one_list_alone_another_base_and_other_numbers_are_options(tmp_path):
    put(tmp_path / "media", "s/a.wav")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "test.scp").write_text("u1 /else/where/s/a.wav 1\nu2 s/a.wav bored\n")
    options = {"base": str(tmp_path / "media"), "labels": "joy, fear", "language": "de", "identity": "iemocap"}
    reader, clips, segments, _ = read("scp", tmp_path / "lists" / "test.scp", **options)
    assert {c.audio for c in clips} == {(tmp_path / "media" / "s" / "a.wav").as_posix()}
    assert [(s.labels["scp"], s.split, s.language) for s in segments] == [
        ("fear", "test", "de"),
        ("bored", "test", "de"),
    ]
    assert (reader.card()["identity"], reader.scheme.names) == ("iemocap", ("fear", "bored"))


def test_a_folder_without_a_labelled_line_is_no_list(tmp_path):
    (tmp_path / "wav.scp").write_text("u1 a.wav\n")
    with pytest.raises(DataError, match=r"no labelled line of a \.scp"):
        read("scp", tmp_path)


# --- annotations ------------------------------------------------------------------------------------------------------


def listed(*ids, windows=False, ending="_facecroppad.npy"):
    lines = []
    for identity in ids:
        _, _, emotion, *_, actor = identity.split("-")
        folder = f"ACTOR{actor}"
        subset = "testing" if int(actor) <= 4 else "validation" if int(actor) <= 8 else "training"
        fields = [f"{folder}/{identity}{ending}", f"{folder}/03{identity[2:]}_croppad.wav", str(int(emotion)), subset]
        if windows:
            fields[:2] = ["C:\\data\\" + field.replace("/", "\\") for field in fields[:2]]
        lines.append(";".join(fields) + "\n")
    return "".join(lines)


def test_the_list_of_a_whole_ravdess_has_the_sizes_of_its_publication(tmp_path):
    ids = [f"{modality}-{identity}" for modality in ("01", "02") for identity in expected_ids("01")]
    (tmp_path / "annotations.txt").write_text(listed(*ids))
    reader, clips, segments, excluded = read("annotations", tmp_path)
    assert Counter(s.split for s in segments) == {"train": 1920, "dev": 480, "test": 480}
    assert Counter(s.labels["annotations"] for s in segments if s.split == "test") == {
        name: 32 if name == "neutral" else 64 for name in LABELS
    }
    assert all(s.labels["annotations"] == LABELS[int(s.clip_id.split("-")[2]) - 1] for s in segments)
    assert "1440 of them with a sound that another line has" in reader.card()["layout"]
    assert (reader.scheme.names, excluded, len(clips)) == (LABELS, [], 2880)
    apart = [{s.speaker for s in segments if s.split == split} for split in ("train", "dev", "test")]
    assert [len(speakers) for speakers in apart] == [16, 4, 4]
    assert len(set.union(*apart)) == 24


def test_arrays_leave_the_row_masked_and_media_are_found_by_their_tails(tmp_path):
    put(tmp_path, "ACTOR02/03-01-05-01-01-01-02_croppad.wav", "ACTOR03/01-01-05-01-01-01-03.mp4")
    rows = listed("01-01-05-01-01-01-02", windows=True) + listed("01-01-05-01-01-01-03", ending=".mp4")
    (tmp_path / "annotations.txt").write_text(rows + "gone.mp4;gone.wav;happy;training\n")
    _, clips, segments, _ = read("annotations", tmp_path)
    assert [(c.id, c.video, c.audio) for c in clips] == [
        ("01-01-05-01-01-01-02_facecroppad", None, "ACTOR02/03-01-05-01-01-01-02_croppad.wav"),
        ("01-01-05-01-01-01-03", "ACTOR03/01-01-05-01-01-01-03.mp4", None),
        ("gone", None, None),
    ]
    array = "'01-01-05-01-01-01-02_facecroppad.npy' holds ready-made arrays, no medium"
    assert [s.masked for s in segments] == [
        {"face": array}, {}, {"face": "media not found", "audio": "media not found"},
    ]  # fmt: skip
    assert [(s.speaker, s.sex) for s in segments] == [("02", "f"), ("03", "m"), (None, None)]


def test_bad_lines_and_lines_that_were_appended_twice_are_told(tmp_path):
    good = listed("01-01-05-01-01-01-02")
    bad = "a.mp4;a.wav;9;training\nb.mp4;b.wav;1;extra\nc.mp4;c.wav;1\n;;1;training\nd.mp4;d.wav;0;testing\n"
    (tmp_path / "annotations.txt").write_text(good + bad + good)
    _, clips, _, excluded = read("annotations", tmp_path)
    assert len(clips) == 1
    assert [e.reason.split(",")[0] for e in excluded] == [
        "line 2: unknown label '9'", "line 3: unknown subset 'extra'",
        "line 4: 'c.mp4;c.wav;1' is not video;audio;label;subset", "line 5: neither video nor audio",
        "line 6: unknown label '0'", "line 7: this clip stands already in line 1",
    ]  # fmt: skip


def test_videos_of_one_name_in_two_folders_stay_two_clips_and_labels_are_an_option(tmp_path):
    (tmp_path / "list.txt").write_text("a/v.mp4;;2;training\nb/v.mp4;;joy;testing\n")
    reader, clips, segments, _ = read("annotations", tmp_path, labels="fear,joy")
    assert [c.id for c in clips] == ["v", "b/v.mp4"]
    assert {s.labels["annotations"] for s in segments} == {"joy"}
    assert reader.card()["label_map"].table == {"joy": "happy"}


def test_several_lists_ask_for_one_and_none_is_refused(tmp_path):
    (tmp_path / "README.txt").write_text("a;b;c;d\n")
    with pytest.raises(DataError, match="holds 0 files of lines"):
        read("annotations", tmp_path)
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("v.mp4;;1;training\n")
    with pytest.raises(DataError, match=r"holds 2 files .*\(one\.txt, two\.txt\)"):
        read("annotations", tmp_path)
    assert len(read("annotations", tmp_path, file="two.txt")[1]) == 1
    assert len(read("annotations", tmp_path / "one.txt")[1]) == 1


# --- table ------------------------------------------------------------------------------------------------------------

COLUMNS = ("Utterance", "V1", "V3", "V4", "A2", "Emotion", "Who", "Set")
ROWS = (
    ("Oh no", "[0.1 0.2]", "[1]", "[2]", "[3]", "sadness", "Ross", "train"),
    ("Yay, you", "[0.3 0.4]", "[1]", "[2]", "[3]", "joy", None, "Test"),
    ("Hm", "[0.3 0.4]", "[1]", "[2]", "[3]", None, "Ross", "train"),
    (None, "[0.3 0.4]", "[1]", "[2]", "[3]", "joy", "Joey", "other"),
)


def written(path, rows=ROWS, columns=COLUMNS):
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(columns))
    {".xlsx": frame.to_excel, ".csv": frame.to_csv, ".parquet": frame.to_parquet}[path.suffix](path, index=False)
    return frame


@pytest.mark.parametrize("ending", [".xlsx", ".csv", ".parquet"])
def test_a_table_gives_texts_and_labels_and_notes_where_the_vectors_stand(tmp_path, ending):
    frame = written(tmp_path / f"MELD{ending}")
    reader, clips, segments, excluded = read("table", tmp_path, speaker="Who", split="Set")
    assert [(s.text, s.labels["table"], s.speaker, s.split) for s in segments] == [
        ("Oh no", "sadness", "Ross", "train"), ("Yay, you", "joy", None, "test"),
    ]  # fmt: skip
    assert clips[1].meta == {"table": f"MELD{ending}", "row": 1, "columns": ["V1", "V3", "V4", "A2"]}
    assert frame.iloc[clips[1].meta["row"]]["Utterance"] == segments[1].text
    assert [(e.id, e.reason) for e in excluded] == [
        ("row2", "no label"), ("row3", "unknown split 'other', expected train, dev, test"),
    ]  # fmt: skip
    assert reader.scheme.names == ("joy", "sadness")
    assert reader.card()["label_map"].table == {"joy": "happy", "sadness": "sad"}
    assert reader.card()["identity"] == "x"


def test_rows_are_counted_as_pandas_counts_them_past_blank_ones(tmp_path):
    blank = (None,) * len(COLUMNS)
    frame = written(tmp_path / "a.xlsx", (ROWS[0], blank, ROWS[1]))
    import pandas as pd

    back = pd.read_excel(tmp_path / "a.xlsx")
    _, clips, segments, _ = read("table", tmp_path)
    assert [back["Utterance"][c.meta["row"]] for c in clips] == [s.text for s in segments] == ["Oh no", "Yay, you"]
    assert len(frame) == 3


def test_a_csv_in_cp1252_is_read_as_one_in_utf8(tmp_path):
    (tmp_path / "a.csv").write_bytes("Utterance,V1,V3,V4,A2,Emotion\nna\u00efve\u2019s,1,2,3,4,joy\n".encode("cp1252"))
    _, _, (segment,), _ = read("table", tmp_path)
    assert segment.text == "na\u00efve\u2019s"


def test_no_vector_enters_the_manifest(tmp_path):
    (tmp_path / "raw").mkdir()
    written(tmp_path / "raw" / "MELD.xlsx")
    flags = {"corpus.name": "table", "root": str(tmp_path / "raw"), "data": str(tmp_path / "data"), "name": "meld"}
    prepare(config.resolve(config.PrepareConfig, flags))
    held = manifest.load(tmp_path / "data", "meld")
    assert [s.id for s in held.segments()] == ["meld/row0/0", "meld/row1/0", "meld/row3/0"]
    assert held.card["identity"] == "meld"
    assert "0.1" not in "".join(path.read_text() for path in held.folder.glob("*.jsonl"))


def test_a_missing_column_is_named_with_those_found_and_the_option(tmp_path):
    written(tmp_path / "a.parquet", [("x", "joy")], ("Utterance", "Emotion"))
    with pytest.raises(DataError, match="no column 'V1'; columns found: Utterance, Emotion") as fault:
        read("table", tmp_path)
    assert "features=" in fault.value.hint
    with pytest.raises(DataError, match="no column 'Speaker'"):
        read("table", tmp_path, features="", speaker="Speaker")
    assert len(read("table", tmp_path, features="")[1]) == 1


@pytest.mark.parametrize("ending", [".xlsx", ".csv", ".parquet"])
def test_a_file_that_is_no_table_is_refused(tmp_path, ending):
    (tmp_path / f"a{ending}").write_bytes(b"\xff\xfe\x00 no table")
    with pytest.raises(DataError, match=r"is no (xlsx|parquet)|no column 'Utterance'"):
        read("table", tmp_path)


def test_several_tables_ask_for_one(tmp_path):
    written(tmp_path / "a.csv")
    written(tmp_path / "b.xlsx")
    with pytest.raises(DataError, match=r"holds 2 tables \(a\.csv, b\.xlsx\)"):
        read("table", tmp_path)
    assert len(read("table", tmp_path, file="b.xlsx")[1]) == 3
    assert len(read("table", tmp_path / "a.csv")[1]) == 3
    with pytest.raises(DataError, match="is no table that can be read"):
        read("table", tmp_path, file="c.csv")
