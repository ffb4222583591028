"""What becomes of the output: files, formats, names that are no UTF-8, and a system that refuses."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys

import pytest

from mercli.cli import rendering
from mercli.errors import DataError
from mercli.labels import CANONICAL
from mercli.types import Prediction

ODD = os.fsdecode(b"caf\xe9.mp4")


def made(name="a", scheme=CANONICAL.name, names=CANONICAL.names, error=None):
    scores = {} if error else {n: 1 / len(names) for n in names}
    label = None if error else names[0]
    return Prediction(name, name, 0.0, 1.0, scheme, scores, label, "run", modalities=("text",), error=error)


def fail_after(kind, output, *predictions):
    def run():
        with rendering.writer(kind, str(output) if output else None) as write:
            for prediction in predictions:
                write(prediction)
            raise DataError("stopped")

    with pytest.raises(DataError, match="stopped"):
        run()


def test_a_folder_as_output_is_refused_at_once(tmp_path, mer):
    with pytest.raises(DataError, match="is a folder"), rendering.writer("json", str(tmp_path)):
        raise AssertionError
    answer = mer("predict", "absent.mp4", "-o", tmp_path)
    assert (answer.code, "is a folder" in answer.err) == (4, True)


@pytest.mark.parametrize("kind", rendering.FORMATS)
def test_a_failure_leaves_what_was_there_and_no_part(tmp_path, kind):
    target = tmp_path / "out"
    target.write_text("before")
    fail_after(kind, target, made())
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert target.read_text() == "before"


def test_a_device_is_written_to_and_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with rendering.writer("jsonl", str(tmp_path / "pipe")) as write:
        write(made())
    assert json.loads(os.read(reader, 10_000))["id"] == "a"
    os.close(reader)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_a_json_array_is_closed_when_an_error_ends_the_loop(capsys):
    fail_after("json", None, made("a"), made("b"))
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["a", "b"]


def test_an_empty_json_array_is_one(capsys):
    with rendering.writer("json", None):
        pass
    assert json.loads(capsys.readouterr().out) == []


def rows_of(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize(("scheme", "names"), [(CANONICAL.name, CANONICAL.names), ("mine", ("up", "down"))])
def test_a_csv_that_begins_with_a_failure_has_every_score(tmp_path, scheme, names):
    target = tmp_path / "out.csv"
    with rendering.writer("csv", str(target)) as write:
        for error in ("broken", "too", None, "again"):
            write(made(str(error), scheme, names, error))
    rows = rows_of(target)
    assert [row["id"] for row in rows] == ["broken", "too", "None", "again"]
    assert [row["error"] for row in rows] == ["broken", "too", "", "again"]
    assert [key for key in rows[0] if key.startswith("score_")] == [f"score_{name}" for name in names]
    assert float(rows[2][f"score_{names[0]}"]) == 1 / len(names)


def test_the_columns_of_a_csv_are_those_of_every_model_asked(tmp_path):
    target = tmp_path / "out.csv"
    with rendering.writer("csv", str(target), ("up", "down", "left")) as write:
        write(made("a", "one", ("up", "down")))
        write(made("b", "two", ("left",)))
    first, second = rows_of(target)
    assert (first["score_up"], first["score_left"]) == ("0.5", "")
    assert (second["score_up"], second["score_left"]) == ("", "1.0")


def test_a_csv_of_failures_alone_still_tells_them(tmp_path):
    target = tmp_path / "out.csv"
    with rendering.writer("csv", str(target)) as write:
        write(made("a", "mine", ("up",), "broken"))
    assert rows_of(target)[0]["error"] == "broken"


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_a_name_that_is_no_utf8_stays_valid_json_and_comes_back(tmp_path, kind):
    target = tmp_path / "out"
    with rendering.writer(kind, str(target)) as write:
        write(made(ODD))
    found = json.loads(target.read_bytes().decode("utf-8"))
    assert (found if kind == "jsonl" else found[0])["id"] == ODD


@pytest.mark.parametrize("kind", ["csv", "table"])
def test_a_name_that_is_no_utf8_keeps_its_bytes(tmp_path, kind):
    target = tmp_path / "out"
    with rendering.writer(kind, str(target)) as write:
        write(made(ODD))
    assert b"caf\xe9.mp4" in target.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_presets_copied_to_a_name_that_is_no_utf8_are_told_on_stdout(tmp_path):
    words = [sys.executable, "-m", "mercli", "presets", "copy", "train/default", ODD.replace("mp4", "yaml")]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert done.stdout == b"caf\xe9.yaml\n"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "data/x"), "cannot read or write 'data/x': Permission"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), "cannot write 'runs/x': No space left"),
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write: No space left"),
        (OSError("odd"), "cannot read or write: odd"),
    ],
)
def test_what_the_system_refuses_is_told_without_a_traceback(mer, monkeypatch, fault, said):
    from mercli.jobs import checking

    def refuse(*_):
        raise fault

    monkeypatch.setattr(checking, "preset", refuse)
    answer = mer("presets", "check", "train/default")
    assert (answer.code, answer.out, answer.err.count("Traceback")) == (4, "", 0)
    assert said in answer.err


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("my-audio.yaml", "epochs: 3\n", 0, ""),
        ("my-face.yaml", "epoch: 3\n", 3, "did you mean 'epochs'"),
        ("my.yaml", "epochs: 3\n", 3, "does not tell its modality"),
    ],
)
def test_a_recipe_of_ones_own_is_checked_by_the_end_of_its_name(mer, tmp_path, name, text, code, said):
    (tmp_path / name).write_text(text)
    answer = mer("presets", "check", tmp_path / name, "--command", "finetune")
    assert (answer.code, said in answer.err) == (code, True)


def test_a_preset_of_one_nested_key_is_valid(mer, tmp_path):
    (tmp_path / "mine.yaml").write_text("recipe: {face: largest}\n")
    assert mer("presets", "check", tmp_path / "mine.yaml", "--command", "extract").code == 0


@pytest.mark.parametrize("words", [("--set", "epochs=1"), ("--resume", "here"), ("--preset", "embedded")])
def test_a_bundle_is_pooled_so_what_trains_is_refused(mer, tmp_path, words):
    answer = mer("finetune", "bundle", "--data-root", tmp_path, *words)
    assert (answer.code, words[0] in answer.err) == (2, True)


@pytest.mark.parametrize(
    "words",
    [
        ("--corpora", "meld"), ("--distill", "x"), ("--precision", "fp32"), ("--device", "cpu"), ("--encoder", "x"),
        ("--exclude", "meld"), ("--classes", "happy", "sad"), ("--reset-classifier",), ("--strict",), ("--allow-leak",),
        ("--data", "x"), ("--runs", "x"),
    ],
)  # fmt: skip
def test_what_ships_is_trained_from_raw_corpora_so_what_tunes_on_prepared_ones_is_refused(mer, tmp_path, words):
    answer = mer("finetune", "face", "--data-root", tmp_path, *words)
    said = " ".join(answer.err.replace("│", " ").split())
    assert (answer.code, f"{words[0]}: does not go with --data-root" in said) == (2, True)


def test_finetuning_takes_a_preset_file_and_a_bundle_answers_in_json(mer, tmp_path, monkeypatch):
    from mercli.jobs.answers import assembly
    from mercli.jobs.tuned import refit

    asked = []
    monkeypatch.setattr(refit, "refit", lambda config: asked.append(config) or tmp_path / "w.safetensors")
    monkeypatch.setattr(assembly, "assemble", lambda parts, folder: folder / "bundle")
    (tmp_path / "my.yaml").write_text("epochs: 7\nlr: 0.5\n")
    assert mer("finetune", "face", "--data-root", ".", "--preset", tmp_path / "my.yaml", "--set", "lr=1").code == 0
    assert asked[0].options == {"epochs": 7, "lr": 1}
    answer = mer("finetune", "bundle", "--data-root", ".", "-o", tmp_path, "--json")
    assert json.loads(answer.out) == {"bundle": str(tmp_path / "bundle")}


def test_a_confusion_matrix_tells_over_how_many_seeds_it_counts(mer, tmp_path):
    run = tmp_path / "20260101-000000-train"
    run.mkdir()
    (run / "run.json").write_text("{}")
    rows = [
        {
            "id": f"{corpus}/a/0",
            "start": 0.0,
            "clip": "a",
            "scores": {"up": 1, "down": 0},
            "label": "up",
            "target": "up",
            "fold": f"{corpus}/seed{seed}",
        }
        for corpus, seeds in (("one", 3), ("two", 1))
        for seed in range(seeds)
    ]
    (run / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = mer("report", "confusion", run, "--json")
    found = {m["group"]: (m["seeds"], m["counts"][0][0], m["title"]) for m in json.loads(answer.out)["matrices"]}
    assert found["one"] == (3, 3, f"{run.name}: one, summed over 3 seeds")
    assert found["two"] == (1, 1, f"{run.name}: two")
    assert json.loads((run / "report" / "confusion.json").read_text())["matrices"][0]["seeds"] == 3
    assert "one: counts summed over 3 seeds" in mer("report", "confusion", run).err
