"""GoEmotions: its release, tables with words for codes, and the paper's grouping against an independent copy."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora.expected import Tally
from mercli.corpora.goemotions import EKMAN, EMOTIONS, FINE, group
from mercli.errors import DataError
from mercli.types import Clip, Segment


def read(root):
    items = list(registry.build("corpora", "goemotions").read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def test_the_release_is_read_by_its_codes_and_split_names(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.tsv").write_text("I love it\t17,18\taaa\nmeh\t27\tbbb\n")
    (tmp_path / "data" / "dev.tsv").write_text("oh\t26,27\tccc\n")
    (tmp_path / "data" / "._test.tsv").write_text("junk")
    (tmp_path / "data" / "emotions.txt").write_text("\n".join(EMOTIONS))
    clips, segments, excluded = read(tmp_path)
    assert [c.id for c in clips] == ["aaa", "bbb", "ccc"]
    assert [(s.split, s.labels["goemotions"]) for s in segments] == [
        ("train", "joy"), ("train", "neutral"), ("dev", "several"),
    ]  # fmt: skip
    assert segments[0].labels["goemotions-28"] == {"joy": 1.0, "love": 1.0}
    assert (segments[0].text, segments[0].language, excluded) == ("I love it", "en", [])


def test_quotes_are_those_of_the_comment_in_either_form(tmp_path):
    # the release quotes a field that holds quotes; tables made from it line by line quote that line once more
    (tmp_path / "train.tsv").write_text('"""I am,"" she said"\t27\ta\nsay "so"\t27\tb\n')
    with gzip.open(tmp_path / "dev.tsv.gz", "wt") as handle:
        handle.write("id\ttext\tekman\toriginal\n")
        handle.write('c\t"""""""I am,"""" she said"""\tneutral\tneutral\n')
    _, segments, _ = read(tmp_path)
    assert [s.text for s in segments] == ['"I am," she said', 'say "so"', '"I am," she said']


def test_a_parquet_of_whole_comments_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"text": ["no", "wow"], "labels": [[2, 3], [26]], "id": ["a", "b"]}
    for folder, columns in (("simplified", rows), ("raw", {"text": ["one rater's"], "rater_id": [1]})):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table(columns), tmp_path / folder / "validation-00000-of-00001.parquet")
    _, segments, _ = read(tmp_path)
    assert [(s.split, s.labels["goemotions"]) for s in segments] == [("dev", "anger"), ("dev", "surprise")]


def test_bad_rows_are_told_and_the_others_stay(tmp_path):
    (tmp_path / "train.tsv").write_text("fine\t17\ta\nodd\t28\tb\nagain\t17\ta\ntwo fields\t1\nword\tjoy\td\n")
    (tmp_path / "dev.tsv").write_text("id\ttext\toriginal\nx\thm\tglee\ny\thm\tjoy\textra\nz\thm\tjoy|love\n")
    _, segments, excluded = read(tmp_path)
    assert [s.clip_id for s in segments] == ["a", "z"]
    assert [(e.id, e.reason.split(",")[0]) for e in excluded] == [
        ("b", "unknown label code '28'"), ("a", "a second row of this comment"), ("row4", "2 fields"),
        ("row5", "3 fields"), ("x", "unknown label 'glee'"), ("row3", "4 fields"),
    ]  # fmt: skip


def test_other_tables_and_other_lists_of_labels_are_refused(tmp_path):
    (tmp_path / "train.tsv").write_text("sentence\tlabel\nhi\t1\n")
    with pytest.raises(DataError, match="is not of GoEmotions"):
        read(tmp_path)
    (tmp_path / "emotions.txt").write_text("joy\nanger\n")
    with pytest.raises(DataError, match=r"emotions\.txt' lists other labels"):
        read(tmp_path)


def test_every_emotion_has_one_group_and_several_groups_have_no_class():
    grouped = [emotion for emotions in EKMAN.values() for emotion in emotions]
    assert sorted(grouped) == sorted(EMOTIONS)
    assert (len(EMOTIONS), EMOTIONS[27]) == (28, "neutral")
    assert group(["joy", "pride"]) == "joy"
    assert group(["joy", "neutral"]) == "several"
    card = registry.build("corpora", "goemotions").card()
    assert card["label_map"].table == {
        "anger": "angry", "disgust": "disgust", "fear": "fear", "joy": "happy", "sadness": "sad",
        "surprise": "surprise", "neutral": "neutral", "several": None,
    }  # fmt: skip
    assert card["schemes"] == [FINE]


@pytest.fixture(scope="module")
def released(shared_data):
    reader = registry.build("corpora", "goemotions")
    tally = Tally("goemotions", reader.facts.expected["release"])
    return tally, list(tally.watch(reader.read(shared_data / "goemotions", "x")))


def test_the_release_has_its_known_counts(released):
    tally, items = released
    assert Counter(type(item) for item in items) == {Clip: 48836, Segment: 48836}
    assert {row.part for row in tally.rows() if row.differs} == {"test"}  # its table is not here
    train = [item.labels[FINE.name] for item in items if isinstance(item, Segment) and item.split == "train"]
    rows = {name: sum(any(one in EKMAN[name] for one in fine) for fine in train) for name in EKMAN}
    # comments that carry a group at all, as the README of the copy counts them
    assert rows == {
        "joy": 17410, "neutral": 14219, "anger": 5579, "surprise": 5367, "sadness": 3263, "disgust": 793, "fear": 726,
    }  # fmt: skip


def test_the_grouping_is_that_of_an_independent_copy_of_the_corpus(released, shared_data):
    theirs = {}
    for name in ("train", "dev"):
        with gzip.open(shared_data / "goemotions" / f"{name}.tsv.gz", "rt", encoding="utf-8") as handle:
            for line in list(handle)[1:]:
                identity, *_, ekman, _ = line.rstrip("\n").split("\t")
                theirs[identity] = "several" if "|" in ekman else ekman
    ours = {item.clip_id: item.labels["goemotions"] for item in released[1] if isinstance(item, Segment)}
    assert ours == theirs
