"""The documentation is code: generated pages equal the committed, commands in the text are real and run."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def _build():
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "docs" / "build.py", folder], check=True, capture_output=True)
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_generated_pages_equal_the_committed(pages):
    assert len(pages) == 5
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, f"run: .venv/bin/python docs/build.py ({name})"


def test_every_command_is_on_its_page(pages):
    from mercli.cli.app import COMMANDS

    for name in COMMANDS:
        assert f"## mer {name}\n" in pages["cli.md"]


def test_every_link_between_pages_leads_somewhere():
    count = 0
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                count += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert count > 5


def _commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["mer"]:
                yield words[1:]


def test_the_commands_of_the_readme_run(mer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = list(_commands(README))
    assert len(commands) >= 10
    for words in commands:
        answer = mer(*(word.replace("/tmp/mer", str(tmp_path / "mer")) for word in words))
        assert answer.code == 0, (words, answer.err)


def test_the_head_of_the_tutorial_trains(mer, monkeypatch, tmp_path, world):
    text = (ROOT / "docs" / "tutorial-head.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    monkeypatch.chdir(tmp_path)
    Path("mean_head.py").write_text(code)
    (words,) = _commands(text)
    place = ["--data", world.data, "--runs", tmp_path / "runs", "--set", "epochs=3"]
    answer = mer(*("one" if word == "a" else word for word in words), *place)
    assert answer.code == 0, answer.err
    assert json.loads(next((tmp_path / "runs").glob("*/bundle/bundle.json")).read_text())["head"]["name"] == "mean"


def test_predictions_follow_the_published_schema(mer, world, tmp_path):
    schema = json.loads((ROOT / "docs/schemas/prediction.schema.json").read_text())
    listed = tmp_path / "list.jsonl"
    listed.write_text('{"id": "a", "text": "I am so happy"}\n{"id": "b", "video": "absent.mp4"}\n')
    answer = mer("predict", "--list", listed, "--format", "jsonl", "--explain")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 6
    assert [row["id"] for row in rows] == ["a", "b"]
    for row in rows:
        jsonschema.validate(row, schema)
    assert rows[0]["error"] is None
    assert rows[1]["label"] is None
