"""IEMOCAP on made releases: both forms of clips, both variants of labels, and what a copy may lack."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import emoevaluation, facts
from mercli.corpora.expected import Tally
from mercli.corpora.iemocap import undecided_as_happy
from mercli.errors import ConfigError, DataError
from mercli.types import Clip, Segment

HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
SIX = ("hap", "sad", "neu", "ang", "exc", "fru")
DIALOG = "Ses01F_impro03"
FIRST, SECOND, THIRD = f"{DIALOG}_M001", f"{DIALOG}_F007", f"{DIALOG}_F000"
AGREED = f"{DIALOG}_F011"


def block(name, start, end, label="neu", ratings="2.5000, 3.0000, 2.0000"):
    """One utterance as EmoEvaluation has it; the last rater gave no dominance, as 36 of the release's lines."""
    return (
        f"[{start:.4f} - {end:.4f}]\t{name}\t{label}\t[{ratings}]\n"
        "C-E2:\tNeutral; Sadness;\t()\nC-F1:\tFrustration;\t(a little)\n"
        "A-E3:\tval 3; act 2; dom  2;\t()\nA-F1:\tval 3; act 2; dom  ;\t()\n\n"
    )


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * 2000)


def release(root, media=True):
    """One dialog of session 1 whose utterances do not stand in the order of their starts."""
    session = root / "Session1"
    labels = session / "dialog" / "EmoEvaluation"
    blocks = block(SECOND, 9.5, 12.0, "xxx") + block(THIRD, 0.5, 2.25, "exc") + block(FIRST, 4.0, 6.5, "fru")
    write(labels / f"{DIALOG}.txt", HEADER + blocks)
    write(labels / f"._{DIALOG}.txt", HEADER + block(f"{DIALOG}_F099", 0, 1))
    write(labels / "Categorical" / f"{DIALOG}_e2_cat.txt", HEADER + block(f"{DIALOG}_F098", 0, 1))
    said = (
        f"{THIRD} [000.5000-002.2500]: Hi there. [LAUGHTER]\n"
        "M: Hm?\n"
        f"{DIALOG}_MXX0 [003.0000-003.5000]: Oh.\n"
        f"{FIRST} [004.0000-006.5000]: I can't.\n"
    )
    write(session / "dialog" / "transcriptions" / f"{DIALOG}.txt", said)
    put(root, f"__MACOSX/Session1/dialog/EmoEvaluation/._{DIALOG}.txt")
    if media:
        put(session, f"dialog/avi/DivX/{DIALOG}.AVI", f"dialog/wav/{DIALOG}.wav", f"dialog/avi/DivX/._{DIALOG}.avi")
        put(session, *(f"sentences/wav/{DIALOG}/{name}.WAV" for name in (FIRST, SECOND, THIRD)))
    return root


def read(root, **options):
    items = list(registry.build("corpora", "iemocap", options=options).read(root, "x"))
    kinds = {Clip: [], Segment: [], Excluded: []}
    for item in items:
        kinds[type(item)].append(item)
    return kinds[Clip], kinds[Segment], kinds[Excluded]


def test_an_utterance_is_a_clip_of_its_own_wav_and_of_the_dialogs_video_from_its_offset(tmp_path):
    clips, segments, _ = read(release(tmp_path))
    assert [c.id for c in clips] == [THIRD, FIRST, SECOND]
    assert clips[1].audio == f"Session1/sentences/wav/{DIALOG}/{FIRST}.WAV"
    assert {c.video for c in clips} == {f"Session1/dialog/avi/DivX/{DIALOG}.AVI"}
    assert clips[1].meta == {"session": "1", "kind": "improvised", "seconds": 2.5, "offset": {"video": 4.0}}
    assert [(s.id, s.start, s.end, s.turn) for s in segments] == [
        (f"x/{THIRD}/0", 0.0, 1.75, 0),
        (f"x/{FIRST}/0", 0.0, 2.5, 1),
        (f"x/{SECOND}/0", 0.0, 2.5, 2),
    ]
    assert {s.dialogue for s in segments} == {DIALOG}
    assert not any(s.masked for s in segments)


def test_the_speaker_is_told_by_the_last_letter_and_the_half_by_who_wears_the_markers(tmp_path):
    _, segments, _ = read(release(tmp_path))
    assert [(s.speaker, s.sex, s.region) for s in segments] == [
        ("S1F", "f", "left"), ("S1M", "m", "right"), ("S1F", "f", "left"),
    ]  # fmt: skip


@pytest.mark.parametrize(("marker", "letter"), product("FM", "FM"))
def test_the_markers_actor_sits_on_the_left(marker, letter):
    name = emoevaluation.named(f"Ses05{marker}_script01_2b_{letter}012")
    assert (name.region, name.speaker) == ("left" if marker == letter else "right", f"S5{letter}")


def test_words_come_from_the_transcription_and_may_be_absent(tmp_path):
    _, segments, excluded = read(release(tmp_path))
    assert [s.text for s in segments] == ["Hi there. [LAUGHTER]", "I can't.", None]
    assert [s.text_source for s in segments] == ["corpus", "corpus", None]
    assert [(e.id, e.reason) for e in excluded] == [(f"{DIALOG}_MXX0", "both speak at once: not labelled")]


def test_labels_are_the_summaries_and_the_ratings_in_the_order_v_a_d(tmp_path):
    _, segments, _ = read(release(tmp_path))
    assert [s.labels["iemocap"] for s in segments] == ["exc", "fru", "xxx"]
    assert segments[0].labels["vad"] == {"valence": 2.5, "arousal": 3.0, "dominance": 2.0}


def test_a_dialog_is_one_clip_where_asked_for_or_where_no_sentence_is_cut(tmp_path):
    uncut = release(tmp_path / "uncut")
    for path in (uncut / "Session1" / "sentences" / "wav" / DIALOG).iterdir():
        path.unlink()
    for clips, segments, _ in (read(release(tmp_path / "whole"), audio="dialog"), read(uncut)):
        (clip,) = clips
        assert (clip.id, clip.audio) == (DIALOG, f"Session1/dialog/wav/{DIALOG}.wav")
        assert clip.meta == {"session": "1", "kind": "improvised"}
        assert [(s.id, s.start, s.end) for s in segments] == [
            (f"x/{DIALOG}/0", 0.5, 2.25), (f"x/{DIALOG}/1", 4.0, 6.5), (f"x/{DIALOG}/2", 9.5, 12.0),
        ]  # fmt: skip
        assert [s.region for s in segments] == ["left", "right", "left"]


def test_both_forms_give_the_same_utterances(tmp_path):
    _, cut, _ = read(release(tmp_path))
    _, whole, _ = read(tmp_path, audio="dialog")
    assert [(s.speaker, s.turn, s.text, s.labels, s.split) for s in cut] == [
        (s.speaker, s.turn, s.text, s.labels, s.split) for s in whole
    ]


def test_in_a_dialogs_clip_the_videos_own_sound_serves_where_no_wav_is(tmp_path):
    release(tmp_path)
    (tmp_path / "Session1" / "dialog" / "wav" / f"{DIALOG}.wav").unlink()
    clips, segments, _ = read(tmp_path, audio="dialog")
    assert clips[0].audio is None
    assert segments[0].masked == {}


@pytest.mark.parametrize("audio", ["sentences", "dialog"])
def test_without_media_the_words_stay(tmp_path, audio):
    clips, segments, _ = read(release(tmp_path, media=False), audio=audio)
    assert len(segments) == 3
    assert not any(c.video or c.audio or "offset" in c.meta for c in clips)
    assert {json.dumps(s.masked) for s in segments} == {'{"audio": "media not found", "face": "media not found"}'}
    assert {s.region for s in segments} == {None}


def test_a_missing_wav_and_a_pointer_are_told_of_their_own_modality(tmp_path):
    release(tmp_path)
    (tmp_path / "Session1" / "sentences" / "wav" / DIALOG / f"{FIRST}.WAV").unlink()
    avi = tmp_path / "Session1" / "dialog" / "avi" / "DivX" / f"{DIALOG}.AVI"
    avi.write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    clips, segments, _ = read(tmp_path)
    assert [s.masked.get("audio") for s in segments] == [None, "media not found", None]
    assert {s.masked["face"] for s in segments} == {"media is a git-lfs pointer"}
    assert {c.video for c in clips} == {None}


def test_wavs_alone_have_no_half_and_no_offset(tmp_path):
    release(tmp_path)
    (tmp_path / "Session1" / "dialog" / "avi" / "DivX" / f"{DIALOG}.AVI").unlink()
    clips, segments, _ = read(tmp_path)
    assert all(c.audio and not c.video and "offset" not in c.meta for c in clips)
    assert {(s.region, json.dumps(s.masked)) for s in segments} == {(None, '{"face": "media not found"}')}


def test_media_without_a_label_are_left_out_and_told(tmp_path):
    put(release(tmp_path) / "Session1", f"sentences/wav/{DIALOG}/{DIALOG}_F050.wav", "dialog/wav/Ses01M_impro01.wav")
    assert [e.id for e in read(tmp_path)[2] if e.reason == "media without a label"] == [f"{DIALOG}_F050"]
    assert [e.id for e in read(tmp_path, audio="dialog")[2] if "media" in e.reason] == ["Ses01M_impro01"]


@pytest.mark.parametrize("inside", ["", "IEMOCAP_full_release", "downloads/a/iemocap"])
def test_the_root_may_lie_some_folders_above_the_sessions(tmp_path, inside):
    release(tmp_path / inside)
    clips, _, _ = read(tmp_path)
    assert [c.id for c in clips] == [THIRD, FIRST, SECOND]
    assert all((tmp_path / c.video).is_file() and (tmp_path / c.audio).is_file() for c in clips)


def test_the_root_may_be_a_session(tmp_path):
    clips, _, _ = read(release(tmp_path) / "Session1")
    assert clips[0].video == f"dialog/avi/DivX/{DIALOG}.AVI"


def test_another_root_is_refused_with_what_was_expected(tmp_path):
    (tmp_path / "dialog").mkdir()
    with pytest.raises(DataError, match=r"expected Session1/dialog/EmoEvaluation") as fault:
        read(tmp_path)
    assert "mer prepare --corpus iemocap" in fault.value.hint
    with pytest.raises(DataError, match="not a folder"):
        read(tmp_path / "none")


def test_lines_that_cannot_be_used_are_left_out_each_with_its_reason(tmp_path):
    lines = (
        block(FIRST, 1, 2)
        + block(FIRST, 3, 4)
        + block(SECOND, 5, 6, "bor")
        + block(THIRD, 8, 7)
        + block(f"{DIALOG}_X1", 9, 10)
        + f"[no times]\t{DIALOG}_F003\tneu\t[1, 1, 1]\n"
    )
    write(tmp_path / "Session1" / "dialog" / "EmoEvaluation" / f"{DIALOG}.txt", HEADER + lines)
    _, segments, excluded = read(tmp_path)
    assert [s.labels["iemocap"] for s in segments] == ["neu"]
    told = {e.id: e.reason for e in excluded}
    assert "a second time" in told[FIRST]
    assert "unknown label 'bor', expected one of neu, hap" in told[SECOND]
    assert "its end 7.0 does not lie after its start 8.0" in told[THIRD]
    assert "unknown form of name" in told[f"{DIALOG}_X1"]
    assert [reason.split(",")[0] for identity, reason in told.items() if " line " in identity] == ["unreadable"]
    assert len(told) == 5


@pytest.mark.parametrize(("ratings", "left", "notes"), [
    ("2.5000, 3.0000", {"valence": 2.5, "arousal": 3.0}, 0),
    ("2.5000, 3.0000, NaN", {"valence": 2.5, "arousal": 3.0}, 0),
    ("5.5000, 3.0000, 0.5000", {"valence": 5.0, "arousal": 3.0, "dominance": 1.0}, 2),
    ("", None, 0),
])  # fmt: skip
def test_ratings_that_lack_or_leave_the_scale_are_left_out_or_clipped_and_told(tmp_path, ratings, left, notes):
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / f"{DIALOG}.txt"
    write(path, HEADER + block(FIRST, 1, 2, ratings=ratings))
    for audio in ("sentences", "dialog"):
        (clip,), (segment,), _ = read(tmp_path, audio=audio)
        assert segment.labels.get("vad") == left
        assert len(clip.meta.get("errata", [])) == notes


def test_a_start_before_the_recording_is_set_to_its_begin_and_noted(tmp_path):
    put(tmp_path / "Session1", f"dialog/avi/{DIALOG}.avi", f"sentences/wav/{FIRST}.wav")
    path = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / f"{DIALOG}.txt"
    write(path, (HEADER + block(FIRST, -0.25, 2)).replace("\n", "\r\n"))
    (clip,), (segment,), _ = read(tmp_path)
    assert (clip.meta["offset"], segment.end) == ({"video": 0.0}, 2.0)
    assert clip.meta["errata"] == ["times: the start -0.25 was set to 0"]


def test_scripted_dialogs_keep_the_whole_name_of_their_part(tmp_path):
    name = "Ses03M_script03_2_F012"
    write(tmp_path / "Session3" / "dialog" / "EmoEvaluation" / "Ses03M_script03_2.txt", HEADER + block(name, 1, 2))
    put(tmp_path / "Session3", f"sentences/wav/Ses03M_script03_2/{name}.wav")
    (clip,), (segment,), _ = read(tmp_path)
    assert (segment.dialogue, clip.meta["kind"], clip.meta["session"]) == ("Ses03M_script03_2", "scripted", "3")


def test_default_splits_are_by_session_and_share_no_speaker(tmp_path):
    for session, marker in product("12345", "FM"):
        dialog = f"Ses0{session}{marker}_impro01"
        said = block(f"{dialog}_F000", 1, 2) + block(f"{dialog}_M000", 2, 3)
        write(tmp_path / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{dialog}.txt", HEADER + said)
    _, segments, _ = read(tmp_path)
    assert len({s.speaker for s in segments}) == 10
    assert Counter((s.split, s.speaker[:2]) for s in segments) == {
        ("train", "S1"): 4, ("train", "S2"): 4, ("train", "S3"): 4, ("dev", "S4"): 4, ("test", "S5"): 4,
    }  # fmt: skip


def test_erc_takes_the_53_as_happy_and_nothing_else(tmp_path):
    lines = block(SECOND, 1, 2, "xxx") + block(FIRST, 3, 4, "xxx") + block(AGREED, 5, 6, "sad")
    write(tmp_path / "Session1" / "dialog" / "EmoEvaluation" / f"{DIALOG}.txt", HEADER + lines)
    assert {SECOND, AGREED} <= undecided_as_happy()
    assert FIRST not in undecided_as_happy()
    assert [s.labels["iemocap"] for s in read(tmp_path, labels="erc")[1]] == ["hap", "xxx", "sad"]
    assert [s.labels["iemocap"] for s in read(tmp_path)[1]] == ["xxx", "xxx", "sad"]


def test_the_53_are_names_of_the_release_in_the_sessions_that_the_counts_say():
    names = [emoevaluation.named(identity) for identity in undecided_as_happy()]
    assert len(names) == 53
    assert Counter(name.session for name in names) == {"1": 8, "2": 8, "3": 36, "5": 1}
    assert {str(name) for name in names} == undecided_as_happy()


def test_expected_counts_sum_to_the_published_totals():
    expected = {key: facts.load("iemocap").expected[key] for key in ("emoeval", "erc")}
    sums = {key: sum((Counter(part) for part in e.counts.values()), Counter()) for key, e in expected.items()}
    assert [sums[key].total() for key in sums] == [10_039, 10_039]
    assert sum(sums["emoeval"][label] for label in SIX) == 7380
    assert sum(sums["erc"][label] for label in SIX) == 7433
    assert sum(sums["emoeval"][label] for label in ("neu", "hap", "exc", "ang", "sad")) == 5531
    six = {session: sum(part[label] for label in SIX) for session, part in expected["erc"].counts.items()}
    assert six == {"1": 1373, "2": 1356, "3": 1569, "4": 1512, "5": 1623}
    assert {e.by for e in expected.values()} == {"session"}


def full_size(root):
    """A release of the known size: the 53 are undecided, the other names are made up."""
    counts = facts.load("iemocap").expected["emoeval"].counts
    for session, labels in counts.items():
        names = sorted(i for i in undecided_as_happy() if i[4] == session)
        left = Counter(labels) - Counter({"xxx": len(names)})
        made = (
            f"Ses0{session}{marker}_script{scene:02d}_{letter}{number:03d}"
            for marker, scene, letter, number in product("FM", range(1, 4), "FM", range(200))
        )
        said = [*((name, "xxx") for name in names), *zip(made, left.elements(), strict=False)]
        dialogs = {}
        for second, (name, label) in enumerate(said):
            dialogs.setdefault(name[:-5], []).append(block(name, second, second + 1, label))
        for dialog, blocks in dialogs.items():
            path = root / f"Session{session}" / "dialog" / "EmoEvaluation" / f"{dialog}.txt"
            write(path, HEADER + "".join(blocks))


def test_a_release_of_full_size_has_the_expected_counts_in_both_variants(tmp_path):
    full_size(tmp_path)
    for variant in ("emoeval", "erc"):
        reader = registry.build("corpora", "iemocap", options={"labels": variant})
        tally = Tally("iemocap", reader.facts.expected[variant])
        assert not [item for item in tally.watch(reader.read(tmp_path, "x")) if isinstance(item, Excluded)]
        assert reader.card()["expected"] == variant
        assert [row for row in tally.rows() if row.differs] == []
        assert sum(row.found for row in tally.rows() if row.label == "(all)") == 10_039


def test_the_card_tells_variant_policy_and_splits(tmp_path):
    reader = registry.build("corpora", "iemocap", options={"labels": "erc", "excited": "own", "frustrated": "angry"})
    list(reader.read(release(tmp_path), "x"))
    card = reader.card()
    assert card["expected"] == "erc"
    assert card["policy"] == "canonical-7/1 excited=own frustrated=angry"
    table = card["label_map"].table
    assert (table["exc"], table["fru"], table["hap"], table["xxx"], table["oth"]) == (
        "excited", "angry", "happy", None, None,
    )  # fmt: skip
    assert "sessions: 1; clip per utterance" in card["layout"]
    assert [scheme.name for scheme in card["schemes"]] == ["vad"]


@pytest.mark.parametrize("option", [{"labels": "six"}, {"audio": "both"}, {"excited": "angry"}])
def test_an_unknown_choice_is_refused(option):
    with pytest.raises(ConfigError):
        registry.build("corpora", "iemocap", options=option)


@pytest.mark.parametrize(("name", "folds"), [("session", 5), ("speaker", 10)])
def test_folds_test_every_speaker_once_and_keep_dev_apart(name, folds):
    given_folds = facts.load("iemocap").folds[name]
    assert given_folds.group == "speaker"
    assert len(given_folds.folds) == folds
    tested = [speaker for fold in given_folds.folds for speaker in fold["test"]]
    assert sorted(tested) == sorted(f"S{k}{letter}" for k in "12345" for letter in "FM")
    assert not any(set(fold["test"]) & set(fold["dev"]) for fold in given_folds.folds)


ids = st.tuples(
    st.sampled_from("12345"), st.sampled_from("FM"), st.sampled_from(["impro", "script"]), st.integers(1, 99),
    st.sampled_from(["", "a", "b"]), st.sampled_from(["", "_1", "_2", "_3a", "_1b"]), st.sampled_from("FM"),
    st.one_of(st.integers(0, 999).map("{:03d}".format), st.integers(0, 9).map("XX{}".format)),
)  # fmt: skip


@given(ids)
def test_names_come_back_as_they_were(parts):
    session, marker, scene, number, letter, part, speaker, turn = parts
    dialogue = f"Ses0{session}{marker}_{scene}{number:02d}{letter}{part}"
    name = emoevaluation.named(f"{dialogue}_{speaker}{turn}")
    assert str(name) == f"{dialogue}_{speaker}{turn}"
    assert (name.dialogue, name.speaker, name.overlap) == (dialogue, f"S{session}{speaker}", turn.startswith("XX"))


@given(st.from_regex(emoevaluation.NAME))
def test_a_name_within_other_text_is_none_and_a_bare_one_is_written_the_same(text):
    name = emoevaluation.named(text)
    assert (name is None) == (emoevaluation.NAME.fullmatch(text) is None)
    assert name is None or str(name) == text


@pytest.mark.parametrize("text", [
    "Ses01F_impro01_F000\n", " Ses01F_impro01_F000", "Ses06F_impro01_F000", "Ses01F_impro01_F00", "Ses01F_impro1_F000",
    "Ses01F_impro01_X000", "Ses01F_script01_F0000", "ses01F_impro01_F000", "Ses01F_impro0\u0661_F000",
])  # fmt: skip
def test_other_names_are_none(text):
    assert emoevaluation.named(text) is None
