"""MSP-IMPROV on made releases: both spellings of its label file, media anywhere, turns and ratings."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import facts
from mercli.errors import DataError
from mercli.types import Clip, Segment

ONE, TWO = "S01A-F01-S-FM01", "S20N-M06-P-MF012"
RATER = "WQ23; Angry; Angry,Frustrated; A:2.000000; V:4.000000; D:3.000000 ; N:4.000000;\n"


def line(turn, code="N", ratings="A:3.200000; V:1.800000; D:2.600000 ; N:4.000000;"):
    return f"UTD-IMPROV-{turn}.avi; {code}; {ratings}\n{RATER}\n"


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 2000)


def table(root, *lines, name="Evalution.txt"):
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("".join(lines))
    return root


def read(root):
    items = list(registry.build("corpora", "msp_improv").read(root, "x"))
    kinds = {Clip: [], Segment: [], Excluded: []}
    for item in items:
        kinds[type(item)].append(item)
    return kinds[Clip], kinds[Segment], kinds[Excluded]


@pytest.mark.parametrize("place", ["Evalution.txt", "Evaluation.txt", "Labels/evaluation.TXT"])
def test_the_label_file_is_found_in_either_spelling(tmp_path, place):
    table((tmp_path / place).parent, line(ONE), name=(tmp_path / place).name)
    _, segments, _ = read(tmp_path)
    assert [s.id for s in segments] == [f"x/MSP-IMPROV-{ONE}/0"]


@pytest.mark.parametrize("folder", ["session1/S01A/S", "Audio/session1/S01A/S", "MSP-IMPROV/Audio/session1/S01A/S"])
def test_media_are_found_by_stem_wherever_they_lie(tmp_path, folder):
    put(table(tmp_path, line(ONE)), f"{folder}/MSP-IMPROV-{ONE}.WAV", f"{folder}/._MSP-IMPROV-{ONE}.wav")
    put(tmp_path, f"{folder.replace('Audio', 'Video')}/UTD-IMPROV-{ONE}.AVI")
    (clip,), (segment,), excluded = read(tmp_path)
    assert clip.audio == f"{folder}/MSP-IMPROV-{ONE}.WAV"
    assert clip.video == f"{folder.replace('Audio', 'Video')}/UTD-IMPROV-{ONE}.AVI"
    assert (segment.masked, excluded) == ({}, [])


def test_a_turns_name_tells_speaker_session_scenario_and_condition(tmp_path):
    clips, segments, _ = read(table(tmp_path, line(ONE), line(TWO)))
    assert [(s.speaker, s.sex, s.dialogue, s.turn, s.split) for s in segments] == [
        ("MSP-F01", "f", "MSP-IMPROV-S01A-F01-S", 1, "train"),
        ("MSP-M06", "m", "MSP-IMPROV-S20N-M06-P", 12, "test"),
    ]
    assert clips[0].meta == {
        "session": "1", "condition": "target-improvised", "sentence": "01", "target": "angry", "turn": "FM01",
    }  # fmt: skip
    assert not any(s.text for s in segments)


def test_the_label_is_the_raters_and_not_the_target(tmp_path):
    codes = "AHSNOX"
    turns = [line(f"S01A-F01-T-FM{n:02d}", code) for n, code in enumerate(codes)]
    _, segments, _ = read(table(tmp_path, *turns))
    assert [s.labels["msp_improv"] for s in segments] == ["angry", "happy", "sad", "neutral", "other", "undecided"]


@pytest.mark.parametrize(("ratings", "vad"), [
    ("A:3.200000; V:1.800000; D:2.600000 ; N:4.0;", {"arousal": 3.2, "valence": 1.8, "dominance": 2.6}),
    ("A:3.200000; V:1.800000; D:NaN ; N:NaN;", {"arousal": 3.2, "valence": 1.8}),
    ("A:NaN; V:NaN; D:NaN ; N:4.000000;", None),
])  # fmt: skip
def test_ratings_stand_in_the_order_a_v_d_and_what_is_nan_was_not_rated(tmp_path, ratings, vad):
    _, (segment,), _ = read(table(tmp_path, line(ONE, ratings=ratings)))
    assert segment.labels.get("vad") == vad


def test_p_and_t_are_told_apart_by_their_counts(tmp_path):
    for larger, smaller in ("PT", "TP"):
        turns = [f"S01A-F01-{larger}-FM0{n}" for n in range(3)] + [f"S01A-F01-{smaller}-FM01", "S01A-F01-R-FF01"]
        clips, _, _ = read(table(tmp_path, *map(line, turns)))
        found = Counter(clip.meta["condition"] for clip in clips)
        assert found == {"other-improvised": 3, "natural": 1, "target-read": 1}
        assert clips[0].meta["condition"] == "other-improvised"


def test_equal_counts_of_p_and_t_leave_the_letters(tmp_path):
    clips, _, _ = read(table(tmp_path, line("S01A-F01-P-FM01"), line("S01A-F01-T-FM01")))
    assert [clip.meta["condition"] for clip in clips] == ["P", "T"]


def test_rows_without_media_stay_with_the_reason(tmp_path):
    put(table(tmp_path, line(ONE), line(TWO)), f"a/MSP-IMPROV-{TWO}.avi", f"a/MSP-IMPROV-{TWO}.wav")
    (tmp_path / "a" / f"MSP-IMPROV-{TWO}.wav").write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    clips, segments, _ = read(tmp_path)
    assert segments[0].masked == {"audio": "media not found", "face": "media not found"}
    assert (clips[1].audio, segments[1].masked) == (None, {})


def test_a_wav_alone_leaves_the_face_masked(tmp_path):
    put(table(tmp_path, line(ONE)), f"a/MSP-IMPROV-{ONE}.wav")
    assert read(tmp_path)[1][0].masked == {"face": "media not found"}


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path):
    lines = (line(ONE), line(ONE, "A"), line(TWO, "Q"), line("S01A-F09-S-FM01"), "UTD-IMPROV-S01A no label\n")
    put(table(tmp_path, *lines), f"a/MSP-IMPROV-{TWO}.avi", "a/MSP-IMPROV-S02H-F02-T-MF03.wav")
    _, segments, excluded = read(tmp_path)
    assert [s.labels["msp_improv"] for s in segments] == ["neutral"]
    assert [(e.id.removeprefix("MSP-IMPROV-"), e.reason.split(": ")[-1].split(",")[0]) for e in excluded] == [
        (ONE, "labelled a second time"),
        (TWO, "unknown label 'Q'"),
        ("S01A-F09-S-FM01", "unknown form of name"),
        ("line 13", "'UTD-IMPROV-S01A no label'"),
        ("S02H-F02-T-MF03", "media without a label"),
    ]


def test_another_root_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"expected Evalution\.txt or Evaluation\.txt") as fault:
        read(tmp_path)
    assert "mer prepare --corpus msp_improv" in fault.value.hint
    with pytest.raises(DataError, match="no summary line"):
        read(table(tmp_path, RATER))
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "none")


def test_a_link_that_leads_back_up_is_walked_once(tmp_path):
    put(table(tmp_path, line(ONE)), f"a/MSP-IMPROV-{ONE}.avi")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert len(read(tmp_path)[1]) == 1


def test_default_splits_are_by_session_and_share_no_speaker(tmp_path):
    turns = [line(f"S01A-{letter}0{k}-S-{letter}F01") for k in range(1, 7) for letter in "FM"]
    _, segments, _ = read(table(tmp_path, *turns))
    assert Counter(s.split for s in segments) == {"train": 8, "dev": 2, "test": 2}
    assert {s.speaker for s in segments if s.split == "dev"} == {"MSP-F05", "MSP-M05"}
    assert {s.speaker for s in segments if s.split == "test"} == {"MSP-F06", "MSP-M06"}


def test_expected_counts_sum_to_the_published_totals():
    counts = facts.load("msp_improv").expected["release"].counts
    assert {part: sum(labels.values()) for part, labels in counts.items()} == {
        "target-improvised": 652, "target-read": 620, "other-improvised": 4381, "natural": 2785,
    }  # fmt: skip
    assert sum((Counter(labels) for labels in counts.values()), Counter()) == {
        "angry": 792, "happy": 2644, "sad": 885, "neutral": 3477, "other": 85, "undecided": 555,
    }  # fmt: skip


def test_the_card_drops_other_and_undecided_and_tells_the_splits(tmp_path):
    reader = registry.build("corpora", "msp_improv")
    list(reader.read(table(tmp_path, line(ONE)), "x"))
    card = reader.card()
    table_of = card["label_map"].table
    assert [key for key, value in table_of.items() if value is None] == ["other", "undecided"]
    assert "sessions 1-4 train, 5 dev, 6 test" in card["splits"]
    assert card["layout"] == "Evalution.txt; 0 videos, 0 wavs"


def test_folds_leave_out_each_session_once():
    folds = facts.load("msp_improv").folds["session"].folds
    assert [set(fold["test"]) for fold in folds] == [{f"MSP-F0{k}", f"MSP-M0{k}"} for k in range(1, 7)]
    assert not any(set(fold["test"]) & set(fold["dev"]) for fold in folds)


turns = st.tuples(
    st.integers(1, 20), st.sampled_from("AHNS"), st.sampled_from("FM"), st.integers(1, 6), st.sampled_from("PRST"),
    st.sampled_from(["FM", "MF", "FF", "MM"]), st.integers(0, 999),
)  # fmt: skip


@given(turns)
def test_names_come_back_as_they_were(tmp_path_factory, parts):
    sentence, target, sex, session, condition, who, number = parts
    turn = f"S{sentence:02d}{target}-{sex}0{session}-{condition}-{who}{number:02d}"
    root = table(tmp_path_factory.getbasetemp() / "names", line(turn))
    (clip,), (segment,), excluded = read(root)
    assert (clip.id, excluded) == (f"MSP-IMPROV-{turn}", [])
    assert (segment.speaker, segment.turn) == (f"MSP-{who[0]}0{session}", number)
