"""The tutorials' code is what one saves and runs: each is taken from its page, with its commands."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mercli import registry
from mercli.corpora import manifest
from mercli.types import Streams
from tests.house.test_docs import ROOT, _commands


def _saved(name: str, most: int) -> list[list[str]]:
    """Save the code of a tutorial in the working folder as the page says; return the page's commands."""
    page = (ROOT / "docs" / name).read_text()
    code, file = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], re.search(r"as `(\w+\.py)`", page)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= most
    Path(file).write_text(code)
    return list(_commands(page))


@pytest.fixture
def scenes(monkeypatch, tmp_path, world):
    """Lay out clips of a made corpus as the tutorial's: six speakers, five emotions, one that is unknown."""
    monkeypatch.chdir(tmp_path)
    folder, lines = tmp_path / "scenes", []
    folder.mkdir()
    held = manifest.load(world.data, "one")
    texts = {segment.clip_id: segment.text for segment in held.segments()}
    emotions = ("ang", "hap", "neu", "sad", "bor")
    for number, clip in enumerate(list(held.clips())[:30]):
        name = f"s{number % 6}_{emotions[number % 5]}_{number:03}"
        shutil.copyfile(held.root / clip.video, folder / f"{name}.mp4")
        lines.append(f"{name}\t{texts[clip.id]}\n")
    shutil.copyfile(folder / "s0_ang_000.mp4", folder / "s0_xxx_099.mp4")
    (folder / "lines.tsv").write_text("".join(lines))
    return folder


def test_the_corpus_reader_of_the_tutorial_is_prepared_extracted_and_trained_on(mer, scenes):
    commands = _saved("tutorial-corpus.md", 34)
    assert [words[0] for words in commands] == ["prepare", "extract", "train"]
    for words in commands:
        answer = mer(*words, *(["--set", "epochs=2"] if words[0] == "train" else []))
        assert answer.code == 0, (words, answer.err)
    held = manifest.load(Path("data"), "theatre")
    segments = list(held.segments())
    assert len(segments) == 30
    assert all(segment.text and segment.language == "en" for segment in segments)
    speakers = {s: {each.speaker for each in segments if each.split == s} for s in ("train", "dev", "test")}
    assert all(speakers.values())
    assert sum(map(len, speakers.values())) == 6
    (left_out,) = Path("data/theatre/excluded.jsonl").read_text().splitlines()
    assert json.loads(left_out) == {"id": "s0_xxx_099", "reason": "unknown emotion 'xxx'"}
    dropped = mer("prepare", "--corpus", "theatre", "--root", "scenes", "--plugin", "theatre.py", "--dry-run", "--json")
    assert json.loads(dropped.out)["dropped_labels"] == {"bor": 6}
    assert mer("prepare", "--corpus", "theatre", "--root", "data", "--plugin", "theatre.py").code == 4


def test_the_encoder_of_the_tutorial_extracts_trains_and_predicts(mer, monkeypatch, tmp_path, world):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(world.data / "one", "data/a", ignore=shutil.ignore_patterns("features"))
    (clip, *_) = manifest.load(Path("data"), "a").clips()
    shutil.copyfile(manifest.load(Path("data"), "a").root / clip.video, "clip.mp4")
    commands = _saved("tutorial-encoder.md", 24)
    assert [words[0] for words in commands] == ["extract", "train", "predict"]
    for words in commands:
        bundle = [str(path.parent) for path in Path("runs").glob("*/bundle/bundle.json")]
        words = [bundle[0] if word == "BUNDLE" else word for word in words]
        answer = mer(*words, *(["--set", "epochs=2"] if words[0] == "train" else []))
        assert answer.code == 0, (words, answer.err)
    assert "from audio" in answer.out
    (spec,) = Path("data/a/features/audio").glob("loudness-*/spec.json")
    assert json.loads(spec.read_text())


def test_the_encoder_of_the_tutorial_keeps_the_contract(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    _saved("tutorial-encoder.md", 24)
    if "loudness" not in [spec.name for spec in registry.specs("encoders")]:
        registry.load_file(tmp_path / "loudness.py")
    encoder = registry.build("encoders", "loudness", options={"step": 0.1})
    tone = np.sin(np.arange(16_000) / 40).astype(np.float32)
    batch = [Streams(audio=tone), Streams(audio=tone[:5000]), Streams(audio=np.zeros(8000, np.float32))]
    loud, short, silent = encoder.encode(batch)
    np.testing.assert_array_equal(encoder.encode(batch[1:2])[0].values, short.values)
    assert loud.values.shape == (10, encoder.dim)
    assert loud.values.dtype == loud.times.dtype == np.float32
    np.testing.assert_allclose(loud.times[[0, -1]], [[0, 0.1], [0.9, 1.0]])
    assert loud.valid.all()
    assert not silent.valid.any()
    assert np.isfinite(silent.values).all()
