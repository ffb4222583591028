"""Every reader against what real downloads are like: wrong roots, junk files, loops, pointers, halves of a tar."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mercli import config, registry
from mercli.corpora import manifest
from mercli.errors import DataError
from mercli.jobs.prepare import prepare
from mercli.rundir import read_lines
from mercli.types import Clip

LAYOUTS = ("meld", "iemocap", "mosei", "afew", "ravdess", "cremad")
MEDIA = (".mp4", ".avi", ".flv", ".wav")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
NEVER_WRONG = ("made",)  # it makes its root


def ready(root, data, corpus, **more):
    flags = {"corpus.name": corpus, "root": str(root), "data": str(data), "probe": False, **more}
    prepare(config.resolve(config.PrepareConfig, flags))
    held = manifest.load(Path(data), corpus)
    return list(held.clips()), list(held.segments())


@pytest.fixture(scope="module")
def raws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raws")
    for layout in LAYOUTS:
        flags = {"corpus.name": "made", "root": str(folder / layout), "data": str(folder / "data")}
        prepare(config.resolve(config.PrepareConfig, flags, sets=[f"like={layout}", "clips=35"]))
    return folder


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture
def raw(raws, layout, tmp_path):
    return shutil.copytree(raws / layout, tmp_path / "raw")


def tree(root):
    return {p.relative_to(root).as_posix(): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in root.rglob("*")}


def names(clips):
    return [(c.id, c.video, c.audio) for c in clips]


def test_junk_beside_the_corpus_changes_nothing_and_nothing_is_written_inside(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    for path in [p for p in raw.rglob("*") if p.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    (raw / ".DS_Store").write_bytes(b"x")
    for folder in [p for p in raw.rglob("*") if p.is_dir()]:
        (folder / "loop").symlink_to(raw)
    before = tree(raw)
    junk = ready(raw, tmp_path / "junk", layout)
    assert names(junk[0]) == names(clean[0])
    assert junk[1] == clean[1]
    assert tree(raw) == before


def test_endings_in_upper_case_are_media_too(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    for path in [p for p in raw.rglob("*") if p.suffix in MEDIA]:
        path.rename(path.with_suffix(path.suffix.upper()))
    loud = ready(raw, tmp_path / "loud", layout)
    assert [(c.id, bool(c.video), bool(c.audio)) for c in loud[0]] == [
        (c.id, bool(c.video), bool(c.audio)) for c in clean[0]
    ]
    assert [s.labels for s in loud[1]] == [s.labels for s in clean[1]]


def test_pointers_in_place_of_media_are_told_and_leave_the_labels(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    for path in [p for p in raw.rglob("*") if p.suffix in MEDIA]:
        path.write_text(POINTER)
    clips, segments = ready(raw, tmp_path / "pointers", layout)
    assert [s.labels for s in segments] == [s.labels for s in clean[1]]
    assert not any(c.video or c.audio for c in clips)
    assert all("pointer" in s.masked["audio"] + s.masked["face"] for s in segments)


def test_half_of_a_tar_is_read_as_far_as_it_goes(raw, layout, tmp_path):
    media = sorted(p for p in raw.rglob("*") if p.suffix in MEDIA)
    for path in media[len(media) // 2 :]:
        path.unlink()
    torn = media[len(media) // 2 - 1]
    torn.write_bytes(torn.read_bytes()[: torn.stat().st_size // 3])
    clips, segments = ready(raw, tmp_path / "half", layout, probe=True)
    assert sum(bool(c.video or c.audio) for c in clips) > 0
    assert segments


def test_the_corpus_lies_some_folders_below_the_root(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    deep = tmp_path / "deep" / "downloads" / "corpora"
    deep.mkdir(parents=True)
    raw.rename(deep / "here")
    found = ready(tmp_path / "deep", tmp_path / "data", layout)
    assert [c.id for c in found[0]] == [c.id for c in clean[0]]
    assert [bool(c.video or c.audio) for c in found[0]] == [bool(c.video or c.audio) for c in clean[0]]


@pytest.mark.parametrize("corpus", [s.name for s in registry.specs("corpora") if s.name not in NEVER_WRONG])
def test_a_wrong_root_is_told_with_what_was_expected_and_leaves_nothing(corpus, mer, tmp_path):
    other = tmp_path / "other"
    (other / "holiday").mkdir(parents=True)
    (other / "holiday" / "notes.md").write_text("nothing")
    for root in (other, tmp_path / "absent", other / "holiday" / "notes.md"):
        answer = mer("prepare", "--corpus", corpus, "--root", root, "--data", tmp_path / "data")
        assert answer.code in (3, 4), answer.err
        assert "Traceback" not in answer.err
        assert str(root) in answer.err or root.name in answer.err
        assert not list((tmp_path / "data").rglob("*.jsonl"))
        assert not list((tmp_path / "data").rglob("corpus.yaml"))


def test_a_kill_in_the_middle_leaves_no_manifest_and_the_next_run_is_whole(tmp_path):
    rows = "".join(
        f'{n},"made line {n}",Speaker {n % 9},joy,positive,{n},0,1,1,"00:00:01,000","00:00:03,000"\n'
        for n in range(60_000)
    )
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    (tmp_path / "train_sent_emo.csv").write_text(header + rows)
    words = [
        "prepare",
        "--corpus",
        "meld",
        "--root",
        str(tmp_path),
        "--data",
        str(tmp_path / "data"),
        "--no-probe",
        "-q",
    ]
    process = subprocess.Popen([sys.executable, "-m", "mercli", *words])
    folder = tmp_path / "data/meld"
    deadline = time.monotonic() + 30
    while not any(p.stat().st_size > 100_000 for p in folder.glob(".*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(DataError, match="not prepared"):
        manifest.load(tmp_path / "data", "meld")
    assert subprocess.run([sys.executable, "-m", "mercli", *words], check=False).returncode == 0
    assert len(list(manifest.load(tmp_path / "data", "meld").segments())) == 60_000


def test_meld_keeps_the_first_of_two_rows_of_one_id_and_names_media_without_a_row(tmp_path):
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    row = '1,"Hi",Joey,joy,positive,0,0,1,1,"00:00:01,000","00:00:03,000"\n'
    (tmp_path / "train_sent_emo.csv").write_text(header + row + row.replace("Hi", "Bye"))
    (tmp_path / "train_splits").mkdir()
    for name in ("dia0_utt0.mp4", "dia7_utt7.mp4"):
        (tmp_path / "train_splits" / name).write_bytes(b"x" * 2000)
    _, segments = ready(tmp_path, tmp_path / "data", "meld")
    assert [s.text for s in segments] == ["Hi"]
    told = {row["id"]: row["reason"] for row in read_lines(tmp_path / "data/meld/excluded.jsonl")}
    assert told == {
        "train/dia0_utt0": "line 3: its ids are already those of another row",
        "train/dia7_utt7": "media without a row in the csv",
    }


def test_clips_of_a_corpus_that_may_only_be_read_are_read(raws, tmp_path):
    root = shutil.copytree(raws / "afew", tmp_path / "raw")
    for path in [root, *root.rglob("*")]:
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    clips, _ = ready(root, tmp_path / "data", "afew", hash=True)
    assert all(isinstance(c, Clip) and c.sha256 for c in clips)
    assert json.loads((tmp_path / "data/afew/clips.jsonl").read_text().splitlines()[0])["sha256"]


def test_a_link_to_itself_in_every_folder_stops_no_reader(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    for folder in [raw, *[p for p in raw.rglob("*") if p.is_dir()]]:
        (folder / "me").symlink_to("me")
    assert ready(raw, tmp_path / "linked", layout) == clean


def test_names_that_are_no_utf8_are_kept_as_paths_and_told(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    place.mkdir()
    for path in list(raw.iterdir()):
        shutil.move(path, place)
    place.rename(raw / place.name)
    clips, segments = ready(raw, tmp_path / "data", layout, probe=True)
    assert [c.id for c in clips] == [c.id for c in clean[0]]
    assert all((raw / path).is_file() for c in clips for path in (c.video, c.audio) if path)
    assert [s.labels for s in segments] == [s.labels for s in clean[1]]


def test_a_class_folder_or_clip_whose_name_is_no_utf8_is_left_out_with_the_reason(tmp_path):
    for corpus, folder in (("folder", "raw/joy"), ("afew", "raw/Train_AFEW/Happy")):
        (tmp_path / corpus / folder).mkdir(parents=True)
        for name in (b"good.avi", b"\xff.avi"):
            place = os.fsencode(tmp_path / corpus / folder) + b"/" + name
            Path(os.fsdecode(place)).write_bytes(b"x" * 2000)
        clips, _ = ready(tmp_path / corpus / "raw", tmp_path / "data", corpus)
        assert [Path(c.video).name for c in clips] == ["good.avi"]
        (row,) = read_lines(tmp_path / f"data/{corpus}/excluded.jsonl")
        assert row["reason"] == "its name is no UTF-8: rename it"


@pytest.mark.parametrize("layout", ["meld", "iemocap", "mosei", "cremad"], indirect=True)
def test_a_table_that_is_a_pointer_is_told_with_what_fetches_it(raw, layout, mer, tmp_path):
    for path in [p for p in raw.rglob("*") if p.suffix in (".csv", ".txt", ".csd")]:
        path.write_text(POINTER)
    answer = mer("prepare", "--corpus", layout, "--root", raw, "--data", tmp_path / "data")
    assert answer.code == 4
    assert "is a git-lfs pointer, expected the file itself" in answer.err
    assert "try: git lfs pull" in answer.err


def test_a_table_in_utf16_is_read_as_one_in_utf8(raw, layout, tmp_path):
    clean = ready(raw, tmp_path / "clean", layout)
    for path in [p for p in raw.rglob("*") if p.suffix in (".csv", ".txt")]:
        path.write_text(path.read_text(), encoding="utf-16")
    assert ready(raw, tmp_path / "wide", layout) == clean


def test_what_is_no_csv_at_all_is_told_in_a_short_message(mer, tmp_path):
    (tmp_path / "train_sent_emo.csv").write_bytes(bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"") * 60)
    answer = mer("prepare", "--corpus", "meld", "--root", tmp_path, "--data", tmp_path / "data")
    assert answer.code == 4
    assert "has no column 'Utterance'; columns found:" in answer.err
    assert len(answer.err) < 5000


def test_a_corpus_whose_rows_are_all_left_out_says_why(mer, tmp_path):
    header = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    (tmp_path / "dev_sent_emo.csv").write_text(header + "1,Hi,Joey,glee,positive,0,0,1,1,00:00:01,00:00:03\n")
    answer = mer("prepare", "--corpus", "meld", "--root", tmp_path, "--data", tmp_path / "data")
    assert answer.code == 4
    assert "no segment with a label; left out was 'dev/dia0_utt0': line 2: unknown label 'glee'" in answer.err


def test_what_was_prepared_inside_the_root_is_no_part_of_the_corpus(mer, tmp_path):
    (tmp_path / "joy").mkdir()
    (tmp_path / "joy" / "a.wav").write_bytes(b"x" * 2000)
    words = ("prepare", "--corpus", "folder", "--root", tmp_path, "--data", tmp_path / "data", "--no-probe")
    assert "lies inside the corpus: --data DIR keeps it clean" in mer(*words).err
    first = (tmp_path / "data/folder/clips.jsonl").read_bytes()
    (tmp_path / "data/folder/streams/key").mkdir(parents=True)
    (tmp_path / "data/folder/streams/key/0.flac").write_bytes(b"x" * 2000)
    assert mer(*words).code == 0
    assert (tmp_path / "data/folder/clips.jsonl").read_bytes() == first
