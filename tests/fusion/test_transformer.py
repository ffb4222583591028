"""The ``transformer`` head: tokens of all modalities, their places, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError
from mercli.fusion.heads.transformer_net import places

from .sequences import SCHEME, batch_of, every_subset, keeps_the_rules_of_heads, taken

DIMS = {"audio": 6, "face": 5, "text": 7}
LENGTHS = {"audio": [9, 3, 1, 5], "face": [4, 1, 6, 2], "text": [1, 3, 1, 2]}


def built(dims=DIMS, **options):
    torch.manual_seed(0)
    return registry.build("heads", "transformer", dims, SCHEME, options={"width": 16, "heads": 4, **options})


@pytest.mark.parametrize("lengths", [LENGTHS, every_subset(DIMS)])
def test_padding_company_and_order_change_nothing_and_every_row_is_learned_from(lengths):
    keeps_the_rules_of_heads(built(dropout=0.0), DIMS, lengths)


def test_every_subset_and_one_item_train():
    head = built().train()
    for batch in (batch_of(DIMS, every_subset(DIMS)), taken(batch_of(DIMS, LENGTHS), [0])):
        loss = head.loss(head(batch), batch)
        loss.backward()
        assert loss.isfinite()


def test_the_order_of_rows_and_the_modality_of_a_row_count():
    dims = {"audio": 4, "face": 4}
    head = built(dims).eval()
    with torch.no_grad():
        head.rows["face"].load_state_dict(head.rows["audio"].state_dict())
    batch = batch_of(dims, {"audio": [5], "face": [0]})
    turned = batch_of(dims, {"audio": [5], "face": [0]})
    turned.values["audio"] = turned.values["audio"].flip(1)
    moved = batch_of(dims, {"audio": [0], "face": [5]})
    moved.values["face"] = batch.values["audio"]
    logits = head(batch).logits
    assert not torch.allclose(head(turned).logits, logits, atol=1e-4)
    assert not torch.allclose(head(moved).logits, logits, atol=1e-4)


def test_places_are_sines_and_cosines_of_growing_wavelength():
    found = places(3, 4)
    expected = [[math.sin(t), math.sin(t / 100), math.cos(t), math.cos(t / 100)] for t in range(3)]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_a_width_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="'width' is 18"):
        built(width=18, heads=4)
