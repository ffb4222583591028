"""``prepare --transcribe``: who has no words gets them, from the cheapest source, and hearing is never done twice."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from mercli.config import Choice
from mercli.corpora import manifest
from mercli.engines import devices
from mercli.jobs.clips import transcribing, transcripts
from mercli.streams.whisper_asr import WhisperTranscriber
from tests.streams.clips import make_clip
from tests.streams.voices import silence, voice
from tests.streams.whispers import random_checkpoint


def speech(times):
    track = np.concatenate([silence(1.0), voice(2.0), silence(1.0)])
    return np.interp(times, np.arange(len(track)) / 16_000, track)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(
        tmp_path_factory.mktemp("said") / "a.wav", seconds=4.0, picture=None, audio_rate=16_000, sound=speech
    )


@pytest.fixture
def root(tmp_path, clip):
    folder = tmp_path / "raw"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        shutil.copy(clip, folder / name)
    (folder / "b.srt").write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nit is there\n\n2\n00:00:02,000 --> 00:00:03,000\nover now\n"
    )
    (folder / "list.csv").write_text(
        "path,label,text,start,end\na.wav,joy,,,\nb.wav,sad,,0,2\nb.wav,joy,,2,4\nb.wav,joy,given words,0,4\n"
    )
    return folder


def prepare(mer, root, *more):
    words = ("prepare", "--corpus", "csv", "--root", root, "--data", root.parent / "data", "--transcribe", "-q")
    answer = mer(*words, "--set", "transcriber.options.device=cpu", *more)
    assert answer.code == 0, answer.err
    return list(manifest.load(root.parent / "data", "csv").segments())


def test_a_sidecar_is_cut_to_each_segment_and_given_words_stay(mer, root):
    segments = prepare(mer, root, "--set", "transcriber.options.offline=true")
    assert [(s.text, s.text_source) for s in segments] == [
        (None, None),
        ("it is there", "sidecar"),
        ("over now", "sidecar"),
        ("given words", "corpus"),
    ]
    assert segments[1].words[0].text == "it"
    assert segments[1].language == "en"


def test_what_was_heard_is_kept_by_content_and_heard_once(mer, root, tmp_path, monkeypatch):
    model = random_checkpoint(tmp_path / "tiny.pt")
    options = ("--set", f"transcriber.options.model={model}")
    heard = []
    real = transcribing.Finder.of
    monkeypatch.setattr(
        transcribing.Finder,
        "of",
        lambda self, path: (self.name == "whisper" and heard.append(path.name)) or real(self, path),
    )
    first = prepare(mer, root, *options)
    assert heard == ["a.wav"]
    assert (first[0].text_source, first[0].text_trust is not None) == ("whisper", True)
    assert 0.8 < first[0].words[0].start < first[0].words[-1].end <= 3.3
    shutil.move(root / "a.wav", root / "renamed.wav")
    (root / "list.csv").write_text((root / "list.csv").read_text().replace("a.wav", "renamed.wav"))
    again = prepare(mer, root, *options)
    assert heard == ["a.wav"]
    assert (again[0].text, again[0].words, again[0].text_trust) == (first[0].text, first[0].words, first[0].text_trust)
    (root / "renamed.txt").write_text("a person wrote this")
    assert prepare(mer, root, *options)[0].text == "a person wrote this"


def test_a_medium_of_many_segments_is_read_for_its_content_once(mer, root, tmp_path, monkeypatch):
    model = random_checkpoint(tmp_path / "tiny.pt")
    (root / "list.csv").write_text("path,label,start,end\n" + "".join(f"a.wav,joy,{n},{n + 1}\n" for n in range(4)))
    read = []
    real = transcribing.hashlib.file_digest
    monkeypatch.setattr(
        transcribing.hashlib, "file_digest", lambda handle, kind: read.append(handle.name) or real(handle, kind)
    )
    prepare(mer, root, "--set", f"transcriber.options.model={model}")
    assert read == [str(root / "a.wav")]


def test_offline_asks_no_network_for_weights(mer, root, tmp_path, monkeypatch):
    asked = []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("mercli.streams.whisper_weights._fetch", lambda url, *_: asked.append(url))
    prepare(mer, root, "--offline")
    assert not asked


def test_a_transcriber_with_a_network_has_the_threads_of_its_process_and_gives_them_back(root, monkeypatch):
    held = []
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(devices, "_threads", None)
    monkeypatch.setattr(WhisperTranscriber, "transcribe", lambda *_: held.append(torch.get_num_threads()))
    devices.one_thread("cpu")
    transcripts.Finder(Choice(name="whisper"), "cpu").of(next(root.glob("*.wav")))
    assert (held, torch.get_num_threads()) == ([3], 1)
