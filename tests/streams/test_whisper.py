from __future__ import annotations

import http.client
import http.server
import logging
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.streams import whisper_asr, whisper_weights
from mercli.streams.trust import trust_of
from tests.streams.clips import make_clip
from tests.streams.voices import silence, voice
from tests.streams.whispers import random_checkpoint

CLIP = Path("clip.mp4")
LINE = "no speech recognition"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("whisper") / "tiny-random.pt")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    """Every test is a new process as far as weights are concerned, with a cache of its own and no network."""

    def refuse(*address, **options):
        raise OSError("network is unreachable")

    whisper_weights._named.cache_clear()
    whisper_asr._network.cache_clear()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(whisper_weights.urllib.request, "urlopen", refuse)
    yield
    whisper_weights._named.cache_clear()
    whisper_asr._network.cache_clear()


def transcriber(**options):
    return registry.build("transcribers", "whisper", options=options)


def spoken():
    return [silence(1.0), voice(2.0), silence(1.0)]


def test_words_have_times_within_the_speech_and_the_doubts_are_kept(tiny):
    transcript = transcriber(model=str(tiny), device="cpu").transcribe(CLIP, spoken)
    assert transcript.source == "whisper"
    (heard,) = transcript.heard
    assert 0.8 <= heard.start < heard.end <= 3.3
    assert transcript.trust == pytest.approx(trust_of(heard.avg_logprob, heard.no_speech_prob, heard.compression_ratio))
    assert transcript.words
    assert all(heard.start <= w.start <= w.end <= heard.end and 0 <= w.confidence <= 1 for w in transcript.words)
    assert "".join(w.text for w in transcript.words) == "".join(transcript.text.split())


def test_the_language_is_told_or_taken_as_given(tiny):
    from whisper.tokenizer import LANGUAGES

    assert transcriber(model=str(tiny), device="cpu").transcribe(CLIP, spoken).language in LANGUAGES
    assert transcriber(model=str(tiny), language="German", device="cpu").transcribe(CLIP, spoken).language == "de"
    with pytest.raises(ConfigError, match="klingon"):
        transcriber(model=str(tiny), language="klingon", device="cpu").transcribe(CLIP, spoken)


def test_the_same_clip_gives_the_same_words(tiny):
    first, second = (transcriber(model=str(tiny), device="cpu").transcribe(CLIP, spoken) for _ in range(2))
    assert first == second


def test_a_random_network_is_marked_as_doubtful(tiny, caplog):
    with caplog.at_level(logging.INFO, "mer"):
        transcript = transcriber(model=str(tiny), device="cpu").transcribe(CLIP, spoken)
    assert transcript.trust < 0.5
    assert "trust" in caplog.text


def test_silence_and_no_audio_have_no_words(tiny):
    assert transcriber(model=str(tiny), device="cpu").transcribe(CLIP, lambda: [silence(3.0)]) is None
    assert transcriber(model=str(tiny), device="cpu").transcribe(CLIP, None) is None


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"no tensors here")
    with pytest.raises(DataError, match=r"broken\.pt"):
        transcriber(model=str(path), device="cpu").transcribe(CLIP, spoken)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "evil.pt"
    torch.save({"dims": {}, "model_state_dict": threading.Thread}, path)
    with pytest.raises(DataError, match=r"evil\.pt"):
        transcriber(model=str(path), device="cpu").transcribe(CLIP, spoken)


def test_wrong_names_and_paths_are_errors_with_the_near_name(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        transcriber(model="bas").transcribe(CLIP, spoken)
    with pytest.raises(DataError, match=r"gone\.pt"):
        transcriber(model=str(tmp_path / "gone.pt")).transcribe(CLIP, spoken)


@pytest.mark.parametrize("offline", [True, False])
def test_absent_weights_leave_one_line_and_no_words(caplog, tmp_path, offline):
    for _ in range(3):
        assert transcriber(offline=offline).transcribe(CLIP, spoken) is None
    (record,) = [r for r in caplog.records if LINE in r.message]
    assert record.levelno == logging.WARNING
    assert "base.pt" in record.message
    assert str(tmp_path / "cache" / "whisper") in record.message
    assert ("unreachable" in record.message) is not offline
    assert "\n" not in record.message


def test_a_damaged_file_in_the_cache_is_told_from_an_absent_one(caplog, tmp_path):
    (tmp_path / "base.pt").write_bytes(b"half of it")
    assert transcriber(weights=str(tmp_path), offline=True).transcribe(CLIP, spoken) is None
    assert "damaged" in caplog.text
    assert (tmp_path / "base.pt").read_bytes() == b"half of it"


def test_a_look_up_that_hangs_is_given_up(monkeypatch, caplog):
    release = threading.Event()
    monkeypatch.setattr(whisper_weights.urllib.request, "urlopen", lambda *a, **o: release.wait())
    monkeypatch.setattr(whisper_weights, "ANSWER_SECONDS", 0.05)
    assert transcriber().transcribe(CLIP, spoken) is None
    release.set()
    assert "no answer within" in caplog.text


def test_the_bounds_of_a_fetch_leave_time_within_five_seconds():
    assert whisper_weights.CONNECT_SECONDS <= whisper_weights.ANSWER_SECONDS <= 4.5


@contextmanager
def server(content: bytes):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as http_server:
        threading.Thread(target=http_server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()


def opened(monkeypatch, address: str):
    """Let the fetch reach a server of the test's own, at ``address``."""
    host = address.removeprefix("http://").partition("/")[0]

    def urlopen(url, timeout):
        connection = http.client.HTTPConnection(host, timeout=timeout)
        connection.request("GET", "/")
        return connection.getresponse()

    monkeypatch.setattr(whisper_weights.urllib.request, "urlopen", urlopen)


def test_weights_that_can_be_fetched_are_fetched_whole_and_silently(monkeypatch, tmp_path, capsys):
    import hashlib

    content = np.random.default_rng(0).bytes(3_000_000)
    with server(content) as address:
        opened(monkeypatch, address)
        checkpoints = {"small": f"{address}/{hashlib.sha256(content).hexdigest()}/small.pt"}
        monkeypatch.setattr(whisper_weights, "checkpoints", lambda: checkpoints)
        found = whisper_weights.locate("small", tmp_path / "new")
    assert found.read_bytes() == content
    assert [path.name for path in found.parent.iterdir()] == ["small.pt"]
    assert capsys.readouterr() == ("", "")


def test_a_page_in_place_of_the_weights_is_not_kept(monkeypatch, tmp_path, caplog):
    with server(b"<html>please log in</html>") as address:
        opened(monkeypatch, address)
        assert whisper_weights.locate("base", tmp_path) is None
    assert list(tmp_path.glob("*.pt")) == []
    assert list(tmp_path.glob(".base*")) == []
    assert "checksum" in caplog.text


def test_the_table_of_checkpoints_is_whisper_s_own():
    import whisper

    assert whisper_weights.checkpoints() == whisper._MODELS


def test_auto_takes_the_sidecar_then_the_subtitles_then_whisper(tmp_path, tiny):
    auto = registry.build("transcribers", "auto", options={"model": str(tiny), "device": "cpu"})
    clip = make_clip(tmp_path / "a.mp4", seconds=1.0, subtitles=[(0.0, 1.0, "<i>so glad</i>")])
    assert (auto.transcribe(clip, spoken).source, auto.transcribe(clip, spoken).text) == ("subtitles", "so glad")
    (tmp_path / "a.txt").write_text("from beside")
    assert auto.transcribe(clip, spoken).text == "from beside"
    plain = make_clip(tmp_path / "b.mp4", seconds=1.0)
    assert auto.transcribe(plain, spoken).source == "whisper"


def test_auto_has_no_words_where_there_is_nothing(tmp_path, caplog):
    auto = registry.build("transcribers", "auto", options={})
    assert auto.transcribe(make_clip(tmp_path / "b.mp4", seconds=1.0), spoken) is None
    assert len([r for r in caplog.records if LINE in r.message]) == 1


def test_none_never_has_words(tmp_path):
    (tmp_path / "a.txt").write_text("from beside")
    assert registry.build("transcribers", "none").transcribe(tmp_path / "a.mp4", spoken) is None


def test_every_transcriber_is_listed_with_a_summary():
    names = {spec.name for spec in registry.specs("transcribers")}
    assert names >= {"auto", "none", "sidecar", "subtitles", "whisper"}
    assert all(spec.summary for spec in registry.specs("transcribers"))


def test_no_port_is_opened_offline(monkeypatch):
    def no_socket(*args, **options):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "create_connection", no_socket)
    assert transcriber(offline=True).transcribe(CLIP, spoken) is None
