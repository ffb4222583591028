"""Modality dropout of whole batches: which copies there are, and what stays with them."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.config import TrainConfig, resolve
from mercli.contracts import HeadOutput
from mercli.errors import ConfigError
from mercli.fusion import dropout, loop
from mercli.jobs.fits import planning
from mercli.types import LabelScheme

from .sequences import batch_of

DIMS = {"audio": 3, "face": 2, "text": 4}
PAIR = LabelScheme("pair", "one-of", ("a", "b"))
LENGTHS = {"audio": [4, 2, 3], "face": [1, 5, 2], "text": [1, 1, 0]}


def grown(kind, lengths=LENGTHS, seed=0):
    batch = batch_of(DIMS, lengths)
    batch.log_prior = torch.arange(len(batch.present) * 3.0).view(-1, 3)
    return batch, dropout.grow(batch, kind, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kind", "copies"), [("softhard", 4), ("noise", 3), ("hard", 3)])
def test_every_clip_comes_as_often_and_brings_its_target_text_and_prior(kind, copies):
    batch, many = grown(kind)
    assert len(many.present) == copies * 3
    assert torch.equal(many.targets.bincount(), torch.tensor([copies] * 3))
    for row, target in enumerate(many.targets.tolist()):
        assert torch.equal(many.log_prior[row], batch.log_prior[target])
        assert torch.equal(many.values["text"][row], batch.values["text"][target])


@pytest.mark.parametrize("kind", ["softhard", "hard"])
def test_what_is_hidden_is_absent_and_zeros(kind):
    _, many = grown(kind)
    for index, modality in enumerate(("audio", "face")):
        hidden = ~many.present[:, index]
        assert hidden.sum() == 3
        assert not many.valid[modality][hidden].any()
        assert (many.values[modality][hidden] == 0).all()
    assert (many.present[:, 0] | many.present[:, 1]).all()


def test_noise_replaces_values_where_there_were_some_only():
    batch, many = grown("noise")
    changed = {"audio": 0, "face": 0}
    for row, target in enumerate(many.targets.tolist()):
        for modality in changed:
            assert torch.equal(many.valid[modality][row], batch.valid[modality][target])
            assert (many.values[modality][row][~many.valid[modality][row]] == 0).all()
            changed[modality] += not torch.equal(many.values[modality][row], batch.values[modality][target])
    assert changed == {"audio": 3, "face": 3}


def test_copies_that_would_keep_nothing_are_left_out():
    _, many = grown("hard", {"audio": [4, 0], "face": [0, 3], "text": [0, 1]})
    assert many.present.any(1).all()
    assert many.targets.bincount().tolist() == [2, 3]  # the clip with audio alone cannot lose it; the other keeps text


def test_weakened_copies_share_one_between_the_modalities():
    audio, face = torch.ones(50, 2, 1), torch.ones(50, 3, 1)
    one, two, order = dropout.softhard(audio, face, torch.Generator().manual_seed(0))
    soft = order // 50 == 1
    torch.testing.assert_close(one[soft].mean((1, 2)) + two[soft].mean((1, 2)), torch.ones(50))
    assert one[soft].min() < 0.2 < 0.8 < one[soft].max() < 1


def test_a_seed_gives_the_same_batch_and_the_input_stays_as_it_is():
    batch, many = grown("softhard")
    _, again = grown("softhard")
    _, other = grown("softhard", seed=1)
    assert torch.equal(many.values["audio"], again.values["audio"])
    assert not torch.equal(many.values["audio"], other.values["audio"])
    assert torch.equal(batch.values["audio"], batch_of(DIMS, LENGTHS).values["audio"])


def test_a_batch_without_the_pair_is_told():
    with pytest.raises(ConfigError, match="the batch has no face"):
        dropout.grow(batch_of({"audio": 3}, {"audio": [1, 2]}), "hard")


class Watching(torch.nn.Module):
    """A head that notes what batches it is given."""

    modalities = tuple(DIMS)

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)
        self.seen = []

    def forward(self, batch):
        if self.training:
            self.seen.append(batch)
        return HeadOutput(self.layer(batch.values["audio"].mean(1)))

    def loss(self, output, batch):
        return torch.nn.functional.cross_entropy(output.logits, batch.targets)


@pytest.mark.parametrize(("kind", "copies"), [("softhard", 4), ("noise", 3)])
def test_the_loop_trains_on_the_copies_that_a_kind_makes_whatever_the_rate(kind, copies):
    train = batch_of(DIMS, LENGTHS)
    plan = loop.Schedule(2, 9, 2, 1e-2, 0.0, 0.9, 3, dropout=kind)
    heads = []
    for _ in range(2):
        torch.manual_seed(0)
        heads.append(Watching())
        list(loop.fit(heads[-1], train, train, plan))
    assert [len(batch.present) for batch in heads[0].seen] == [2 * copies, copies] * 2
    draw = torch.Generator().manual_seed(plan.seed)
    order = torch.randperm(3, generator=draw)
    expected = dropout.grow(loop.take(train, order[:2]), kind, draw)
    for m in DIMS:
        assert torch.equal(heads[0].seen[0].values[m], expected.values[m])
    assert torch.equal(heads[0].layer.weight, heads[1].layer.weight)
    if kind == "noise":  # nothing is hidden, and the rate of 0.9 neither
        assert all(torch.equal(b.present, train.present[b.targets]) for b in heads[0].seen)


def test_real_heads_learn_from_copies_with_hidden_modalities():
    scheme = LabelScheme("three", "one-of", ("a", "b", "c"))
    for name in ("late", "gated", "transformer"):
        torch.manual_seed(0)
        head = registry.build("heads", name, DIMS, scheme)
        train = batch_of(DIMS, LENGTHS)
        epochs = list(loop.fit(head, train, train, loop.Schedule(150, 150, 3, 1e-2, 0.0, 0.0, 3, dropout="softhard")))
        losses = [epoch.loss for epoch in epochs]
        assert sum(losses[-10:]) < 0.8 * sum(losses[:10]), name


def test_the_kind_is_a_key_of_the_config_and_the_preset_avtca_takes_the_seeds():
    told = resolve(TrainConfig, {"corpora": ("a",)}, sets=["dropout_kind=noise"])
    assert planning.schedule(told, torch.tensor([0, 1]), PAIR, 0).dropout == "noise"
    seed = resolve(TrainConfig, {"corpora": ("a",)}, preset="avtca")
    assert planning.schedule(seed, torch.tensor([0, 1]), PAIR, 0).dropout == "softhard"
    assert resolve(TrainConfig, {"corpora": ("a",)}).dropout_kind == "rate"
    with pytest.raises(ConfigError, match=r"dropout_kind.*'rate', 'softhard', 'noise' or 'hard'"):
        resolve(TrainConfig, {"corpora": ("a",)}, sets=["dropout_kind=hardest"])
