"""Each format is read back by a reader that others wrote; times, gaps, odd characters, abstentions, missing answers."""

from __future__ import annotations

import html
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree as ET

import pandas
import pyarrow.parquet as pq
import pympi
import pysrt
import webvtt
from hypothesis import given, settings
from hypothesis import strategies as st
from praatio import textgrid as praat

from mercli.labels import CANONICAL
from mercli.results.exports import eaf, parquet, subtitles, textgrid, tiers
from mercli.results.exports.tiers import Recording
from mercli.types import Prediction, Word

NAMES = ("happy", "sad")


def answer(start, end, label="happy", words=(), **more):
    scores = {name: 0.75 if name == (label or "happy") else 0.25 for name in NAMES}
    alone = {"audio": {"happy": 0.2, "sad": 0.8}, "text": {"happy": 0.9, "sad": 0.1}}
    facts = {
        "scores": scores,
        "run": "one",
        "modalities": ("audio", "text"),
        "missing": {"face": "no face"},
        "alone": alone,
    }
    text = " ".join(word.text for word in words) or None
    return Prediction(
        "a", "a.mp4", start, end, "two", label=label, words=tuple(words), **{"text": text, **facts, **more}
    )


OVERLAPPING = [
    answer(0, 4, words=[Word("so", 0.5, 0.9), Word("glad", 2.2, 2.9)]),
    answer(2, 6, None, words=[Word("glad", 2.2, 2.9), Word("you", 4.8, 5.1)]),
    answer(4, 7.03, "sad", words=[Word("you", 4.8, 5.1)]),
]
RECORDING = Recording(Path("a.mp4"), 7.03)


def read_srt(predictions, recording=RECORDING):
    items = pysrt.from_string(subtitles.srt(predictions, recording), error_handling=pysrt.ERROR_RAISE)
    return [(item.start.ordinal, item.end.ordinal, item.text) for item in items]


def read_vtt(predictions, recording=RECORDING):
    captions = webvtt.from_string(subtitles.vtt(predictions, recording))
    return [(clock(c.start), clock(c.end), html.unescape(c.raw_text)) for c in captions]


def clock(text):
    hours, minutes, seconds = text.split(":")
    return round(1000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))


def read_eaf(tmp_path, predictions, recording=RECORDING):
    (tmp_path / "a.eaf").write_text(eaf.eaf(predictions, recording), encoding="utf-8")
    return pympi.Elan.Eaf(str(tmp_path / "a.eaf"))


def read_textgrid(tmp_path, predictions, recording=RECORDING):
    path = tmp_path / "a.TextGrid"
    path.write_text(textgrid.textgrid(predictions, recording), encoding="utf-8")
    return praat.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")


def test_overlapping_windows_own_the_time_nearest_to_their_middle():
    cues = [
        (0, 3000, "happy 75%\nso glad"),
        (3000, 5000, "abstained (best: happy 75%)\nyou"),
        (5000, 7030, "sad 75%"),
    ]
    assert read_srt(OVERLAPPING) == cues
    assert [(start, end) for start, end, _ in read_vtt(OVERLAPPING)] == [(s, e) for s, e, _ in cues]


def test_an_eaf_has_tiers_with_probabilities_below_and_a_vocabulary(tmp_path):
    found = read_eaf(tmp_path, OVERLAPPING)
    assert found.get_annotation_data_for_tier("fused") == [
        (0, 3000, "happy"),
        (3000, 5000, "abstained"),
        (5000, 7030, "sad"),
    ]
    below = [
        (start, end, value, parent)
        for start, end, value, parent in found.get_annotation_data_for_tier("audio probability")
    ]
    assert below == [(s, e, "0.800", "sad") for s, e in ((0, 3000), (3000, 5000), (5000, 7030))]
    assert found.get_annotation_data_for_tier("face") == []
    assert [text for *_, text in found.get_annotation_data_for_tier("transcript")] == ["so", "glad", "you"]
    entries = found.controlled_vocabularies["emotion"][1].values()
    assert [values[0][0] for values, _ in entries] == [*NAMES, "abstained"]
    assert found.get_parameters_for_linguistic_type("emotion")["CONTROLLED_VOCABULARY_REF"] == "emotion"


def test_an_eaf_names_its_medium_by_both_urls(tmp_path):
    medium = tmp_path / "im café & so" / "a 1.mp4"
    found = read_eaf(tmp_path, OVERLAPPING, Recording(medium, 7.03, tmp_path / "labels"))
    (told,) = found.get_linked_files()
    assert told["MIME_TYPE"] == "video/mp4"
    assert unquote(urlparse(told["MEDIA_URL"]).path) == str(medium)
    assert unquote(told["RELATIVE_MEDIA_URL"]) == "../im café & so/a 1.mp4"
    beside = read_eaf(tmp_path, OVERLAPPING, Recording(tmp_path / "a.wav", 7.03, tmp_path)).get_linked_files()[0]
    assert (beside["RELATIVE_MEDIA_URL"], beside["MIME_TYPE"]) == ("./a.wav", "audio/x-wav")


def test_a_textgrid_covers_all_of_the_time_on_every_tier(tmp_path):
    found = read_textgrid(tmp_path, OVERLAPPING)
    every = ("fused", "audio", "face", "text")
    assert found.tierNames == (*(n for name in every for n in (name, f"{name} probability")), "transcript")
    for tier in found.tiers:
        assert (tier.entries[0].start, tier.entries[-1].end) == (0, 7.03)
        assert all(a.end == b.start for a, b in pairwise(tier.entries))
    words = [(e.start, e.end, e.label) for e in found.getTier("transcript").entries if e.label]
    assert words == [(0.5, 0.9, "so"), (2.2, 2.9, "glad"), (4.8, 5.1, "you")]
    assert [e.label for e in found.getTier("face").entries] == [""]


def test_a_window_without_an_answer_leaves_a_gap_and_what_has_no_time_is_left_out(tmp_path):
    failed = answer(2, 4, None, scores={}, alone=None, error="nothing")
    rows = [answer(0, 2), failed, answer(4, 6), Prediction("a", "a.mp4", 0, None, "two", {}, None, "one", error="x")]
    assert [(start, end) for start, end, _ in read_srt(rows)] == [(0, 2000), (4000, 6000)]
    assert read_eaf(tmp_path, rows).get_annotation_data_for_tier("fused") == [(0, 2000, "happy"), (4000, 6000, "happy")]
    assert [e.label for e in read_textgrid(tmp_path, rows).getTier("fused").entries] == ["happy", "", "happy", ""]


def test_a_text_without_times_is_one_mark_over_all_windows(tmp_path):
    rows = [answer(0, 2, text="so glad"), answer(2, 4, text="so glad"), answer(4, 6, text="no")]
    found = read_eaf(tmp_path, rows).get_annotation_data_for_tier("transcript")
    assert found == [(0, 4000, "so glad"), (4000, 6000, "no")]


def test_several_models_have_tiers_and_lines_of_their_own(tmp_path):
    rows = [answer(0, 2), answer(0, 2, "sad", run="two"), answer(0, 2, "sad")]
    found = read_eaf(tmp_path, rows)
    assert found.get_annotation_data_for_tier("two: fused") == [(0, 2000, "sad")]
    assert found.get_annotation_data_for_tier("one (2): fused") == [(0, 2000, "sad")]
    assert read_srt(rows) == [(0, 2000, "one: happy 75%\ntwo: sad 75%\none (2): sad 75%")]


def test_words_that_overlap_or_have_no_length_are_said_in_turn():
    words = [Word("a", 0.0, 0.0), Word("b", 0.1, 0.6), Word("c", 0.4, 0.5), Word("d", 0.5, 1.0), Word("e", 9.0, 9.5)]
    (*_, told) = tiers.tiers([answer(0, 1, words=words)], 1.0)
    assert [(m.start, m.end, m.text) for m in told.marks] == [(0, 1, "a"), (100, 600, "b c"), (600, 1000, "d e")]


ODD = st.text(st.characters(), min_size=1, max_size=12) | st.sampled_from(
    [
        '"',
        '""',
        "<b>",
        "&amp;",
        "]]>",
        "-->",
        "00:00:01,000 --> 00:00:02,000",
        "1",
        "NOTE",
        "\x00",
        "\ud83d",
        "a\n\nb",
        "٣",
        "\u2028",
        "\u200fשלום",
        "👩\u200d👩\u200d👧",
        "\x85\x1b[31m",
        "abstained",
    ]
)
TIME = st.floats(0, 20, allow_nan=False)


@st.composite
def clips(draw):
    size, step = draw(st.floats(0.01, 5)), draw(st.floats(0.01, 5))
    seconds = draw(st.floats(0.01, 12))
    label = draw(ODD.filter(lambda text: tiers.one_line(text)))
    rows = []
    for number in range(draw(st.integers(1, 4))):
        start = round(number * step, 3)
        times = draw(st.lists(st.tuples(TIME, TIME), max_size=3))
        words = [Word(draw(ODD), min(pair), max(pair)) for pair in times]
        length = draw(st.sampled_from([size, 0.0])) if number else size
        if start < seconds:
            scores = {label: 0.5}
            kept = {"scores": scores, "alone": {"face": scores}, "modalities": ("face",), "missing": {}}
            rows.append(answer(start, round(start + length, 3), label, words, **kept))
    return rows, Recording(Path("a.mp4"), seconds), tiers.one_line(label)


CHILDREN = ("HEADER", "TIME_ORDER", "TIER", "LINGUISTIC_TYPE", "LANGUAGE", "CONSTRAINT", "CONTROLLED_VOCABULARY")


def keeps_the_schema(root):
    """Check what EAFv3.0.xsd demands: the order of elements, unique ids, references that exist, slots in time."""
    assert [each.tag for each in root] == sorted((each.tag for each in root), key=CHILDREN.index)
    slots = {each.get("TIME_SLOT_ID"): int(each.get("TIME_VALUE")) for each in root.iter("TIME_SLOT")}
    assert list(slots.values()) == sorted(slots.values())
    assert len(slots) == len(list(root.iter("TIME_SLOT")))
    spans = {each.get("ANNOTATION_ID"): each for each in root.iter("ALIGNABLE_ANNOTATION")}
    below = {each.get("ANNOTATION_ID"): each for each in root.iter("REF_ANNOTATION")}
    assert len(spans.keys() | below.keys()) == len(list(root.iter("ANNOTATION")))
    ends = [(slots[each.get("TIME_SLOT_REF1")], slots[each.get("TIME_SLOT_REF2")]) for each in spans.values()]
    assert all(start < end for start, end in ends)
    assert {each.get("ANNOTATION_REF") for each in below.values()} <= spans.keys()
    types = {each.get("LINGUISTIC_TYPE_ID"): each for each in root.iter("LINGUISTIC_TYPE")}
    tiers_by_name = {each.get("TIER_ID"): each for each in root.iter("TIER")}
    assert len(tiers_by_name) == len(list(root.iter("TIER")))
    for tier in tiers_by_name.values():
        constraint = types[tier.get("LINGUISTIC_TYPE_REF")].get("CONSTRAINTS")
        assert (tier.get("PARENT_REF") is None) == (constraint is None)
        assert tier.get("PARENT_REF") in {None, *tiers_by_name}
    assert {each.get("CONSTRAINTS") for each in types.values()} <= {
        None, *(each.get("STEREOTYPE") for each in root.iter("CONSTRAINT"))
    }  # fmt: skip
    assert {each.get("CONTROLLED_VOCABULARY_REF") for each in types.values()} <= {
        None, *(each.get("CV_ID") for each in root.iter("CONTROLLED_VOCABULARY"))
    }  # fmt: skip
    values = [each.text for each in root.iter("CVE_VALUE")]
    assert len(values) == len(set(values))
    ids = [each.get("CVE_ID") for each in root.iter("CV_ENTRY_ML")]
    assert len(ids) == len(set(ids))


@settings(max_examples=60)
@given(clips())
def test_whatever_is_said_every_reader_finds_the_same_intervals(tmp_path_factory, clip):
    rows, recording, label = clip
    folder = tmp_path_factory.mktemp("odd")
    end = round(recording.seconds * 1000)
    (fused, alone, said) = tiers.tiers(rows, recording.seconds)
    for tier in (fused, alone, said):
        assert all(m.start < m.end for m in tier.marks)
        assert all(a.end <= b.start for a, b in pairwise(tier.marks))
        assert all(m.start >= 0 and m.end <= max(1, end) for m in tier.marks)
    asked = [(m.start, m.end, m.text) for m in fused.marks]
    assert read_eaf(folder, rows, recording).get_annotation_data_for_tier("face") == asked
    keeps_the_schema(ET.parse(folder / "a.eaf").getroot())
    told = read_eaf(folder, rows, recording).get_annotation_data_for_tier("transcript")
    assert told == [(m.start, m.end, m.text) for m in said.marks]
    grid = read_textgrid(folder, rows, recording)
    for tier, marks in ((grid.getTier("fused"), fused.marks), (grid.getTier("transcript"), said.marks)):
        found = [(round(e.start * 1000), round(e.end * 1000), e.label) for e in tier.entries if e.label]
        assert found == [(m.start, m.end, m.text.strip()) for m in marks]
        assert all(a.end == b.start for a, b in pairwise(tier.entries))
    for cues in (read_srt(rows, recording), read_vtt(rows, recording)):
        assert [(start, stop) for start, stop, _ in cues] == [(m.start, m.end) for m in fused.marks]
    assert all(text.startswith(f"{label} 50%") for *_, text in read_vtt(rows, recording))


def test_parquet_has_typed_columns_and_keeps_what_is_unknown_null(tmp_path):
    good = answer(0, 2, words=[Word("so", 0.5, 0.9)], shares={"audio": 0.1, "text": 0.2})
    bad = Prediction("b\udce9", "b", 0.0, None, "two", {}, None, "one", error="damaged")
    with parquet.rows(tmp_path / "a.parquet", NAMES) as write:
        for row in (good, bad):
            write(row)
    found = pandas.read_parquet(tmp_path / "a.parquet")
    assert list(found["score_happy"].dropna()) == [0.75]
    assert found["alone"][0] == {"audio": {"happy": 0.2, "sad": 0.8}, "face": None, "text": {"happy": 0.9, "sad": 0.1}}
    assert found["shares"][0] == {"audio": 0.1, "face": None, "text": 0.2}
    assert found["words"][0][0] == {"text": "so", "start": 0.5, "end": 0.9, "confidence": None}
    assert found["missing"][0]["face"] == "no face"
    assert (found["id"][1], found["error"][1], pandas.isna(found["end"][1])) == ("b\\udce9", "damaged", True)
    types = {field.name: str(field.type) for field in pq.read_schema(tmp_path / "a.parquet")}
    assert (types["start"], types["score_sad"], types["modalities"]) == ("double", "double", "list<element: string>")


@settings(max_examples=20)
@given(clips())
def test_parquet_gives_back_what_was_said_letter_by_letter(tmp_path_factory, clip):
    rows = [replace(row, scores={}, alone=None) for row in clip[0]]
    path = tmp_path_factory.mktemp("odd") / "a.parquet"
    with parquet.rows(path, NAMES) as write:
        for row in rows:
            write(row)
    found = pq.read_table(path).to_pylist()
    assert [each["text"] for each in found] == [row.text and clean(row.text) for row in rows]
    assert [[word["text"] for word in each["words"]] for each in found] == [
        [clean(word.text) for word in row.words] for row in rows
    ]
    assert [(each["start"], each["end"], each["label"]) for each in found] == [
        (row.start, row.end, clean(row.label)) for row in rows
    ]


def clean(text):
    return text.encode("utf-8", "backslashreplace").decode()


def test_parquet_is_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 10)
    with parquet.rows(tmp_path / "a.parquet", NAMES) as write:
        for number in range(25):
            write(answer(number, number + 1))
    held = pq.ParquetFile(tmp_path / "a.parquet")
    assert [held.metadata.row_group(n).num_rows for n in range(held.num_row_groups)] == [10, 10, 5]
    assert held.read()["start"].to_pylist() == list(range(25))


def test_the_columns_do_not_depend_on_what_was_asked(tmp_path):
    for name, row in (("a", answer(0, 1)), ("b", answer(0, 1, alone=None, missing={}))):
        with parquet.rows(tmp_path / f"{name}.parquet", CANONICAL.names) as write:
            write(row)
    joined = pandas.read_parquet([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert len(joined) == 2
