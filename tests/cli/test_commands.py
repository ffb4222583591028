"""What a user types, and what comes back: exit codes, pure stdout, helpful words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.cli.options import expand
from tests.streams.clips import make_clip

names = st.text(alphabet="abcdefgh0123_", min_size=1, max_size=8)


@given(st.lists(names, min_size=1, max_size=5), st.lists(names, max_size=2))
def test_a_list_runs_to_the_next_option_however_it_is_spelled(corpora, rest):
    wanted = [word for name in corpora for word in ("--corpora", name)]
    assert expand(["--corpora", *corpora, "--head", "late"]) == [*wanted, "--head", "late"]
    assert expand(["--corpora", ",".join(corpora), "--head", "late"]) == [*wanted, "--head", "late"]
    assert expand([f"--corpora={','.join(corpora)}"]) == wanted
    assert expand(wanted) == wanted
    assert expand([*rest, "--", *corpora]) == [*rest, "--", *corpora]


def test_a_comma_in_a_path_parts_nothing():
    assert expand(["--clips", "well, no.mp4", "b.mp4"]) == ["--clips", "well, no.mp4", "--clips", "b.mp4"]
    assert expand(["--encoders=a,b"]) == ["--encoders", "a,b"]


def test_a_prior_takes_its_corpus_as_a_second_word():
    assert expand(["a.mp4", "--prior", "corpus", "meld", "-q"]) == ["a.mp4", "--prior", "corpus:meld", "-q"]
    assert expand(["--prior", "train", "a.mp4"]) == ["--prior", "train", "a.mp4"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clips") / "tone.mp4", seconds=1.0, fps=10)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["predict"], 2, "give clips"),
        (["predict", "absent.mp4"], 4, "'absent.mp4' does not exist"),
        (["predict", "x.mp4", "--model", "nowhere"], 4, "'nowhere' is no bundle"),
        (["predict", "x.mp4", "--prior", "meldd"], 3, "prior 'meldd' is unknown"),
        (["predict", "x.mp4", "--windows", "4:2"], 3, "expected SIZE/STEP"),
        (["predict", "x.mp4", "--transcriber", "wisper"], 5, "did you mean 'whisper'"),
        (["predict", "x.mp4", "--device", "cuda:9"], 5, "CUDA devices are here"),
        (["predict", "x.mp4", "--device", "tpu"], 3, "device 'tpu' is unknown"),
        (["predict", "x.mp4", "--format", "xml"], 3, "format 'xml' is unknown"),
        (["predict", "x.mp4", "--abstain", "2"], 3, "'abstain' is 2.0"),
        (["train", "--corpora", "absent"], 4, "corpus 'absent' is not prepared"),
        (["train"], 3, "'corpora' is required"),
        (["loco", "--corpora", "one"], 3, "'corpora'"),
        (["prepare", "--corpus", "melt", "--root", "."], 5, "did you mean 'meld'"),
        (["prepare", "--corpus", "meld", "--root", "."], 4, "no MELD csv"),
        (["prepare", "--corpus", "csv", "--root", ".", "--set", "lable=x"], 3, "did you mean 'label'"),
        (["report", "confusion", "--runs", "."], 4, "there is no run"),
        (["list", "head"], 3, "did you mean 'heads'"),
        (["presets", "show", "train/defult"], 3, "did you mean"),
        (["finetune", "smell", "--data-root", "."], 3, "no preset is called"),
        (["doctor", "--plugin", "absent.py"], 5, "'absent.py' does not exist"),
        (["nonsense"], 2, "No such command"),
    ],
)  # fmt: skip
def test_each_fault_has_its_exit_code_and_says_what_is_wrong(mer, monkeypatch, tmp_path, words, code, said):
    monkeypatch.chdir(tmp_path)
    answer = mer(*words)
    assert (answer.code, answer.err.count("Traceback")) == (code, 0)
    assert said in " ".join(answer.err.split())


def test_json_leaves_nothing_else_on_stdout(mer, clip):
    for words in (["predict", clip, "--json"], ["list", "heads", "--json"], ["list", "presets", "--json"]):
        assert json.loads(mer(*words).out)


def test_output_goes_to_a_file_that_appears_when_it_is_whole(mer, clip, tmp_path):
    target = tmp_path / "out.jsonl"
    answer = mer("predict", clip, "-o", target)
    assert (answer.code, answer.out) == (0, "")
    assert json.loads(target.read_text())["id"] == str(clip)
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_csv_has_one_header_and_a_line_each(mer, clip):
    lines = mer("predict", clip, "absent.mp4", "--format", "csv").out.splitlines()
    assert lines[0].startswith("id,clip,start,end,label,score_neutral")
    assert len(lines) == 3


@pytest.mark.parametrize(
    "name", ["-leading-dash.mp4", "with blanks.mp4", "ünï😀.mp4", "quo\"te's.mp4", "new\nline.mp4"]
)
def test_any_file_name_works(mer, clip, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, tmp_path / name)
    answer = mer("predict", "--format", "jsonl", "--", name)
    assert answer.code == 0
    assert json.loads(answer.out)["id"] == name


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.mp4", b""), ("text.mp4", b"this is no video at all\n" * 40), ("cut.mp4", None), ("head.wav", b"RIFF")],
)
def test_one_bad_clip_among_many_is_told_and_the_others_are_predicted(mer, clip, tmp_path, name, content):
    bad = tmp_path / name
    bad.write_bytes(clip.read_bytes()[:600] if content is None else content)
    answer = mer("predict", clip, bad, clip, "--format", "jsonl")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 6
    assert [bool(row["error"]) for row in rows] == [False, True, False]
    assert mer("predict", bad, "-q").code == 4
    assert mer("predict", clip, bad, "--strict", "-q").code == 4


def test_a_fifo_is_refused_at_once(mer, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    answer = mer("predict", tmp_path / "pipe.mp4")
    assert answer.code == 4
    assert "fifo" in answer.err


def test_paths_come_from_stdin_through_a_pipe_and_go_into_a_parser(clip, tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "mercli", "predict", "-", "-0", "--format", "jsonl"],
        input=f"{clip}\0{clip}\0".encode(),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    rows = [json.loads(line) for line in found.stdout.splitlines()]
    assert [row["id"] for row in rows] == [str(clip)] * 2
    assert rows[0] == rows[1]
    assert b"\x1b[" not in found.stderr


def test_two_processes_give_the_same_answers_in_the_same_order(mer, clip):
    paths = [clip, "absent.mp4", clip]
    one = mer("predict", *paths, "--format", "jsonl").out
    two = mer("predict", *paths, "--format", "jsonl", "--jobs", 2).out
    assert [json.loads(x)["id"] for x in two.splitlines()] == list(map(str, paths))
    assert one == two


def test_a_text_alone_is_enough_and_shares_sum_to_what_it_moved(mer, tmp_path):
    (tmp_path / "said.txt").write_text("I am so happy, what a wonderful day!")
    answer = mer("predict", tmp_path / "said.txt", "--explain", "--json")
    (row,) = json.loads(answer.out)
    assert row["modalities"] == ["text"]
    assert row["label"] == "happy"
    assert sum(row["shares"].values()) == pytest.approx(row["scores"]["happy"] - 1 / 7, abs=1e-4)
    assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)


def test_abstaining_gives_no_label_below_the_probability(mer, tmp_path):
    (tmp_path / "said.txt").write_text("the report")
    (row,) = json.loads(mer("predict", tmp_path / "said.txt", "--abstain", "0.999", "--json").out)
    assert row["label"] is None
    assert row["error"] is None


def test_a_prior_moves_the_scores_as_bayes_says(mer, tmp_path):
    (tmp_path / "said.txt").write_text("well, okay then")
    from mercli.labels import CANONICAL

    prior = {name: 1 + index for index, name in enumerate(CANONICAL.names)}
    (tmp_path / "prior.json").write_text(json.dumps(prior))
    (plain,) = json.loads(mer("predict", tmp_path / "said.txt", "--json").out)
    (moved,) = json.loads(mer("predict", tmp_path / "said.txt", "--json", "--prior", tmp_path / "prior.json").out)
    raw = {name: plain["scores"][name] * prior[name] for name in prior}
    for name, score in moved["scores"].items():
        assert score == pytest.approx(raw[name] / sum(raw.values()), abs=1e-4)


def test_presets_can_be_copied_changed_and_checked(mer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert mer("presets", "copy", "train/default", "mine.yaml").code == 0
    assert mer("presets", "copy", "train/default", "mine.yaml").code == 3
    Path("mine.yaml").write_text("base: train/default\nepochs: 3\n")
    assert json.loads(mer("presets", "check", "mine.yaml", "--command", "train", "--json").out)["keys"]["epochs"] == 3
    Path("mine.yaml").write_text("epoch: 3\n")
    answer = mer("presets", "check", "mine.yaml", "--command", "train")
    assert answer.code == 3
    assert "did you mean 'epochs'" in answer.err


def test_doctor_says_what_works(mer):
    answer = mer("doctor", "--json")
    rows = {row["check"]: row["state"] for row in json.loads(answer.out)}
    assert answer.code == 0
    assert rows["shipped bundle"] == rows["torch"] == "ok"


def test_doctor_tells_where_libraries_are_compiled_at_every_start(mer, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    (row,) = [row for row in json.loads(mer("doctor", "--json").out) if row["check"] == "bytecode"]
    assert row["state"] == "absent"
    assert row["help"].startswith("python -m compileall -q ")
