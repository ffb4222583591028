"""docs/performance.md is what the benchmarks wrote: a part for each, replaced alone, without a path of the machine."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "performance.md").read_text()
WRITTEN = re.compile(r'\bfinish\(\s*"([\w-]+)"')


@pytest.fixture(scope="module")
def writing():
    spec = importlib.util.spec_from_file_location("writing", ROOT / "benchmarks" / "writing.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["writing"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["writing"]


def test_a_part_is_replaced_and_the_others_stay(writing):
    one = writing.page("", "one", writing.part("One", [writing.Figure("a", "b", "1.00x")], {"rounds": 3}))
    both = writing.page(one, "another", "## Another\n\nits own text\n")
    again = writing.page(both, "one", "## One\n\nnew\n")
    assert "| a | b | 1.00x |  |  |" in both
    assert "- rounds: 3" in both
    assert "its own text" in again
    assert "1.00x" not in again
    assert again.count("<!-- one -->") == again.count("<!-- /one -->") == 1
    assert again.startswith(writing.HEAD)
    assert writing.page(again, "one", "## One\n\nnew\n") == again


def test_ratios_are_taken_round_by_round(writing):
    figure = writing.over("a", "b", [2.0, 3.0, 8.0], [1.0, 1.0, 2.0], ">= 2x")
    assert (figure.measured, figure.range) == ("3.00x", "2.00 to 4.00")
    small = writing.over("a", "b", [1.0, 1.0, 1.0], [10.0, 20.0, 16.0], "<= 1/12")
    assert (small.measured, small.range) == ("1/16.0", "1/20.0 to 1/10.0")


def test_the_command_tells_no_path_of_the_machine(writing, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/here/benchmarks/faces.py", "--peer-python", "/there/python", "--rounds", "7"])
    assert writing.command() == "python benchmarks/faces.py --peer-python PATH --rounds 7"


def test_every_part_was_written_by_a_benchmark_that_is_here(writing):
    names = {name for file in (ROOT / "benchmarks").glob("*.py") for name in WRITTEN.findall(file.read_text())}
    parts = {found["name"]: found["text"] for found in writing.PART.finditer(PAGE)}
    assert parts
    assert set(parts) <= names
    for name, text in parts.items():
        assert re.search(r"^- command: `python benchmarks/\w+\.py.* --write", text, re.M), name
        assert re.search(r"cores, load [\d.]+; Python 3\.\d+", text), name
