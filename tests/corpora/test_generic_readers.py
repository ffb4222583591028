"""Tables and folders as people have them, and made corpora that never touch what is not theirs."""

from __future__ import annotations

import json

import pytest

from mercli import config, registry
from mercli.corpora import manifest
from mercli.errors import ConfigError, DataError
from mercli.jobs.clips import making
from mercli.jobs.prepare import prepare
from tests.corpora.test_readers import HEADER, meld_row, put, read


def prepared(root, data, *sets, corpus="csv", **flags):
    given = {"corpus.name": corpus, "root": str(root), "data": str(data), **flags}
    return prepare(config.resolve(config.PrepareConfig, given, sets=sets))


@pytest.fixture
def drawn(monkeypatch):
    """Rendering that writes the plan of a clip instead of its pictures, and counts."""
    clips = []

    def render(path, clip, face):
        path.write_text(repr(clip))
        clips.append(clip)

    monkeypatch.setattr(making, "_render", render)
    return clips


def make(root, data, **flags):
    return prepared(root, data, "clips=35", corpus="made", **flags)


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_real_tree_of_the_same_layout_is_never_written_to(tmp_path, drawn):
    put(tmp_path / "raw", "train_splits/dia0_utt0.mp4")
    before = contents(tmp_path / "raw")
    with pytest.raises(DataError, match="is not empty"):
        make(tmp_path / "raw", tmp_path / "data")
    assert contents(tmp_path / "raw") == before
    assert drawn == []


def test_a_made_corpus_that_was_interrupted_is_rendered_again(tmp_path, drawn, monkeypatch):
    class InterruptError(Exception):
        pass

    def interrupted(path, clip, face):
        raise InterruptError

    with monkeypatch.context() as patch:
        patch.setattr(making, "_render", interrupted)
        with pytest.raises(InterruptError):
            make(tmp_path / "raw", tmp_path / "data")
    with pytest.raises(DataError, match="other options"):
        make(tmp_path / "raw", tmp_path / "data", seed=1)
    make(tmp_path / "raw", tmp_path / "data")
    assert len(drawn) == 35
    make(tmp_path / "raw", tmp_path / "data")
    assert len(drawn) == 35


def test_the_seed_of_the_command_is_the_seed_of_what_is_made(tmp_path, drawn):
    trees = {}
    for name, sets in {"a": (), "a2": ("seed=0",), "b": ("seed=1",), "c": ("corpus.options.seed=1",)}.items():
        prepared(tmp_path / name, tmp_path / "data", "clips=35", *sets, corpus="made", name=name)
        trees[name] = {path: data for path, data in contents(tmp_path / name).items() if path.suffix == ".mp4"}
    assert trees["a"] == trees["a2"]
    assert trees["b"] == trees["c"]
    assert trees["a"].keys() == trees["b"].keys()
    assert sum(trees["a"][path] != trees["b"][path] for path in trees["a"]) > 30
    assert manifest.load(tmp_path / "data", "b").card["options"]["seed"] == 1


def test_a_csv_given_as_root_stands_for_its_folder(tmp_path):
    put(tmp_path / "raw", "sub/a.wav")
    (tmp_path / "raw" / "one.csv").write_text("path,label\nsub/a.wav,joy\n")
    (tmp_path / "raw" / "two.csv").write_text("path,label\n")
    prepared(tmp_path / "raw" / "one.csv", tmp_path / "data", hash=True)
    held = manifest.load(tmp_path / "data", "csv")
    (clip,) = held.clips()
    assert held.root == tmp_path / "raw"
    assert (held.root / clip.audio).is_file()
    assert len(clip.sha256) == 64


def test_a_medium_outside_the_root_keeps_its_whole_path(tmp_path):
    put(tmp_path, "elsewhere/a.wav", "raw/x")
    medium = tmp_path / "elsewhere" / "a.wav"
    (tmp_path / "raw" / "list.csv").write_text(f"path,label\n{medium},joy\n")
    assert read("csv", tmp_path / "raw")[0][0].audio == str(medium)


def test_one_id_for_two_media_is_left_out_with_the_reason(tmp_path):
    put(tmp_path, "a.wav", "b.wav")
    (tmp_path / "list.csv").write_text("id,path,label\nu,a.wav,joy\nu,b.wav,joy\nu,a.wav,sad\n")
    clips, segments, excluded = read("csv", tmp_path)
    assert [c.audio for c in clips] == ["a.wav"]
    assert [s.id for s in segments] == ["x/u/0", "x/u/1"]
    assert [(e.id, e.reason) for e in excluded] == [("u", "line 3: its id is already that of 'a.wav'")]


def test_media_that_differ_in_their_ending_only_have_ids_of_their_own(tmp_path):
    put(tmp_path, "joy/a.mp4", "joy/a.wav", "joy/a.wav.mp4")
    (tmp_path / "list.csv").write_text("path,label\njoy/a.wav,joy\njoy/a.mp4,joy\njoy/a.wav,sad\n")
    clips, segments, _ = read("folder", tmp_path)
    assert [(c.id, c.video or c.audio) for c in clips] == [
        ("joy/a", "joy/a.mp4"), ("joy/a.wav", "joy/a.wav"), ("joy/a.wav.mp4", "joy/a.wav.mp4"),
    ]  # fmt: skip
    assert len({s.id for s in segments}) == 3
    clips, segments, _ = read("csv", tmp_path)
    assert [(c.id, c.video or c.audio) for c in clips] == [("joy/a", "joy/a.wav"), ("joy/a.mp4", "joy/a.mp4")]
    assert [s.id for s in segments] == ["x/joy/a/0", "x/joy/a.mp4/0", "x/joy/a/1"]


def test_split_names_are_brought_into_one_spelling_and_unknown_ones_are_left_out(tmp_path):
    names = ["Train", "val", "valid", "Validation", "DEV", "test", "training", "", "fold1"]
    (tmp_path / "list.csv").write_text("text,label,split\n" + "".join(f"hi,joy,{name}\n" for name in names))
    _, segments, excluded = read("csv", tmp_path)
    assert [s.split for s in segments] == ["train", "dev", "dev", "dev", "dev", "test", "train", None]
    assert [e.reason for e in excluded] == ["line 10: unknown split 'fold1', expected train, dev, test"]


def test_a_field_keeps_the_breaks_inside_it_and_lines_are_counted_as_in_an_editor(tmp_path):
    text = "one\u2028two\x0bthree\r\nfour"
    (tmp_path / "list.csv").write_text(f'text,label\r\n"{text}",joy\r\nx,\r\n', newline="")
    _, segments, excluded = read("csv", tmp_path)
    assert [s.text for s in segments] == [text]
    assert excluded[0].reason == "line 4: no label"


def test_meld_keeps_the_breaks_inside_an_utterance_and_leaves_out_rows_it_cannot_read(tmp_path):
    rows = meld_row(0, 0, "one\u2028two\r\nthree") + meld_row("x", 1) + meld_row(0, 2).replace("00:01:04,000", "?")
    (tmp_path / "train_sent_emo.csv").write_text(HEADER + rows, newline="")
    _, segments, excluded = read("meld", tmp_path)
    assert [s.text for s in segments] == ["one\u2028two\r\nthree"]
    assert [e.id for e in excluded] == ["train/diax_utt1", "train/dia0_utt2"]


@pytest.mark.parametrize("times", ["x,", "nan,", ",inf", "-1,", "2,1", "1,1", "inf,"])
def test_times_that_are_no_finite_interval_leave_a_text_out(tmp_path, times):
    (tmp_path / "list.csv").write_text(f"text,label,start,end\nhi,joy,{times}\nhi,joy,0,1\n")
    _, segments, excluded = read("csv", tmp_path)
    assert [(s.start, s.end) for s in segments] == [(0.0, 1.0)]
    assert len(excluded) == 1


@pytest.mark.parametrize("given", ["tab", "\\t", "\t"])
def test_a_tab_can_be_written_in_words(tmp_path, given):
    (tmp_path / "list.tsv").write_text("text\tlabel\nhi, you\tjoy\n")
    assert read("csv", tmp_path, delimiter=given)[1][0].text == "hi, you"


@pytest.mark.parametrize("given", ["", ";;", "\n", '"'])
def test_a_delimiter_that_is_not_one_character_is_refused(given):
    with pytest.raises(ConfigError, match="expected one character or tab"):
        registry.build("corpora", "csv", options={"delimiter": given})


@pytest.mark.parametrize(
    ("corpus", "name", "text"),
    [("csv", "list.csv", "text,label\n"), ("csv", "list.csv", ""), ("meld", "train_sent_emo.csv", HEADER)],
)
def test_a_table_without_a_row_is_refused(tmp_path, corpus, name, text):
    put(tmp_path, name)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError):
        prepared(tmp_path, tmp_path / "data", corpus=corpus)


def test_a_field_beyond_all_measure_is_no_csv(tmp_path):
    (tmp_path / "list.csv").write_text("text,label\n" + "x" * 200_000 + ",joy\n")
    with pytest.raises(DataError, match="line 2: no csv"):
        read("csv", tmp_path)


@pytest.mark.parametrize("corpus", ["csv", "folder"])
def test_policies_and_identity_are_options(tmp_path, corpus):
    put(tmp_path / "raw", "calm/a.wav", "happy/b.wav", "excited/c.wav", "odd/d.wav")
    rows = [f"{path.relative_to(tmp_path / 'raw')},{path.parent.name}" for path in (tmp_path / "raw").rglob("*.wav")]
    (tmp_path / "raw" / "list.csv").write_text("\n".join(["path,label", *rows]))
    sets = ("calm=drop", "identity=ravdess")
    summary = prepared(tmp_path / "raw", tmp_path / "data", *sets, corpus=corpus)
    held = manifest.load(tmp_path / "data", corpus)
    assert held.label_map.table == {"calm": None, "excited": "happy", "happy": "happy", "odd": None}
    assert held.card["policy"] == "canonical-7/1 calm=drop"
    assert held.card["identity"] == "ravdess"
    assert summary.row()["dropped_labels"] == {"calm": 1, "odd": 1}


@pytest.mark.parametrize("corpus", ["csv", "folder"])
def test_an_unknown_policy_is_refused_at_once(corpus):
    with pytest.raises(ConfigError, match="policy calm='happy' is unknown; expected neutral or own or drop"):
        registry.build("corpora", corpus, options={"calm": "happy"})


def test_the_command_tells_which_labels_it_cannot_place(mer, tmp_path):
    (tmp_path / "list.csv").write_text("text,label\na,joy\nb,smug\nc,smug\n")
    words = ("prepare", "--corpus", "csv", "--root", tmp_path / "list.csv", "--data", tmp_path / "data")
    told = mer(*words)
    assert told.code == 0
    assert "2 segments have a label without a canonical class under this policy: smug 2" in " ".join(told.err.split())
    assert json.loads(mer(*words, "--json").out)["dropped_labels"] == {"smug": 2}
