"""DailyDialog: the release's pairs of files, RECCON's tables, bad rows, and RECCON's counts."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import audit
from mercli.corpora.expected import Tally
from mercli.errors import DataError
from mercli.labels import canonical
from mercli.types import Clip, Segment


def read(root):
    items = list(registry.build("corpora", "dailydialog").read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(folder, split, texts, codes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"dialogues{split}.txt").write_text(texts, encoding="utf-8")
    (folder / f"dialogues_emotion{split.replace('_text', '')}.txt").write_text(codes)


def test_the_release_gives_turns_of_two_speakers_and_codes_as_words(tmp_path):
    for folder, split in (("train", "_train"), ("validation/validation", "_validation"), ("test", "_test")):
        put(tmp_path / folder, split, "Hi . __eou__ Oh ! __eou__ Hm\u2028? __eou__\nNo __eou__\n", "0 6 5 \n1\n")
    put(tmp_path, "_text", "Hi __eou__\n", "4\n")  # the release holds everything a second time in one file
    clips, segments, excluded = read(tmp_path)
    assert Counter(s.split for s in segments) == {"train": 4, "dev": 4, "test": 4}
    assert [c.id for c in clips[:4]] == ["train/1_u01", "train/1_u02", "train/1_u03", "train/2_u01"]
    assert [(s.text, s.speaker, s.turn, s.labels["dailydialog"]) for s in segments[:4]] == [
        ("Hi .", "train/1/A", 1, "neutral"), ("Oh !", "train/1/B", 2, "surprise"),
        ("Hm\u2028?", "train/1/A", 3, "sadness"), ("No", "train/2/A", 1, "anger"),
    ]  # fmt: skip
    assert ({s.dialogue for s in segments[:4]}, excluded) == ({"train/1", "train/2"}, [])


def test_all_codes_have_the_meaning_of_the_release(tmp_path):
    put(tmp_path, "_text", "a __eou__ " * 7 + "\n", "0 1 2 3 4 5 6\n")
    _, segments, _ = read(tmp_path)
    assert [canonical(s.labels["dailydialog"]) for s in segments] == [
        "neutral", "angry", "disgust", "fear", "happy", "sad", "surprise",
    ]  # fmt: skip
    assert {s.split for s in segments} == {None}


def test_a_dialogue_whose_turns_and_emotions_differ_in_number_is_left_out(tmp_path):
    put(tmp_path, "_train", "a __eou__ b __eou__\nc __eou__\n", "0\n4\n")
    _, segments, excluded = read(tmp_path)
    assert [s.text for s in segments] == ["c"]
    assert excluded == [Excluded("train/1", "line 1: 2 turns and 1 emotions, expected as many")]


def test_unknown_codes_are_told_turn_by_turn(tmp_path):
    put(tmp_path, "_train", "a __eou__ b __eou__ c __eou__\n", "7 0 06\n")
    _, segments, excluded = read(tmp_path)
    assert [s.turn for s in segments] == [2]
    assert [e.id for e in excluded] == ["train/1_u01", "train/1_u03"]


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    put(tmp_path / "a", "_train", "a __eou__\nb __eou__\n", "0\n")
    with pytest.raises(DataError, match=r"2 dialogues and .* 1, expected as many"):
        read(tmp_path)
    (tmp_path / "a" / "dialogues_emotion_train.txt").unlink()
    with pytest.raises(DataError, match=r"no file of emotions belongs to .*dialogues_train\.txt"):
        read(tmp_path)
    (tmp_path / "a" / "dialogues_train.txt").unlink()
    with pytest.raises(DataError, match=r"expected train/dialogues_train\.txt"):
        read(tmp_path)


def test_reccon_is_read_as_csv_plain_or_gzip_and_as_its_json(tmp_path):
    header = "dialogue_id,turn,speaker,text,emotion\n"
    (tmp_path / "csv").mkdir()
    with gzip.open(tmp_path / "csv" / "train.csv.gz", "wt") as handle:
        handle.write(header + 'tr_1,1,A,"Hi , you",happiness\ntr_1,2,B,Hm,\ntr_1,two,A,x,fear\n')
    (tmp_path / "csv" / "VALID.CSV").write_text(header + "va_1,1,A,Oh,angry\nva_1,1,A,Oh,anger\nva_1,2,B,Hm,bored\n")
    _, segments, excluded = read(tmp_path / "csv")
    assert [(s.clip_id, s.speaker, s.split, s.labels["dailydialog"]) for s in segments] == [
        ("tr_1_u01", "tr_1/A", "train", "happiness"), ("va_1_u01", "va_1/A", "dev", "anger"),
    ]  # fmt: skip
    assert [e.id for e in excluded] == ["tr_1_u02", "train.csv.gz/row4", "va_1_u01", "va_1_u02"]
    turn = {"turn": 1, "speaker": "A", "utterance": "Hi", "emotion": "happines"}
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "dailydialog_test.json").write_text(json.dumps({"te_1": [[turn]]}))
    _, (segment,), _ = read(tmp_path / "json")
    assert (segment.text, segment.split, segment.labels["dailydialog"]) == ("Hi", "test", "happiness")
    (tmp_path / "json" / "dailydialog_test.json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="is not RECCON's json"):
        read(tmp_path / "json")


def test_a_missing_column_is_named_with_those_found(tmp_path):
    (tmp_path / "train.csv").write_text("dialogue_id,turn,text\n")
    with pytest.raises(DataError, match="no column 'speaker'; columns found: dialogue_id, turn, text"):
        read(tmp_path)


def test_reccons_part_has_its_known_counts_and_keeps_dialogues_apart(shared_data):
    reader = registry.build("corpora", "dailydialog")
    tally = Tally("dailydialog", reader.facts.expected["reccon"])
    items = list(tally.watch(reader.read(shared_data / "dailydialog_reccon", "x")))
    assert reader.card()["expected"] == "reccon"
    assert Counter(type(item) for item in items) == {Clip: 8699, Segment: 8699}
    assert {row.part for row in tally.rows() if row.differs} == {"test"}  # its table is not here
    parts = audit.parts("x", [item for item in items if isinstance(item, Segment)], {})
    assert not any(f.kind == "leak" or f.what == "speaker" for f in audit.within(parts, reader.facts.separates))
