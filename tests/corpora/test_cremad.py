"""CREMA-D: which file of a clip is read, acted and perceived labels, the authors' list of broken clips, folds."""

from __future__ import annotations

import gzip
from collections import Counter

import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import errata
from mercli.corpora.cremad import clip_id
from mercli.corpora.expected import Tally
from mercli.errors import ConfigError, DataError
from mercli.types import Clip, Segment

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
HEADER = '"FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'


def read(root, labels="acted"):
    items = list(registry.build("corpora", "cremad", options={"crema_labels": labels}).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def votes(root, *rows):
    (root / "processedResults").mkdir(parents=True, exist_ok=True)
    (root / "processedResults" / "summaryTable.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))


@pytest.fixture
def table(shared_data, tmp_path):
    packed = shared_data / "labels_only" / "cremad_summaryTable.csv.gz"
    if not packed.is_file():
        pytest.skip("the table of votes is not here")
    put(tmp_path, "processedResults/summaryTable.csv", content=gzip.decompress(packed.read_bytes()))
    return tmp_path


def test_video_and_wav_of_one_name_make_one_clip(tmp_path):
    put(tmp_path, "AudioWAV/1005_IEO_ANG_HI.wav", "VideoFlash/1005_IEO_ANG_HI.FLV", "AudioMP3/1005_IEO_ANG_HI.mp3")
    (tmp_path / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1005,29,"Male"\n1006,58,"Female"\n')
    (clip,), (segment,), excluded = read(tmp_path)
    assert (clip.id, clip.video, clip.audio) == (
        "1005_IEO_ANG_HI", "VideoFlash/1005_IEO_ANG_HI.FLV", "AudioWAV/1005_IEO_ANG_HI.wav",
    )  # fmt: skip
    assert clip.meta == {"level": "HI", "acted": "ANG"}
    assert (segment.speaker, segment.sex, segment.split) == ("1005", "m", "test")
    assert (segment.labels, segment.text) == ({"cremad": "ANG"}, "It's eleven o'clock.")
    assert segment.masked == {"text": "fixed sentence: it carries no emotion"}
    assert excluded == []


@pytest.mark.parametrize(
    ("file", "video", "audio"),
    [
        ("CREMA-D/AudioMP3/1001_TIE_SAD_XX.mp3", False, True),
        ("1001_TIE_SAD_XX.mp4", True, False),
        ("a/b/AudioWAV/1001_tie_sad_xx.WAV", False, True),
    ],
)
def test_any_one_file_of_a_clip_is_enough(tmp_path, file, video, audio):
    put(tmp_path, file)
    (clip,), (segment,), _ = read(tmp_path)
    assert (clip.id, bool(clip.video), bool(clip.audio)) == ("1001_TIE_SAD_XX", video, audio)
    assert (set(segment.masked), segment.sex) == ({"text"}, None)


@pytest.mark.parametrize(
    ("stem", "identity"),
    [
        ("1040_ITH_SAD_X", "1040_ITH_SAD_XX"),
        ("1091_WSI_NEU_XX", "1091_WSI_NEU_XX"),
        ("1092_WSI_NEU_XX", None),
        ("1000_WSI_NEU_XX", None),
        ("1001_WSI_NEU", None),
        ("1001_ABC_NEU_XX", None),
        ("1001_WSI_JOY_XX", None),
        ("1001_WSI_NEU_XXX", None),
    ],
)
def test_only_a_lone_trailing_x_is_forgiven_in_a_name(stem, identity):
    assert clip_id(stem) == identity


def test_strange_names_and_second_files_are_left_out_with_the_reason(tmp_path):
    put(tmp_path, "AudioWAV/1040_ITH_SAD_XX.wav", "AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/noise.wav",
        "AudioWAV/._1001_ITH_SAD_XX.wav")  # fmt: skip
    clips, _, excluded = read(tmp_path)
    assert [c.id for c in clips] == ["1040_ITH_SAD_XX"]
    assert {e.id: e.reason.split(",")[0] for e in excluded} == {
        "AudioWAV/1040_ITH_SAD_XX.wav": "a second file of '1040_ITH_SAD_XX'",
        "AudioWAV/noise.wav": "name is not that of a clip",
    }


def test_a_pointer_gives_way_to_a_file_and_alone_leaves_the_row(tmp_path):
    put(tmp_path, "AudioWAV/1001_ITH_SAD_XX.wav", "VideoFlash/1001_ITH_SAD_XX.flv", content=POINTER)
    put(tmp_path, "AudioMP3/1001_ITH_SAD_XX.mp3")
    put(tmp_path, "AudioWAV/1002_ITH_SAD_XX.wav", content=POINTER)
    put(tmp_path, "VideoFlash/1002_ITH_SAD_XX.flv")
    put(tmp_path, "AudioWAV/1003_ITH_SAD_XX.wav", "VideoFlash/1003_ITH_SAD_XX.flv", content=POINTER)
    clips, segments, excluded = read(tmp_path)
    assert [(c.audio and c.audio[-3:], c.video and c.video[-3:]) for c in clips] == [
        ("mp3", None),
        (None, "flv"),  # the video's own sound serves
        (None, None),
    ]
    assert [sorted(set(s.masked) - {"text"}) for s in segments] == [["face"], [], ["audio", "face"]]
    assert segments[2].masked["audio"] == segments[0].masked["face"] == "media is a git-lfs pointer"
    assert excluded == []


@pytest.mark.parametrize(
    ("labels", "wanted"), [("acted", "ANG"), ("voice", "NEU"), ("face", "tie"), ("multimodal", "DIS")]
)
def test_labels_are_acted_or_what_raters_voted(tmp_path, labels, wanted):
    put(tmp_path, "AudioWAV/1001_IEO_ANG_LO.wav")
    votes(tmp_path, "1001_IEO_ANG_LO,N,69.1,A:D,50:60,D,64.8")
    (clip,), (segment,), _ = read(tmp_path, labels)
    assert segment.labels == {"cremad": wanted}
    assert clip.meta["acted"] == "ANG"
    if labels == "face":
        assert (clip.meta["vote"], clip.meta["vote_level"]) == ("A:D", "50:60")
    card = registry.build("corpora", "cremad", options={"crema_labels": labels}).card()
    assert card["label_map"].table.get("tie", "absent") == ("absent" if labels == "acted" else None)
    assert card["expected"] == labels


def test_a_clip_without_votes_and_a_row_that_cannot_be_read_are_left_out(tmp_path):
    put(tmp_path, "AudioWAV/1001_IEO_ANG_LO.wav", "AudioWAV/1001_IEO_ANG_MD.wav", "AudioWAV/1001_IEO_ANG_HI.wav")
    votes(tmp_path, "1001_IEO_ANG_LO,N,1,N,1,N,1", "1001_IEO_ANG_MD,Q,1,N,1,N,1", "1001_IEO_ANG_LO,A,1,A,1,A,1",
          "no clip,N,1,N,1,N,1")  # fmt: skip
    _, segments, excluded = read(tmp_path, "voice")
    assert [(s.clip_id, s.labels["cremad"]) for s in segments] == [("1001_IEO_ANG_LO", "NEU")]
    assert [(e.id, e.reason.split(" '")[0]) for e in excluded] == [
        ("1001_IEO_ANG_HI", "no row in"),
        ("1001_IEO_ANG_MD", "unknown vote"),
        ("1001_IEO_ANG_LO", "line 4: a second row of this clip"),
        ("no clip", "line 5: name is not that of a clip"),
    ]


def test_a_row_without_media_stays_with_the_reason(tmp_path):
    votes(tmp_path, "1001_IEO_ANG_LO,N,1,N,1,N,1")
    for labels in ("acted", "voice"):
        (clip,), (segment,), _ = read(tmp_path, labels)
        assert (clip.video, clip.audio) == (None, None)
        assert segment.masked["audio"] == segment.masked["face"] == "media not found"


def test_votes_without_their_table_or_column_are_refused(tmp_path):
    put(tmp_path, "AudioWAV/1001_IEO_ANG_LO.wav")
    with pytest.raises(DataError, match=r"crema_labels=face needs the table of votes.*summaryTable\.csv"):
        read(tmp_path, "face")
    put(tmp_path, "summaryTable.csv", content=b"FileName,VoiceVote\n1001_IEO_ANG_LO,N\n")
    with pytest.raises(DataError, match="no column 'FaceVote'; columns found: FileName, VoiceVote"):
        read(tmp_path, "face")
    assert len(read(tmp_path, "voice")[1]) == 1
    with pytest.raises(ConfigError, match="'crema_labels' is 'smell'"):
        read(tmp_path, "smell")


def test_another_corpus_is_refused(tmp_path):
    put(tmp_path, "03-01-01-01-01-01-01.wav")
    with pytest.raises(DataError, match=r"expected AudioWAV/1001_IEO_NEU_XX\.wav"):
        read(tmp_path)


def test_the_authors_broken_clips_are_masked_and_doubtful_ones_only_flagged(tmp_path):
    names = ["1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD", "1047_IEO_SAD_LO",
             "1047_IEO_FEA_LO", "1001_IEO_DIS_MD"]  # fmt: skip
    put(tmp_path, *(f"AudioWAV/{name}.wav" for name in names), *(f"VideoFlash/{name}.flv" for name in names))
    reader = registry.build("corpora", "cremad")
    items = list(errata.applied(reader.read(tmp_path, "x"), reader.facts.errata))
    masked = {i.clip_id: sorted(set(i.masked) - {"text"}) for i in items if isinstance(i, Segment)}
    assert masked == dict(
        zip(names, [["audio", "face"], ["audio"], ["audio", "face"], ["face"], [], [], []], strict=True)
    )
    assert {i.id for i in items if isinstance(i, Clip) and i.meta.get("errata")} == set(names[:-1])


@pytest.mark.parametrize("labels", ["acted", "voice", "face", "multimodal"])
def test_the_real_table_of_votes_alone_gives_the_known_counts(table, labels):
    reader = registry.build("corpora", "cremad", options={"crema_labels": labels})
    items = list(reader.read(table, "x"))
    tally = Tally("cremad", reader.facts.expected[reader.card()["expected"]])
    assert Counter(type(item) for item in tally.watch(items)) == {Clip: 7442, Segment: 7442}
    assert tally.faults() == []


def test_splits_and_folds_keep_actors_apart_and_test_each_once(table):
    _, segments, _ = read(table)
    splits = {split: {s.speaker for s in segments if s.split == split} for split in ("train", "dev", "test")}
    assert [len(actors) for actors in splits.values()] == [55, 18, 18]
    assert len(set.union(*splits.values())) == 91
    folds = registry.build("corpora", "cremad").facts.folds["actor"].folds
    for number, fold in enumerate(folds):
        assert fold["test"] == tuple(str(1001 + i) for i in range(91) if i % 5 == number)
        assert fold["dev"] == folds[(number + 1) % 5]["test"]
    assert (splits["dev"], splits["test"]) == (set(folds[3]["test"]), set(folds[4]["test"]))
    assert len({s.text for s in segments}) == 12
