from __future__ import annotations

import dataclasses
import json

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from torch import nn  # noqa: E402

from mercli.features.embedded.stored import unpacked  # noqa: E402
from mercli.tuning.embedded.data import Batch, log_prior  # noqa: E402
from mercli.tuning.embedded.evaluate import recalls  # noqa: E402
from mercli.tuning.embedded.export import write  # noqa: E402
from mercli.tuning.embedded.recipes import Recipe  # noqa: E402
from mercli.tuning.embedded.trainer import Draw, precision, soft_cross_entropy, train  # noqa: E402

RECIPE = Recipe(epochs=3, batch=8, lr=0.01, mixup=0.0, precision="fp32", evaluate_every=1, ema=0.9)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.2)
        self.classify = nn.Linear(4, 7)

    def forward(self, points):
        embedding = self.dropout(self.norm(points))
        return self.classify(embedding), embedding


@dataclasses.dataclass
class MadeTask:
    """Gaussian clouds, one a class; every batch is jittered."""

    recipe: Recipe = RECIPE
    trained_on: tuple = ({"corpus": "made", "split": "train"},)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(3)
        self.labels = torch.randint(0, 7, (40,), generator=generator)
        self.points = torch.randn(7, 4, generator=generator)[self.labels] * 3
        self.seen = []

    def network(self):
        return Small()

    def batch(self, indices, progress, generator):
        self.seen.append((indices.tolist(), progress))
        points = self.points[indices]
        points = points + 0.1 * torch.randn(points.shape, generator=generator)
        return Batch({"points": points}, F.one_hot(self.labels[indices], 7).float(), log_prior(self.labels))

    def evaluate(self, network):
        with torch.inference_mode():
            accuracy, uar = recalls(network(points=self.points)[0], self.labels)
        return {"accuracy": accuracy, "uar": uar}


def state(trainer):
    return {f"{k}": v for k, v in trainer.model.state_dict().items()}, dict(trainer.average.state)


def test_training_learns_and_writes_a_line_of_figures_an_epoch(tmp_path, capsys):
    task = MadeTask(dataclasses.replace(RECIPE, epochs=6, lr=0.1))
    train(task, tmp_path)
    assert capsys.readouterr().out == ""
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["accuracy"] > lines[0]["accuracy"]
    assert all(0 <= progress < 1 for _, progress in task.seen)


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    whole = train(MadeTask(), tmp_path / "whole")

    class KilledError(Exception):
        pass

    class Dying(MadeTask):
        def batch(self, indices, progress, generator):
            if len(self.seen) == 7:
                raise KilledError
            return super().batch(indices, progress, generator)

    with pytest.raises(KilledError):
        train(Dying(), tmp_path / "parted")
    torch.manual_seed(12345)
    rest = MadeTask()
    parted = train(rest, tmp_path / "parted", resume=True)
    assert len(rest.seen) == 10
    for one, other in zip(state(whole), state(parted), strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key


def test_a_training_goes_on_from_a_checkpoint_that_was_written_to_its_end(tmp_path):
    done = train(MadeTask(), tmp_path, save_total_limit=None)
    figures = (tmp_path / "metrics.jsonl").read_text()
    *_, before, newest = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    assert (before / "average.safetensors").stat().st_mtime_ns <= (before / "trainer_state.json").stat().st_mtime_ns
    (newest / "trainer_state.json").write_text("")
    (newest / "average.safetensors").unlink()
    again = MadeTask()
    trainer = train(again, tmp_path, resume=True)
    assert again.seen
    for one, other in zip(state(done), state(trainer), strict=True):
        assert all(torch.equal(one[key], other[key]) for key in one)
    epochs = [
        [json.loads(row)["epoch"] for row in text.splitlines()]
        for text in (figures, (tmp_path / "metrics.jsonl").read_text())
    ]
    assert epochs[0] == epochs[1]  # the epoch that was learned again is told once


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    done = train(MadeTask(), tmp_path)
    again = MadeTask()
    trainer = train(again, tmp_path, resume=True)
    assert again.seen == []
    assert all(torch.equal(done.average.state[key], value) for key, value in trainer.average.state.items())
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_a_training_begins_with_the_weights_that_it_is_given(tmp_path):
    start = {name: torch.full_like(value, 0.5) for name, value in MadeTask().network().state_dict().items()}
    still = train(MadeTask(dataclasses.replace(RECIPE, lr=0.0, weight_decay=0.0)), tmp_path, start=start)
    for name, value in still.average.state.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(value, start[name])


def test_the_average_follows_the_weights(tmp_path):
    trainer = train(MadeTask(dataclasses.replace(RECIPE, ema=0.0)), tmp_path)
    for key, value in trainer.model.state_dict().items():
        torch.testing.assert_close(trainer.average.state[key], value)


def test_an_epoch_without_balance_is_a_permutation_and_differs_from_the_next():
    draw = Draw(torch.arange(7).repeat(20), 0.0, seed=1)
    first = list(draw)
    draw.set_epoch(1)
    second = list(draw)
    assert sorted(first) == sorted(second) == list(range(140))
    assert first != second


def test_full_balance_draws_the_classes_alike():
    labels = torch.cat((torch.zeros(9000, dtype=torch.long), torch.ones(1000, dtype=torch.long)))
    drawn = labels[list(Draw(labels, 1.0, seed=1))]
    assert abs(drawn.float().mean().item() - 0.5) < 0.03
    assert log_prior(labels, 2, 1.0).exp().tolist() == pytest.approx([0.5, 0.5])


def test_soft_cross_entropy_is_torch_s_own():
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 7), torch.randint(0, 7, (6,))
    expected = F.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(soft_cross_entropy(logits, F.one_hot(labels, 7).float(), 0.1), expected)


def test_precision_is_what_the_recipe_says_or_what_the_machine_has():
    assert precision(dataclasses.replace(RECIPE, precision="bf16")) == "bf16"
    assert precision(dataclasses.replace(RECIPE, precision="auto")) in ("bf16", "fp32")


def test_exported_weights_come_back_as_the_rounded_ones(tmp_path):
    network = Small()
    path = write(tmp_path, "made", network.state_dict(), {"trained_on": [{"corpus": "made", "split": "train"}]})
    back = unpacked(load_file(path))
    assert set(back) == set(network.state_dict()) - {"norm.num_batches_tracked"}
    for key, value in back.items():
        assert torch.equal(value, network.state_dict()[key].half().float())
        assert value.dtype == torch.float32
    assert json.loads((tmp_path / "made.json").read_text())["trained_on"][0]["corpus"] == "made"
    first = path.read_bytes()
    write(tmp_path, "made", network.state_dict(), {})
    assert path.read_bytes() == first
