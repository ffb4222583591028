"""``mer tour``: its commands are those that one types, and it goes on where it was stopped."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from mercli.errors import DataError
from mercli.jobs import tour

MADE = [f"mer prepare --corpus made --set like={name} " for name in tour.CORPORA]


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    monkeypatch.setattr(tour, "CLIPS", 35)
    monkeypatch.chdir(tmp_path)


def _stopped(*_, **__):
    raise KeyboardInterrupt


def test_a_stopped_tour_goes_on_with_the_step_that_was_stopped(mer, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mercli.jobs.audit.audit", _stopped)
        first = mer("tour", "--to", "a tour")
    commands = [line.removeprefix("$ ") for line in first.out.splitlines() if line.startswith("$ ")]
    assert first.code == 130
    assert first.err.endswith("mer: interrupted\ngo on with: mer tour --to 'a tour'\n")
    assert [command.startswith(start) for command, start in zip(commands, MADE, strict=False)] == [True] * 4
    assert commands[4:] == ["mer audit --data 'a tour/data'"]
    manifests = {path: path.stat().st_mtime_ns for path in Path("a tour").glob("data/*/corpus.yaml")}
    assert len(manifests) == 4

    monkeypatch.setattr("mercli.jobs.extract.extract", _stopped)
    second = mer("tour", "--to", "a tour", "--json")
    assert (second.code, second.out) == (130, "")
    assert second.err.count("done before") == 4
    assert {path: path.stat().st_mtime_ns for path in manifests} == manifests

    third = mer("tour", "--to", "a tour", "--again", "-q")
    assert third.code == 130
    assert third.err == "mer: interrupted\n"
    assert not [path for path, time in manifests.items() if path.stat().st_mtime_ns == time]


def test_what_was_made_and_is_gone_is_made_again(tmp_path):
    typed = []

    def run(words):
        typed.append(words[0])
        if len(typed) == 2:
            raise KeyboardInterrupt
        (tmp_path / "to/corpora/mosei").mkdir(parents=True, exist_ok=True)
        (tmp_path / "to/data/mosei").mkdir(parents=True, exist_ok=True)

    def walk():
        with pytest.raises(KeyboardInterrupt):
            list(tour.tour(tmp_path / "to", lambda step: None, run))

    walk()
    assert typed == ["prepare", "prepare"]
    (tmp_path / "to/data/mosei").rmdir()
    typed.clear()
    walk()
    assert typed == ["prepare", "prepare"]


def test_a_folder_that_holds_anything_else_is_refused(mer, tmp_path):
    (tmp_path / "own.txt").write_text("mine")
    answer = mer("tour", "--to", tmp_path)
    assert answer.code == DataError.exit_code
    assert "is not empty and no tour" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["own.txt"]
    assert mer("tour", "--to", tmp_path / "own.txt").code == DataError.exit_code
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / tour.MARK).write_text("[]")
    assert "cannot be read as a tour" in mer("tour", "--to", tmp_path / "broken").err


def test_what_is_told_fits_a_terminal_and_names_real_commands():
    from tests.house.test_docs import _parsed

    for command, what in tour.NEXT:
        assert _parsed(shlex.split(command)[1:])
        assert len(what) <= 80 - 2 - max(len(each) for each, _ in tour.NEXT) - 4
    assert len(tour.NEXT) == 4


def _files(folder: Path, run: str) -> dict[str, bytes]:
    """Return what lies in a tour by its path, the folder's and the runs' own names and all times left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = re.sub(run, "RUN", str(path.relative_to(folder)))
        # run.json and log.txt tell when; probes.jsonl by which time of a file it is known
        if path.is_file() and path.name not in ("run.json", "log.txt", "probes.jsonl", tour.MARK, "report.html"):
            text = re.sub(run.encode(), b"RUN", path.read_bytes())
            found[name] = text.replace(str(folder).encode(), b"TO").replace(folder.name.encode(), b"TO")
    return dict(sorted(found.items()))


@pytest.fixture
def short(monkeypatch):
    """Leave two of the four corpora on the way."""
    stops = [stop for stop in tour.STOPS if not re.search("like=(mosei|afew) ", stop.line)]
    lines = [stop.line.replace("mosei meld iemocap afew", "meld iemocap") for stop in stops]
    monkeypatch.setattr(tour, "STOPS", [replace(stop, line=line) for stop, line in zip(stops, lines, strict=True)])


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_the_commands_shown_leave_what_the_tour_left_when_they_are_typed(mer, tmp_path):
    answer = mer("tour", "--to", "toured", "--json", "-q")
    assert answer.code == 0, answer.err
    steps = json.loads(answer.out)["steps"]
    assert [step["number"] for step in steps] == list(range(1, len(tour.STOPS) + 1))
    assert all(step["seconds"] > 0 and not step["done_before"] for step in steps)
    assert all(Path(path).exists() for step in steps for path in step["made"])
    assert all(step["made"] for step in steps if step["command"].split()[1] not in ("audit", "predict"))

    stamp = r"\d{8}-\d{6}(?=-(?:train|loco)-late)"
    for step in steps:
        if "report page" in step["command"]:
            continue  # half of the time, for a page that differs by its date
        words = [word.replace("toured", "typed") for word in shlex.split(step["command"])[1:]]
        if words[0] == "predict":
            (own,) = Path("typed/runs").glob("*-train-late")
            words = [re.sub(r"runs/[^/]+", f"runs/{own.name}", word) for word in words]
        typed = mer(*words)
        assert typed.code == 0, (words, typed.err)
        assert "happy" in typed.out or words[0] != "predict"
    toured, typed = _files(tmp_path / "toured", stamp), _files(tmp_path / "typed", stamp)
    assert list(toured) == list(typed)
    assert [name for name in toured if toured[name] != typed[name]] == []
    assert len(toured) > 90
    for run in Path("toured/runs").iterdir():
        told = json.loads((run / "run.json").read_text())["command"]
        assert shlex.join(told) in [step["command"] for step in steps]
    assert "Leaving one corpus out" in Path("toured/report.html").read_text()
    again = mer("tour", "--to", "toured")
    assert again.err.count("done before") == len(tour.STOPS)
