"""Predicting over processes of which one is killed."""

from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest

from mercli import registry

DEADLY = '''
    """A transcriber that its process dies of where a clip is called bad."""
    import os, signal
    from mercli.registry import plugin

    @plugin("transcribers", "deadly")
    def deadly():
        """Deadly."""
        return Deadly()

    class Deadly:
        def transcribe(self, medium, audio):
            if medium.stem == "bad":
                os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.mark.slow
def test_a_clip_that_kills_its_worker_is_one_error_among_the_answers(mer, tmp_path, monkeypatch):
    import soundfile

    for kind in registry.KINDS:
        registry.specs(kind)
    monkeypatch.setattr(registry._state, "specs", dict(registry._state.specs))
    monkeypatch.setattr(registry._state, "files", [])
    (tmp_path / "deadly.py").write_text(textwrap.dedent(DEADLY))
    clips = [tmp_path / f"{name}.wav" for name in ("a", "bad", "c")]
    for clip in clips:
        soundfile.write(clip, np.sin(np.arange(16_000) / 20) / 3, 16_000)
    words = ("--plugin", tmp_path / "deadly.py", "--transcriber", "deadly", "--jobs", "2", "--format", "jsonl")
    answer = mer("predict", *clips, *words)
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 6
    assert [row["id"] for row in rows] == [str(clip) for clip in clips]
    assert [row["error"] for row in rows] == [None, "it killed 2 of 2 workers (out of memory?)", None]
