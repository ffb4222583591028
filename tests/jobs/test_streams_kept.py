"""Streams decoded once serve several encoders: what is encoded from them is what the media themselves give."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from mercli import config
from mercli.corpora import manifest
from mercli.jobs import extract as extracting
from mercli.jobs.clips import kept
from mercli.jobs.prepare import prepare

CLIPS = 3


@pytest.fixture
def corpus(tmp_path, world):
    """Three clips of a made corpus in MELD's layout, the last of them torn."""
    root = tmp_path / "raw"
    (root / "train_splits").mkdir(parents=True)
    source = world.folder / "raw" / "one"
    lines = (source / "train_sent_emo.csv").read_text().splitlines()[: CLIPS + 1]
    (root / "train_sent_emo.csv").write_text("\n".join(lines) + "\n")
    for number in range(CLIPS):
        shutil.copy(source / f"train_splits/dia0_utt{number}.mp4", root / "train_splits")
    torn = root / f"train_splits/dia0_utt{CLIPS - 1}.mp4"
    torn.write_bytes(torn.read_bytes()[:2000])
    return root


def prepared(root, data, *sets, **flags):
    given = {"corpus.name": "meld", "root": str(root), "data": str(data), **flags}
    return prepare(config.resolve(config.PrepareConfig, given, sets=(*sets, *WEIGHTLESS)))


ENCODERS = {"audio": "logmel-stats", "face": "face-geometry", "text": "hashed-ngrams"}
WEIGHTLESS = ["recipe.encoders=" + json.dumps({modality: {"name": name} for modality, name in ENCODERS.items()})]


def extracted(data, *modalities):
    flags = {"corpora": ["meld"], "data": str(data), "modalities": list(modalities or ("audio", "face", "text"))}
    settings = config.resolve(config.ExtractConfig, flags, preset="weightless")
    (coverage,) = extracting.extract(settings)
    held = manifest.load(data, "meld")
    encoders = extracting.encoding.build(settings.recipe, settings.modalities)
    return coverage, {
        (m, s.id): store.get(s.id) for m, store in extracting.stores(held, encoders).items() for s in held.segments()
    }


def test_features_of_kept_streams_are_those_of_the_media_and_the_media_are_not_opened_again(
    tmp_path, corpus, monkeypatch
):
    direct, kept_ = tmp_path / "direct", tmp_path / "kept"
    prepared(corpus, direct)
    _, expected = extracted(direct)
    assert prepared(corpus, kept_, streams=True).streams == (CLIPS, 0)
    files = list((kept_ / "meld/streams").rglob("*"))
    assert sorted({path.suffix for path in files if path.is_file()}) == [".flac", ".json", ".png"]

    def refuse(*args):
        raise AssertionError("a medium was decoded although its streams are kept")

    monkeypatch.setattr("mercli.jobs.clips.pieces.cut", refuse)
    coverage, found = extracted(kept_)
    assert coverage.failed == 0
    assert found.keys() == expected.keys()
    for key, feature in expected.items():
        if feature is None:
            assert found[key] is None
            continue
        np.testing.assert_allclose(found[key].values, feature.values, atol=2e-4, rtol=1e-3)
        np.testing.assert_allclose(found[key].times, feature.times, atol=1e-6)


def test_streams_of_a_changed_segment_are_made_again(tmp_path, corpus):
    prepared(corpus, tmp_path / "data", streams=True)
    held = manifest.load(tmp_path / "data", "meld")
    clips = {clip.id: clip for clip in held.clips()}
    segment = next(held.segments())
    (folder,) = (held.folder / "streams").iterdir()
    assert kept.there(folder, segment, clips[segment.clip_id])
    shorter = extracting.replace(segment, end=0.5)
    assert kept.read(folder, shorter, clips[segment.clip_id]) is None


def test_a_piece_lost_from_the_kept_streams_is_told(tmp_path, corpus):
    prepared(corpus, tmp_path / "data", streams=True)
    next((tmp_path / "data/meld/streams").rglob("*.flac")).unlink()
    coverage, _ = extracted(tmp_path / "data")
    assert coverage.failed == 1
    row = json.loads((tmp_path / "data/meld/failures.jsonl").read_text())
    assert "stored sound" in row["error"]


def test_a_torn_medium_leaves_its_text(tmp_path, corpus):
    prepared(corpus, tmp_path / "data")
    coverage, found = extracted(tmp_path / "data")
    last = f"meld/train/dia0_utt{CLIPS - 1}/0"
    assert coverage.failed == 0
    assert found["text", last] is not None
    assert found["audio", last] is None
    assert any("does not decode" in why for why in coverage.missing["face"])


def test_faces_are_the_same_with_and_without_the_sound_being_encoded(tmp_path, corpus):
    for name, runs in (("together", [()]), ("apart", [("face",), ("audio", "text")])):
        prepared(corpus, tmp_path / name)
        for modalities in runs:
            extracted(tmp_path / name, *modalities)
    _, together = extracted(tmp_path / "together")
    _, apart = extracted(tmp_path / "apart")
    for key, feature in together.items():
        assert (feature is None) == (apart[key] is None)
        if feature is not None:
            np.testing.assert_array_equal(feature.values, apart[key].values)
