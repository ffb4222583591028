"""Test-time conditions: one modality is taken away or spoiled, and nothing else changes."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError
from mercli.fusion import conditions, loop
from mercli.fusion.batch import subset_of
from mercli.types import LabelScheme

from .sequences import batch_of

DIMS = {"audio": 3, "face": 2, "text": 4}
LENGTHS = {"audio": [40, 2, 3, 5], "face": [1, 5, 2, 0], "text": [1, 1, 0, 0]}
SCHEME = LabelScheme("three", "one-of", ("a", "b", "c"))


def under(kind, seed=0, modality="audio"):
    batch = batch_of(DIMS, LENGTHS)
    return batch, conditions.under(batch, modality, kind, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", conditions.CONDITIONS)
def test_other_modalities_and_padding_stay_as_they_were(kind):
    before = batch_of(DIMS, LENGTHS)
    batch, found = under(kind)
    for m in DIMS:
        assert torch.equal(batch.values[m], before.values[m])  # the batch itself is not written to
        assert (found.values[m][~found.valid[m]] == 0).all()
        if m != "audio":
            assert torch.equal(found.values[m], batch.values[m])
            assert torch.equal(found.valid[m], batch.valid[m])
    assert torch.equal(found.targets, batch.targets)
    if kind != "absent":
        assert torch.equal(found.present, batch.present)
        assert torch.equal(found.valid["audio"], batch.valid["audio"])


def test_zeros_are_zeros_and_noise_is_the_draws():
    _, found = under("zeros")
    assert (found.values["audio"] == 0).all()
    batch, first = under("noise")
    _, second = under("noise")
    _, other = under("noise", seed=1)
    assert torch.equal(first.values["audio"], second.values["audio"])
    assert not torch.equal(first.values["audio"], other.values["audio"])
    real = first.values["audio"][batch.valid["audio"]]
    assert abs(float(real.mean())) < 0.3
    assert 0.7 < float(real.std()) < 1.3


def test_added_noise_has_the_mean_and_spread_of_what_it_is_added_to():
    batch, found = under("addnoise")
    valid = batch.valid["audio"]
    real = batch.values["audio"][valid]
    draw = torch.randn(batch.values["audio"].shape, generator=torch.Generator().manual_seed(0))[valid]
    torch.testing.assert_close(found.values["audio"][valid], real + real.mean() + real.std(correction=0) * draw)
    nothing = subset_of(batch, ("text",))
    assert (conditions.under(nothing, "audio", "addnoise", torch.Generator()).values["audio"] == 0).all()


def test_absent_is_what_a_subset_gives_but_for_segments_that_have_nothing_else():
    batch, found = under("absent")
    assert found.present[:, 0].tolist() == [False, False, False, True]
    head = registry.build("heads", "late", DIMS, SCHEME).eval()
    expected = head(subset_of(batch, ("face", "text"))).logits[:3]
    torch.testing.assert_close(head(found).logits[:3], expected)
    assert torch.equal(found.values["audio"][3], batch.values["audio"][3])


def test_predicting_under_a_condition_is_predicting_the_changed_batch():
    batch, found = under("zeros")
    head = registry.build("heads", "gated", DIMS, SCHEME).eval()
    changed = loop.predict(head, batch, lambda part: conditions.under(part, "audio", "zeros", torch.Generator()))
    assert torch.equal(changed, loop.predict(head, found))
    assert not torch.equal(changed, loop.predict(head, batch))


@pytest.mark.parametrize("text", ["audo=zeros", "audio=zero", "audio", "=zeros", ""])
def test_what_cannot_be_read_is_refused(text):
    assert conditions.parsed("audio=zeros", DIMS) == ("audio", "zeros")
    with pytest.raises(ConfigError, match="--drop"):
        conditions.parsed(text, DIMS)
