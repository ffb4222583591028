"""EmoryNLP: the csvs and the json of its two releases, bad rows, and the released counts."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import audit
from mercli.corpora.expected import Tally
from mercli.errors import ConfigError, DataError
from mercli.types import Clip, Segment

HEADER = "Utterance,Speaker,Emotion,Scene_ID,Utterance_ID,Season,Episode,Start_Time,End_Time\n"
ROW = '"{text}","{speakers}",{emotion},{scene},{number},1,2,{start},{end}\n'


def row(text="Hi", speakers="['Ross Geller']", emotion="Joyful", scene=1, number=1, start="00:00:02.877",
        end="00:00:07.548"):  # fmt: skip
    return ROW.format(text=text, speakers=speakers, emotion=emotion, scene=scene, number=number, start=start, end=end)


def read(root, **options):
    items = list(registry.build("corpora", "emorynlp", options=options).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def utterance(number, emotion="Mad", speakers=("Joey Tribbiani",)):
    return {
        "utterance_id": f"s01_e02_c01_u{number:03d}",
        "speakers": list(speakers),
        "transcript": "Yeah, right!",
        "emotion": emotion,
    }


def put_json(path, *rows):
    path.write_text(json.dumps({"episodes": [{"scenes": [{"scene_id": "s01_e02_c01", "utterances": list(rows)}]}]}))


def test_a_row_of_the_csv_gives_scene_speaker_time_and_text(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "EMORYNLP_DEV_final.CSV").write_text(HEADER + row())
    (tmp_path / "a" / "b" / "._emorynlp_train_final.csv").write_text("junk")
    (clip,), (segment,), _ = read(tmp_path)
    assert (clip.id, clip.video, clip.audio) == ("s01_e02_c01_u001", None, None)
    assert clip.meta == {"season": "s01", "episode": "e02", "seconds": 4.671}
    assert (segment.id, segment.split, segment.dialogue, segment.turn) == (
        "x/s01_e02_c01_u001/0",
        "dev",
        "s01_e02_c01",
        1,
    )
    assert (segment.text, segment.text_source, segment.speaker, segment.end) == ("Hi", "corpus", "Ross Geller", 4.671)
    assert segment.labels == {"emorynlp": "Joyful"}


def test_several_speakers_are_one_name_whatever_their_order(tmp_path):
    one, other = "['Monica Geller', 'Chandler Bing']", "['Chandler Bing', 'Monica Geller']"
    (tmp_path / "emorynlp_train_final.csv").write_text(HEADER + row(speakers=one) + row(speakers=other, number=2))
    _, segments, _ = read(tmp_path)
    assert {s.speaker for s in segments} == {"Chandler Bing and Monica Geller"}


@pytest.mark.parametrize("speakers", ["__import__('os').getcwd()", "Ross", "['a'", "[1]", "", "{'a': 1}", "(" * 300])
def test_a_speaker_that_is_no_list_of_names_is_not_evaluated_but_left_out(tmp_path, speakers):
    (tmp_path / "emorynlp_train_final.csv").write_text(HEADER + row(speakers=speakers) + row(number=2))
    _, segments, excluded = read(tmp_path)
    assert [s.turn for s in segments] == [2]
    assert "is no list of names" in excluded[0].reason


def test_times_that_make_no_sense_are_noted_and_the_row_stays(tmp_path):
    rows = row(end="00:00:01.000") + row(number=2, start="")
    (tmp_path / "emorynlp_train_final.csv").write_text(HEADER + rows)
    clips, segments, _ = read(tmp_path)
    assert [s.end for s in segments] == [None, None]
    assert "does not lie behind" in clips[0].meta["errata"][0]
    assert "cannot be read" in clips[1].meta["errata"][0]


def test_unknown_labels_second_rows_and_bad_numbers_are_told(tmp_path):
    rows = row(emotion="Bored") + row(number=2) + row(number=2) + row(number="two")
    (tmp_path / "emorynlp_train_final.csv").write_text(HEADER + rows)
    _, segments, excluded = read(tmp_path)
    assert len(segments) == 1
    assert [e.reason.split(",")[0] for e in excluded] == [
        "unknown label 'Bored'", "a second row of this utterance",
        "line 5: invalid literal for int() with base 10: 'two'",
    ]  # fmt: skip


def test_the_json_of_the_first_release_is_read_with_the_same_ids(tmp_path):
    put_json(tmp_path / "emotion-detection-trn.json", utterance(2), utterance(3, "Powerful", []), utterance(3))
    put_json(tmp_path / "emotion-detection-tst.json", {**utterance(4), "utterance_id": "odd"})
    clips, segments, excluded = read(tmp_path)
    assert [c.id for c in clips] == ["s01_e02_c01_u002", "s01_e02_c01_u003"]
    assert [(s.labels["emorynlp"], s.speaker, s.split) for s in segments] == [
        ("Mad", "Joey Tribbiani", "train"), ("Powerful", None, "train"),
    ]  # fmt: skip
    assert [e.id for e in excluded] == ["s01_e02_c01_u003", "odd"]


def test_the_csvs_are_preferred_where_both_releases_lie(tmp_path):
    put_json(tmp_path / "emotion-detection-trn.json", utterance(2))
    (tmp_path / "emorynlp_train_final.csv").write_text(HEADER + row())
    reader = registry.build("corpora", "emorynlp")
    assert len(list(reader.read(tmp_path, "x"))) == 2
    assert (reader.card()["expected"], reader.card()["layout"]) == ("csv", "train: emorynlp_train_final.csv")


def test_peaceful_follows_the_policy_and_powerful_has_no_class():
    def table(**options):
        return registry.build("corpora", "emorynlp", options=options).card()["label_map"].table

    assert table() == {
        "Neutral": "neutral", "Joyful": "happy", "Scared": "fear", "Mad": "angry", "Sad": "sad",
        "Peaceful": "neutral", "Powerful": None,
    }  # fmt: skip
    assert table(calm="own")["Peaceful"] == "calm"
    assert table(calm="drop")["Peaceful"] is None
    with pytest.raises(ConfigError, match="calm='x'"):
        table(calm="x")


def test_another_folder_a_missing_column_and_another_json_are_refused(tmp_path):
    (tmp_path / "train_sent_emo.csv").write_text(HEADER)
    with pytest.raises(DataError, match=r"expected emorynlp_train_final\.csv"):
        read(tmp_path)
    (tmp_path / "emotion-detection-trn.json").write_text('{"seasons": []}')
    with pytest.raises(DataError, match="is not the json of EmoryNLP"):
        read(tmp_path)
    (tmp_path / "emorynlp_train_final.csv").write_text("Utterance,Speaker\n")
    with pytest.raises(DataError, match="no column 'Emotion'; columns found: Utterance, Speaker"):
        read(tmp_path)


def test_the_release_has_its_known_counts_and_its_scenes_stay_in_one_split(shared_data):
    reader = registry.build("corpora", "emorynlp")
    tally = Tally("emorynlp", reader.facts.expected["csv"])
    items = list(tally.watch(reader.read(shared_data / "emorynlp" / "official", "x")))
    assert Counter(type(item) for item in items) == {Clip: 8505, Segment: 8505}
    assert {row.part for row in tally.rows() if row.differs} == {"test"}  # its csv is not here
    parts = audit.parts("x", [item for item in items if isinstance(item, Segment)], {})
    assert not any(f.kind == "leak" for f in audit.within(parts, reader.facts.separates))
    assert any(f.what == "speaker" for f in audit.within(parts, reader.facts.separates))


def test_the_overlap_with_meld_is_as_the_facts_say(shared_data):
    meld = registry.build("corpora", "meld").read(shared_data / "meld" / "official", "meld")
    known = {audit.fingerprint(item) for item in meld if isinstance(item, Segment)} - {None}
    emory = registry.build("corpora", "emorynlp").read(shared_data / "emorynlp" / "official", "x")
    shared, long = Counter(), Counter()
    for item in emory:
        if isinstance(item, Segment) and (key := audit.fingerprint(item)):
            long[item.split] += 1
            shared[item.split] += key in known
    assert (long, shared) == ({"train": 4578, "dev": 529}, {"train": 1172, "dev": 203})
    said = " ".join(registry.build("corpora", "emorynlp").facts.known)
    assert "1172 of 4578" in said
    assert "203 of 529" in said
