"""Batch norm folded into convolutions: the same numbers from fewer steps."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from mercli.features.folding import folded
from mercli.features.seeds.avtca_trunk import Trunk
from mercli.features.seeds.smil_face_net import FaceNet


def lively(network: nn.Module) -> nn.Module:
    """Return a network whose every normalisation does something: untrained ones would hide a mistake."""
    torch.manual_seed(2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                nn.init.uniform_(values, -0.2, 0.2)
            for values in (module.running_var, module.weight):
                nn.init.uniform_(values, 0.5, 1.5)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network.eval().requires_grad_(False)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("network", [FaceNet((1, 2, 1, 1), (4, 4, 6, 6), 8, 7), Trunk()], ids=["resnet", "shufflenet"])
def test_every_norm_of_a_map_is_folded_and_nothing_changes(network):
    network = lively(network)
    pictures = torch.randn(2, 3, 224, 224)
    assert norms(network) > 10
    fast = folded(deepcopy(network))
    assert norms(fast) == 0
    with torch.inference_mode():
        plain, quick = network(pictures), fast(pictures)
    for expected, found in zip(*(map(torch.atleast_2d, x) for x in (plain, quick)), strict=True):
        assert expected.std() > 0
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_a_norm_that_stands_apart_is_left_alone():
    apart = lively(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)))
    pictures = torch.randn(1, 3, 5, 5)
    expected = apart(pictures)
    assert norms(folded(apart)) == 1
    torch.testing.assert_close(apart(pictures), expected)
