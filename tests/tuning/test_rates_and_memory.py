"""What spares memory and what warms up changes no result but that; a disk that is full is called so."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from mercli.config_tune import Rates  # noqa: E402
from mercli.errors import DataError  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from mercli.tuning import tuner  # noqa: E402
from mercli.tuning.warming import Warming  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402


def told(run):
    return [json.loads(line) for line in (run / "checkpoints" / "metrics.jsonl").read_text().splitlines()]


def test_rates_rise_evenly_to_what_they_were_made_with_and_are_left_alone_then():
    parts = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.1, 0.4)]
    optimizer = torch.optim.SGD(parts)
    warming, seen = Warming(optimizer, 0.5), []
    for step in range(8):
        if step == 5:
            optimizer.param_groups[0]["lr"] = 0.01  # a plateau
        warming.on_step_begin(None, SimpleNamespace(max_steps=8, global_step=step), None, optimizer=optimizer)
        seen.append([group["lr"] for group in optimizer.param_groups])
    assert [second for _, second in seen] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4])
    assert [first for first, _ in seen] == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.01, 0.01, 0.01])


@pytest.mark.slow
def test_a_plateau_is_warmed_up_to(made):
    rates = Rates(lr=1e-3, schedule="plateau", warmup=0.75)
    found = told(job.finetune(config(made, "text", str(made / "bert"), rates=rates)).run)
    assert 0 < found[0]["lr"] < found[1]["lr"] == 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "encoder"), [("text", ""), ("audio", "smil-audio:")])
def test_checkpointed_gradients_are_the_same(made, modality, encoder):
    start = f"{encoder}{made / ('bert' if modality == 'text' else 'wav2vec2')}"
    plain, spared = (
        told(job.finetune(config(made, modality, start, epochs=1, checkpointing=on)).run) for on in (False, True)
    )
    assert spared[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-5)
    assert spared[0]["dev_loss"] == pytest.approx(plain[0]["dev_loss"], rel=1e-5)


@pytest.mark.parametrize(("free", "said"), [(0, "no space is left on the disk"), (2**30, "unexpected pos 32704")])
def test_a_full_disk_is_called_so_whatever_the_library_says(tmp_path, monkeypatch, free, said):
    monkeypatch.setattr(tuner.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    with pytest.raises(DataError, match=said), tuner._whole(folder):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 32704 vs 32592")
    assert not folder.exists()
