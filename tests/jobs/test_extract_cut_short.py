"""Extraction cut short by the machine or its user: nothing torn is left, and the same command again makes it whole."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from mercli import registry
from mercli.corpora import manifest
from mercli.engines import devices
from mercli.errors import DataError
from mercli.features.store import Store, read_segment
from mercli.jobs import extract as extracting
from mercli.types import Clip

TEXT = ("--preset", "weightless", "--modalities", "text", "-q")
SLOW = '''
    """An encoder of text that says what it has begun, takes its time, and kills its process at some segments."""
    import os, signal, time
    from pathlib import Path
    import numpy as np
    from mercli.registry import plugin
    from mercli.types import Feature, StreamSettings

    @plugin("encoders", "slow-text", modality="text", dim=1, trained_on=())
    def slow_text(*, notes: str, seconds: float = 0.0):
        """Slow."""
        return Slow(Path(notes), seconds)

    class Slow:
        modality, dim, settings, weights, trained_on = "text", 1, StreamSettings(), "none", ()

        def __init__(self, notes, seconds):
            self.notes, self.seconds = notes, seconds

        def to(self, device):
            pass

        def encode(self, batch):
            return [self._one(streams) for streams in batch]

        def _one(self, streams):
            if (self.notes / "deadly").is_file() and streams.id in (self.notes / "deadly").read_text().split():
                os.kill(os.getpid(), signal.SIGKILL)
            with (self.notes / "begun").open("a") as handle:
                handle.write(streams.id + "\\n")
            time.sleep(self.seconds)
            return Feature(np.ones((1, 1), np.float32), np.zeros((1, 2), np.float32), np.ones(1, bool))
'''


@pytest.fixture
def data(tmp_path, world):
    """The prepared corpus ``one`` of 35 clips without any feature."""
    shutil.copytree(world.data / "one", tmp_path / "data" / "one", ignore=shutil.ignore_patterns("features"))
    return tmp_path / "data"


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """The options for an encoder that tells what it does in a folder, which comes first."""
    for kind in registry.KINDS:
        registry.specs(kind)
    monkeypatch.setattr(registry._state, "specs", dict(registry._state.specs))
    monkeypatch.setattr(registry._state, "files", [])
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    encoder = json.dumps({"name": "slow-text", "options": {"notes": str(tmp_path)}})
    given = ("--plugin", tmp_path / "slow.py", "--set", f"recipe.encoders.text={encoder}")
    return tmp_path, (*given, "--modalities", "text", "-q")


def command(*words):
    return [sys.executable, "-m", "mercli", *map(str, words)]


def rows(data, modality="text"):
    """Return the store of a modality, every file of it read to its end."""
    (folder,) = (data / "one" / "features" / modality).iterdir()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    return Store(folder)


def same_as(store, reference):
    assert sorted(store.ids()) == sorted(reference.ids())
    for identity in reference.ids():
        np.testing.assert_array_equal(store.get(identity).values, reference.get(identity).values)


def test_a_full_disk_stops_cleanly_with_a_hint_and_the_rest_is_made_when_there_is_room(mer, data, world, monkeypatch):
    monkeypatch.setattr("mercli.jobs.features.storing.FLUSH", 8)
    words = ("extract", "--corpora", "one", "--data", data, *TEXT)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        answer = mer(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.code == 4
    assert "cannot write" in answer.err
    assert "features/text/hashed-ngrams-" in answer.err
    assert "File too large" in answer.err
    assert "df -h" in answer.err
    assert "Traceback" not in answer.err
    assert len(rows(data)) == 0
    assert mer(*words).code == 0
    same_as(rows(data), rows(world.data))
    assert mer("store", "verify", "--data", data).code == 0


def test_two_at_once_both_end_well_and_leave_every_row_once(data, world):
    words = command("extract", "--corpora", "one", "--data", data, *TEXT, "--json")
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert [json.loads(out)[0]["present"]["text"] for out, _ in answers] == [35, 35]
    same_as(rows(data), rows(world.data))
    held = [i for path in rows(data).folder.glob("*.safetensors") for i in read_segment(path)[1]["ids"]]
    assert len(held) == 35


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_keeps_what_was_finished_and_the_same_command_makes_the_rest(mer, data, slow, sent, code):
    notes, words = slow
    words = ("extract", "--corpora", "one", "--data", data, *words, "--batch", "1")
    begun = notes / "begun"
    process = subprocess.Popen(
        command(*words, "--set", "recipe.encoders.text.options.seconds=0.2"),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL),  # a shell's background jobs inherit an ignored SIGINT
    )
    while process.poll() is None and not (begun.is_file() and len(begun.read_text().split()) > extracting.CHUNK):
        time.sleep(0.05)
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said in ("mer: interrupted\n", "mer: terminated\n")
    assert len(rows(data)) == extracting.CHUNK
    begun.unlink()
    assert mer(*words, "--set", "recipe.encoders.text.options.seconds=0.2").code == 0
    assert len(rows(data)) == 35
    assert len(begun.read_text().split()) == 35 - extracting.CHUNK


@pytest.mark.slow
def test_a_clip_that_kills_its_worker_is_told_and_the_others_of_its_chunk_are_stored(mer, data, slow, monkeypatch):
    notes, words = slow
    ids = [segment.id for segment in manifest.load(data, "one").segments()]
    (notes / "deadly").write_text(ids[4])
    monkeypatch.setattr(extracting, "CHUNK", 3)
    words = ("extract", "--corpora", "one", "--data", data, *words)
    answer = mer(*words, "--jobs", "2", "--set", "engine.options.retries=0")
    assert answer.code == 6
    (row,) = [json.loads(line) for line in (data / "one" / "failures.jsonl").read_text().splitlines()]
    assert ids[4].startswith(f"one/{row['id']}/")
    assert row["error"] == "it killed 1 of 1 workers (out of memory?)"
    assert sorted(rows(data).ids()) == sorted({*ids} - {ids[4]})
    (notes / "deadly").unlink()
    assert mer(*words).code == 0
    assert sorted(rows(data).ids()) == sorted(ids)
    assert not (data / "one" / "failures.jsonl").exists()


class Hopeless:
    """An engine whose workers die of everything."""

    def map(self, work, items, lost=None):
        return (lost(item, "killed") for item in items)


@pytest.mark.parametrize(("chunks", "ends"), [(2, False), (3, True), (9, True)])
def test_workers_that_die_of_whatever_they_get_end_it_at_once(chunks, ends):
    clip = extracting.Unit(None, Clip("a", "one"), (), ("text",))
    filling = extracting.Filling(None, {}, [clip] * chunks * extracting.CHUNK, (0, 1), extracting.Coverage("one"))
    if ends:
        with pytest.raises(DataError, match="workers were killed whatever clips they had") as fault:
            list(extracting._spread(Hopeless(), None, [filling]))
        assert fault.value.hint == "--jobs 1"
    else:
        made = [row for _, encoded in extracting._spread(Hopeless(), None, [filling]) for row in encoded.failures]
        assert made == [{"id": "a", "error": "killed"}] * chunks * extracting.CHUNK


@pytest.mark.skipif(devices.cuda_devices() > 0, reason="CUDA is here")
@pytest.mark.parametrize("words", [["--device", "cuda"], ["--device", "cuda:1", "--jobs", "2"]])
def test_cuda_asked_for_where_there_is_none_is_exit_code_5(mer, data, words):
    answer = mer("extract", "--corpora", "one", "--data", data, *TEXT, *words)
    assert answer.code == 5
    assert "0 CUDA devices are here" in answer.err
    assert not (data / "one" / "features").exists()


def test_features_that_a_worker_would_make_otherwise_are_refused(data):
    settings = extracting.ExtractConfig(corpora=("one",), data=str(data), modalities=("text",)).model_dump_json(
        exclude={"corpora", "runs", "data", "engine", "shard"}
    )
    with pytest.raises(extracting.ConfigError, match="its weights or versions are other ones"):
        extracting._encode(settings, {"text": "000000000000"}, [])
