"""Every registered head, and every encoder with a torch network, as an ONNX graph: the same numbers, any batch."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import torch

from mercli import registry
from mercli.contracts import HeadOutput
from mercli.errors import ConfigError
from mercli.fusion import exported
from mercli.fusion.batch import Examples, Statistics, collate
from mercli.jobs.features import encoding, graphs
from mercli.labels import CANONICAL
from tests.contracts.test_plugins import ENCODERS, HEADS, built, bundles, dims_of, streams  # noqa: F401

STAY = {"avtca-face": "channel_shuffle"}
"""Encoders whose networks stay in torch, and the operation that ONNX lacks."""


def statistics(dims, axes=()):
    draw = np.random.default_rng(0)
    stats = Statistics.unchanging(dims)
    for modality in axes:
        stats.axes[modality] = draw.normal(size=(dims[modality], 2)).astype(np.float32)
    widths = stats.widths(dims)
    return Statistics(
        {m: draw.normal(size=w).astype(np.float32) for m, w in widths.items()},
        {m: draw.uniform(0.5, 2, w).astype(np.float32) for m, w in widths.items()},
        stats.axes,
    )


def both(name, dims, stats):
    """Return a head and its graph as functions of segments, and dialogues, to logits."""
    torch.manual_seed(0)
    head = registry.build("heads", name, stats.widths(dims), CANONICAL).eval()
    twin = exported.GraphHead(exported.graph(head, stats, dims), dims)

    def logits(one, statistics_, some, talk):
        examples = Examples(some, tuple(dims), np.full(len(some), -1), talk=talk)
        with torch.inference_mode():
            return one(collate(examples, statistics_, dims)).logits

    return (
        lambda some, talk=None: logits(head, stats, some, talk),
        lambda some, talk=None: logits(twin, Statistics.unchanging(dims), some, talk),
    )


@pytest.mark.parametrize("name", HEADS)
def test_a_head_s_graph_gives_its_logits_for_every_subset_and_any_number_of_segments(name):
    dims = dims_of(name)
    wanted, found = both(name, dims, statistics(dims))
    for count, seed in ((14, 1), (1, 2), (3, 3)):
        some = bundles(count, dims, seed)
        torch.testing.assert_close(found(some), wanted(some), rtol=1e-4, atol=1e-5)


def test_features_that_are_reduced_first_and_dialogues_are_part_of_the_graph():
    dims = dims_of("context")
    some, talk = bundles(9, dims), np.asarray([[row % 2, row, row % 3 % 2] for row in range(9)])
    wanted, found = both("context", dims, statistics(dims, ["audio"]))
    for said in (talk, None):
        torch.testing.assert_close(found(some, said), wanted(some, said), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found(some, talk), found(some))


def test_a_head_that_no_graph_can_be_is_refused_with_the_reason():
    class Shuffles(torch.nn.Module):
        def forward(self, batch):
            return HeadOutput(torch.channel_shuffle(batch.values["audio"], 1))

    with pytest.raises(ConfigError, match=r"cannot be an ONNX graph: .*channel_shuffle"):
        exported.graph(Shuffles(), Statistics.unchanging({"audio": 4}), {"audio": 4})


HERE = [name for name in ENCODERS if registry.get("encoders", name).extra is None]
LONG = "foalnet-audio"
"""WavLM's relative positions take the exporter seconds, however small the model."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == LONG else n for n in HERE])
def test_an_encoder_s_graph_gives_its_features_or_it_is_known_to_stay(name, built, tmp_path):  # noqa: F811
    encoder = built(name)
    if graphs.network(encoder) is None:
        with pytest.raises(ConfigError, match="no torch network"):
            graphs.graph(encoder, [])
        return
    size, rate = encoder.settings.face_size, encoder.settings.audio_rate
    seen = [streams(1.5, 1, size, rate), streams(0.8, 2, size, rate), streams(2.2, 3, size, rate)]
    with graphs.recorded({encoder.modality: encoder}) as calls:
        for one in seen:
            encoder.encode([one])
    if name in STAY:
        with pytest.raises(ConfigError, match=STAY[name]):
            graphs.graph(encoder, calls[encoder.modality])
        return
    others = [*seen, streams(1.13, 4, size, rate)]
    wanted = encoder.encode(others)
    made = {encoder.modality: graphs.graph(encoder, calls[encoder.modality])}
    held = encoding.EncoderSet({encoder.modality: encoder}, {}, {encoder.modality: name}, {})
    weights = [weight.data for weight in encoder.network.parameters()]
    graphs.installed(held, made)
    assert not any(weight.numel() for weight in encoder.network.parameters())
    found = encoder.encode(others)
    del encoder.network.forward
    for weight, data in zip(encoder.network.parameters(), weights, strict=True):
        weight.data = data  # other tests share what was built
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(mine.valid, theirs.valid)
