"""Extraction over several machines, in another precision, from media that changed; and the store it leaves."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from mercli import config
from mercli.corpora import manifest
from mercli.engines import devices
from mercli.errors import ConfigError
from mercli.features.store import Store
from mercli.jobs import extract as extracting
from mercli.jobs.features import encoding
from mercli.jobs.prepare import prepare
from mercli.types import Feature, Streams, StreamSettings, Transcript

WAY = ("--preset", "weightless", "--modalities", "audio", "text")


@pytest.fixture
def data(tmp_path, world):
    """A corpus of ten clips, prepared with hashes."""
    source, root = world.folder / "raw" / "one", tmp_path / "raw"
    (root / "train_splits").mkdir(parents=True)
    lines = (source / "train_sent_emo.csv").read_text().splitlines()[:11]
    (root / "train_sent_emo.csv").write_text("\n".join(lines) + "\n")
    for path in sorted((source / "train_splits").glob("*.mp4")):
        shutil.copy(path, root / "train_splits")
    flags = {"corpus.name": "meld", "root": str(root), "data": str(tmp_path / "data"), "hash": True}
    prepare(config.resolve(config.PrepareConfig, flags))
    return tmp_path / "data"


def stored(data, modality="audio"):
    (folder,) = (data / "meld" / "features" / modality).iterdir()
    return folder, Store(folder)


def test_parts_taken_at_any_time_are_disjoint_and_together_whole(mer, data):
    ids = {segment.id for segment in manifest.load(data, "meld").segments()}
    seen, again = set(), ("extract", "--corpora", "meld", "--data", data, *WAY)
    for part in ("2/3", "1/3", "3/3"):
        assert mer("extract", "--corpora", "meld", "--data", data, *WAY, "--shard", part, "-q").code == 0
        now = set(stored(data)[1].ids())
        assert len(now - seen) in (3, 4)
        seen = now
        if part == "2/3":
            (told,) = json.loads(mer(*again, "--shard", part, "--json").out)
            assert told["clips"] == 3
            assert told["missing"]["audio"] == {"of another shard": 7}
    assert seen == ids
    assert json.loads(mer(*again, "--json").out)[0]["encoded"] == 0


def test_a_part_is_judged_by_its_own_clips(mer, data):
    root = manifest.load(data, "meld").root / "train_splits"
    clips = list(dict.fromkeys(segment.clip_id for segment in manifest.load(data, "meld").segments()))
    for clip in clips[1::3]:
        (root / f"{clip.removeprefix('train/')}.mp4").unlink()
    answer = mer("extract", "--corpora", "meld", "--data", data, *WAY, "--shard", "1/3")
    assert answer.code == 4
    assert "3 of 3 clips of 'meld' could not be encoded" in answer.err
    assert "no transcript" not in answer.err


@pytest.mark.parametrize("text", ["4/3", "1", "a/b", "-1/2", "1/0"])
def test_a_part_that_cannot_be_is_refused(mer, data, text):
    answer = mer("extract", "--corpora", "meld", "--data", data, *WAY, f"--shard={text}")
    assert answer.code == 3
    assert "i/n" in answer.err


def test_a_clip_that_changed_since_it_was_prepared_is_told_and_the_others_are_encoded(mer, data):
    root = manifest.load(data, "meld").root / "train_splits"
    shutil.copy(root / "dia0_utt1.mp4", root / "dia0_utt0.mp4")
    (root / "dia0_utt2.mp4").unlink()
    answer = mer("extract", "--corpora", "meld", "--data", data, *WAY)
    assert answer.code == 6
    rows = [json.loads(line) for line in (data / "meld/failures.jsonl").read_text().splitlines()]
    assert {row["id"]: row["error"].split(" ", 1)[1] for row in rows}["train/dia0_utt0"].startswith("has changed")
    assert "train/dia0_utt2" in {row["id"] for row in rows}
    assert len(stored(data)[1]) == 8


def test_the_store_is_listed_checked_and_emptied(mer, data):
    mer("extract", "--corpora", "meld", "--data", data, *WAY, "-q")
    (audio, text) = json.loads(mer("store", "ls", "--data", data, "--json").out)
    assert (audio["encoder"], audio["segments"], audio["spec"]["encoder"]) == ("logmel-stats", 10, "logmel-stats")
    assert text["modality"] == "text"
    assert mer("store", "verify", "--data", data).code == 0
    folder, _ = stored(data)
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    answer = mer("store", "verify", "--data", data)
    assert answer.code == 4
    assert "cut short" in answer.err
    assert f"mer store rm --damaged --data {data}" in answer.err
    assert mer("store", "rm", "--damaged", "--data", data).code == 0
    assert not path.exists()
    assert mer("extract", "--corpora", "meld", "--data", data, *WAY, "-q").code == 0
    assert len(stored(data)[1]) == 10
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes() + b"junk")
    assert "goes on after its data, by 4 bytes" in mer("store", "verify", "--data", data).err
    assert mer("store", "verify", "--data", data / "absent").code == 4
    assert mer("store", "rm", "--data", data).code == 3
    assert mer("store", "rm", "--encoder", "logmel-stats", "--data", data).code == 0
    assert not folder.exists()
    assert stored(data, "text")[0].is_dir()


class Counting:
    """An encoder whose memory holds two pieces, and whose sums tell the precision they were made in."""

    modality, dim, settings, weights, trained_on, half = "text", 1, StreamSettings(), "", (), True

    def __init__(self):
        self.sizes = []

    def to(self, device):
        pass

    def encode(self, batch):
        self.sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.cuda.OutOfMemoryError("no memory")
        value = float(torch.nn.functional.linear(torch.full((1, 1), 1.001), torch.ones(1, 1)))
        row = np.full((1, 1), value, np.float32)
        return [Feature(row, np.zeros((1, 2), np.float32), np.ones(1, bool)) for _ in batch]


def test_memory_that_runs_out_halves_the_batch_and_nothing_is_lost():
    encoder = Counting()
    made = encoding.EncoderSet({"text": encoder}, {}, {"text": "counting"}, {"text": "fp32"})
    found = made.encode([Streams(id=str(n), transcript=Transcript("a", "given")) for n in range(7)])
    assert len(found) == 7
    assert all("text" in one for one in found)
    assert encoder.sizes == [7, 3, 1, 2, 4, 2, 2]


def test_half_precision_is_taken_only_where_it_was_resolved():
    values = {}
    for name in ("fp32", "bf16"):
        made = encoding.EncoderSet({"text": Counting()}, {}, {"text": "c"}, {"text": name})
        values[name] = float(made.encode([Streams(transcript=Transcript("a", "given"))])[0]["text"].values[0, 0])
    assert values["fp32"] == pytest.approx(1.001, abs=1e-6)
    assert values["bf16"] == 1.0


def test_fp16_is_refused_on_a_cpu_and_auto_never_takes_it_there():
    with pytest.raises(ConfigError, match="fp16"):
        devices.precision("fp16", "cpu")
    assert devices.precision("auto", "cpu") in ("fp32", "bf16")
    assert devices.precision("bf16", "cpu") == "bf16"


def test_half_precision_is_taken_where_layers_gain_by_it():
    def working(full, half):
        size = {False: full, True: half}
        return lambda: [torch.ones(1000) + 1 for _ in range(size[torch.is_autocast_enabled("cpu")])]

    assert devices.gain(working(2000, 200)) > 3
    assert devices.gain(working(200, 2000)) < 1 / 3


def test_workers_are_told_what_auto_stands_for_on_this_machine():
    recipe = config.resolve(config.ExtractConfig, {"corpora": ["x"], "recipe.precision": "auto"}).recipe
    assert encoding.settled(recipe).precision == devices.precision("auto", "cpu")
    assert encoding.settled(recipe).encoders == recipe.encoders


def test_small_encoders_stay_in_full_precision_and_keep_their_keys():
    flags = {"corpora": ["x"]}
    recipes = [
        config.resolve(config.ExtractConfig, flags | {"recipe.precision": name}, preset="weightless").recipe
        for name in ("fp32", "bf16")
    ]
    first, second = (encoding.build(recipe, ("audio", "text")) for recipe in recipes)
    assert first.keys == second.keys
    assert set(second.precisions.values()) == {"fp32"}
    assert extracting.PIECES == 16
