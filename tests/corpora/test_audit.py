"""Leaks that a protocol forbids and overlaps that a corpus is known for are told apart, and both are found."""

from __future__ import annotations

import gzip
import json
import random

from hypothesis import given
from hypothesis import strategies as st

from mercli import config
from mercli.contracts import Folds
from mercli.corpora import audit
from mercli.jobs import audit as job
from mercli.jobs.prepare import prepare
from mercli.types import Segment


def segment(number, split, text=None, **more):
    return Segment(f"x/c{number}/0", f"c{number}", 0.0, text=text, split=split, **more)


def found(segments, separates=(), media=None):
    return list(audit.within(audit.parts("x", segments, media or {}), separates))


def test_a_speaker_on_both_sides_is_a_leak_only_where_speakers_are_promised_to_be_apart():
    rows = [segment(1, "train", speaker="a"), segment(2, "test", speaker="a"), segment(3, "test", speaker="b")]
    (leak,) = found(rows, ["speaker"])
    assert (leak.kind, leak.what, leak.left, leak.right) == ("leak", "speaker", "x/train", "x/test")
    assert (leak.count, leak.of, leak.examples) == (1, 1, ("a",))
    assert [f.kind for f in found(rows, ["dialogue"])] == ["known"]


def test_a_clip_on_two_sides_is_a_leak_where_nothing_is_promised():
    rows = [Segment("x/c/0", "c", 0.0, split="train"), Segment("x/c/1", "c", 1.0, split="test")]
    assert [(f.kind, f.what) for f in found(rows)] == [("leak", "clip")]


def test_texts_are_compared_without_case_and_punctuation_from_five_words_on():
    rows = [
        segment(1, "train", "Well, that's how it is!"),
        segment(2, "test", "well thats how it is"),
        segment(3, "train", "I don't know"),
        segment(4, "test", "I don't know"),
    ]
    (same,) = found(rows, ["speaker"])
    assert (same.kind, same.what, same.count, same.of) == ("known", "text", 1, 1)


def test_a_masked_text_is_not_compared():
    fixed = {"masked": {"text": "fixed sentence"}}
    rows = [segment(i, part, "kids are talking by the door", **fixed) for i, part in enumerate(("train", "test"))]
    assert found(rows, ["speaker"]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["train", "dev", "test"])), min_size=1))
def test_splits_share_speakers_exactly_when_some_speaker_is_in_two_of_them(drawn):
    rows = [segment(i, part, speaker=f"s{who}") for i, (who, part) in enumerate(drawn)]
    parts = {}
    for who, part in drawn:
        parts.setdefault(who, set()).add(part)
    assert bool(found(rows, ["speaker"])) == any(len(at) > 1 for at in parts.values())


def test_scripts_acted_again_are_found_across_folds():
    folds = Folds("speaker", ({"test": ("a",)}, {"test": ("b",)}))
    line = "you know that I love you"
    rows = [segment(1, None, line, speaker="a"), segment(2, None, line, speaker="b"), segment(3, None, speaker="b")]
    same = list(audit.across(audit.by_fold("x session", folds, rows)))
    assert [(f.right, f.count, f.of) for f in same] == [("x session:1", 1, 1), ("x session:2", 1, 1)]


def test_meld_as_released_shares_nine_long_test_utterances_and_its_cast(mer, shared_data, tmp_path):
    words = ("--root", shared_data / "meld" / "official", "--data", tmp_path)
    assert mer("prepare", "--corpus", "meld", *words, "-q").code == 0
    answer = mer("audit", "--data", tmp_path, "--json")
    assert answer.code == 0
    rows = json.loads(answer.out)["findings"]
    counts = {(row["what"], row["left"], row["right"]): row["count"] for row in rows}
    assert counts["text", "meld/train", "meld/test"] == 9
    assert all(row["kind"] == "known" for row in rows)
    assert {row["what"] for row in rows} == {"speaker", "text"}


def write_csv(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "list.csv").write_text("path,label,split,speaker\n" + "".join(",".join(row) + "\n" for row in rows))


def prepared(tmp_path, name, rows):
    write_csv(tmp_path / name, rows)
    flags = {"corpus.name": "csv", "root": str(tmp_path / name), "name": name, "data": str(tmp_path / "data")}
    prepare(config.resolve(config.PrepareConfig, {**flags, "probe": False}))


def test_one_clip_under_two_names_is_a_leak_and_the_command_says_so(mer, tmp_path):
    noise = random.Random(0).randbytes(4000)
    for name, content in (("a.wav", noise), ("b.wav", noise), ("c.wav", noise[::-1])):
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / name).write_bytes(content)
    rows = [("a.wav", "joy", "train", "s1"), ("b.wav", "joy", "test", "s2"), ("c.wav", "sad", "test", "s2")]
    prepared(tmp_path, "one", rows)
    answer = mer("audit", "--data", tmp_path / "data")
    assert answer.code == 4
    assert "media (one/train, one/test)" in answer.err
    assert "a.wav" in answer.out
    assert "c.wav" not in answer.out
    assert "--split" not in answer.err  # no split sets two files of one content apart: the pairs are what helps
    assert f"try: mer audit --corpora one --data {tmp_path / 'data'} --json" in answer.err
    assert mer("audit", "--data", tmp_path / "data", "--no-hash").code == 0


def test_equal_media_in_two_corpora_are_a_leak_whose_pairs_are_all_told(mer, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.wav").write_bytes(f"the same sound {number}".encode() * 100)
        prepared(tmp_path, name, [(f"{number}.wav", "joy", "train", "s1") for number in range(5)])
    (leak,) = job.audit(tmp_path / "data", ()).leaks
    assert (leak.what, leak.left, leak.right) == ("media", "one", "two")
    assert leak.examples == tuple(f"one/{number}.wav = two/{number}.wav" for number in range(5))
    told = mer("audit", "--data", tmp_path / "data").err
    assert "try: mer train --corpora one" in told
    assert "without two" in told


def test_a_file_that_two_corpora_name_is_a_leak_though_nothing_is_read(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for number in range(3):
        (tmp_path / "one" / f"{number}.wav").write_bytes(f"a sound{'!' * number}".encode() * 100)
    (tmp_path / "two" / "linked.wav").symlink_to(tmp_path / "one" / "1.wav")
    prepared(tmp_path, "one", [(f"{number}.wav", "joy", "train", "s1") for number in range(3)])
    prepared(tmp_path, "two", [("linked.wav", "joy", "train", "s2")])
    for hashing in (False, True):
        (leak,) = job.audit(tmp_path / "data", (), hashing=hashing).leaks
        assert (leak.what, leak.count, leak.examples) == ("media", 1, ("one/1.wav = two/linked.wav",))
    found = job.audit(tmp_path / "data", (), hashing=False)
    assert found.unread == ("one", "two")
    assert found.untold == {"one": ("dialogue", "text"), "two": ("dialogue", "text")}


def test_media_that_have_gone_are_told_since_they_cannot_be_compared(mer, tmp_path):
    (tmp_path / "one").mkdir()
    for name in ("a.wav", "b.wav"):
        (tmp_path / "one" / name).write_bytes(b"the same sound" * 100)
    prepared(tmp_path, "one", [("a.wav", "joy", "train", "s1"), ("b.wav", "joy", "test", "s2")])
    (tmp_path / "one").rename(tmp_path / "moved")
    answer = mer("audit", "--data", tmp_path / "data")
    assert answer.code == 0
    assert "one: 2 media are no longer where they were prepared, so they are not compared" in answer.err


def test_nothing_prepared_is_told_with_a_command(mer, tmp_path):
    answer = mer("audit", "--data", tmp_path)
    assert answer.code == 4
    assert "mer prepare" in answer.err


def test_a_random_split_of_cremad_has_all_its_actors_on_both_sides(mer, shared_data, tmp_path):
    table = gzip.decompress((shared_data / "labels_only" / "cremad_summaryTable.csv.gz").read_bytes())
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "processedResults" / "summaryTable.csv").write_bytes(table)
    words = ("prepare", "--corpus", "cremad", "--root", tmp_path, "--data", tmp_path / "data", "-q")
    assert mer(*words).code == 0
    assert mer("audit", "--data", tmp_path / "data").code == 0
    assert mer(*words, "--split", "clip:0.75/0/0.25").code == 0
    answer = mer("audit", "--data", tmp_path / "data", "--json")
    assert answer.code == 4
    (leak,) = [row for row in json.loads(answer.out)["findings"] if row["kind"] == "leak"]
    assert (leak["what"], leak["count"], leak["of"]) == ("speaker", 91, 91)
    assert "--split speaker:0.8/0.1/0.1" in answer.err
    assert "twelve fixed sentences" in json.dumps(json.loads(answer.out)["notes"])


def test_a_speaker_split_that_somebody_broke_by_hand_is_found(tmp_path):
    write_csv(tmp_path / "one", [(f"{i}.wav", "joy", "", f"s{i % 5}") for i in range(20)])
    for i in range(20):
        (tmp_path / "one" / f"{i}.wav").write_bytes(bytes([i]) * 2000)
    flags = {"corpus.name": "csv", "root": str(tmp_path / "one"), "name": "one", "data": str(tmp_path / "data")}
    prepare(config.resolve(config.PrepareConfig, {**flags, "probe": False, "split": "speaker:0.6/0.2/0.2"}))
    assert job.audit(tmp_path / "data", ()).leaks == []
    path = tmp_path / "data/one/segments.jsonl"
    path.write_text(path.read_text().replace('"split": "dev"', '"split": "test"', 1))
    assert {leak.what for leak in job.audit(tmp_path / "data", ()).leaks} == {"speaker"}


def test_emorynlps_sentences_in_meld_are_counted(mer, shared_data, tmp_path):
    for corpus in ("meld", "emorynlp"):
        words = ("--root", shared_data / corpus / "official", "--data", tmp_path, "-q")
        assert mer("prepare", "--corpus", corpus, *words).code == 0
    answer = mer("audit", "--corpora", "meld", "emorynlp", "--data", tmp_path, "--json")
    assert answer.code == 0
    (shared,) = [
        row for row in json.loads(answer.out)["findings"] if (row["left"], row["right"]) == ("meld", "emorynlp")
    ]
    assert (shared["kind"], shared["what"]) == ("known", "text")
    assert shared["count"] == 1172 + 203


def test_scripts_of_iemocap_acted_again_in_another_session_are_found(mer, tmp_path):
    line = "you know that I have always loved you"
    for session in (1, 2):
        dialog = f"Ses0{session}F_script01_1"
        folder = tmp_path / "raw" / f"Session{session}" / "dialog"
        name = f"{dialog}_F000"
        for kind, text in (
            ("EmoEvaluation", f"[1.0000 - 3.0000]\t{name}\thap\t[3.0000, 3.0000, 3.0000]\n"),
            ("transcriptions", f"{name} [001.0000-003.0000]: {line.title()}!\n"),
        ):
            (folder / kind).mkdir(parents=True)
            (folder / kind / f"{dialog}.txt").write_text(text)
    words = ("--root", tmp_path / "raw", "--data", tmp_path / "data", "-q")
    assert mer("prepare", "--corpus", "iemocap", *words).code == 0
    answer = mer("audit", "--data", tmp_path / "data", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    rows = [row for row in found["findings"] if row["right"].startswith("iemocap session")]
    assert [(row["right"], row["kind"], row["count"], row["of"]) for row in rows] == [
        ("iemocap session:1", "known", 1, 1),
        ("iemocap session:2", "known", 1, 1),
    ]
    assert any("acted" in note for note in found["notes"]["iemocap"])
