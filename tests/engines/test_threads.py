"""One thread for small networks; for large ones all cores of the process, or its share of them as a worker."""

from __future__ import annotations

import numpy as np
import pytest

from mercli.engines import devices
from mercli.engines.local import Local
from mercli.jobs.features.encoding import EncoderSet
from mercli.types import Feature, Streams, StreamSettings


class Counting:
    """An encoder that tells how many threads torch has while it encodes."""

    modality, dim, weights, trained_on, settings = "audio", 1, "none", (), StreamSettings()

    def __init__(self, half):
        self.half = half

    def to(self, device):
        pass

    def encode(self, batch):
        import torch

        row = np.full((1, 1), torch.get_num_threads(), np.float32)
        return [Feature(row, np.zeros((1, 2), np.float32), np.ones(1, bool)) for _ in batch]


@pytest.fixture
def cores(monkeypatch):
    import torch

    held = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "_threads", None)
    monkeypatch.setattr(devices, "cores", lambda: 3)
    devices.one_thread("cpu")
    yield
    torch.set_num_threads(held)


def counted(half: bool) -> int:
    made = EncoderSet({"audio": Counting(half)}, {"audio": "k"}, {"audio": "n"}, {"audio": "fp32"})
    (found,) = made.encode([Streams(audio=np.zeros(8, np.float32))])
    return int(found["audio"].values[0, 0])


def test_a_large_encoder_has_all_cores_and_a_small_one_a_single_thread(cores):
    import torch

    assert counted(half=False) == 1
    assert counted(half=True) == 3
    assert torch.get_num_threads() == 1, "what runs beside it is small again"


def test_a_worker_has_its_share_and_what_the_user_set_stands(cores, monkeypatch):
    assert [devices.share(jobs) for jobs in (1, 2, 3, 8)] == [3, 1, 1, 1]
    monkeypatch.setattr(devices, "_threads", 2)
    assert counted(half=True) == 2
    monkeypatch.setattr(devices, "_threads", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert devices.share(8) == 2
    assert counted(half=True) == 2


def test_on_a_gpu_the_cpu_s_threads_stay_as_they_are(cores):
    import torch

    with devices.many_threads("cuda:0"):
        assert torch.get_num_threads() == 1


def count(_):
    return counted(half=True), counted(half=False)


def test_worker_processes_are_told_their_share(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(devices, "cores", lambda: 6)
    assert set(Local(2).map(count, range(2))) == {(3, 1)}
