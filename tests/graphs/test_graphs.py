"""Graphs: what goes in and out of them, and what 8 bits change."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

import torch
from torch import nn

from mercli.errors import ConfigError, DataError, MissingExtra
from mercli.graphs import int8
from mercli.graphs.session import Session
from mercli.graphs.tracing import parts, traced, whole


@pytest.mark.parametrize(
    "found",
    [
        torch.ones(2),
        (torch.ones(1), torch.zeros(3)),
        {"states": torch.ones(2), "layers": (torch.zeros(1), torch.ones(1))},
    ],
)
def test_what_a_network_returns_comes_back_from_its_parts(found):
    again = whole(parts(found))
    if isinstance(found, dict):
        assert torch.equal(again.states, found["states"])
        assert [layer.tolist() for layer in again.layers] == [[0.0], [1.0]]
    else:
        assert [t.tolist() for t in (again if isinstance(again, tuple) else (again,))] == [
            t.tolist() for t in (found if isinstance(found, tuple) else (found,))
        ]


class Pictures(nn.Module):
    """A convolution over pictures, one over time, and a product."""

    def __init__(self):
        super().__init__()
        self.over, self.along = nn.Conv2d(3, 16, 3), nn.Conv1d(16, 16, 3)
        self.product = nn.Linear(16, 64)

    def forward(self, pictures):
        return self.product(self.along(self.over(pictures).mean(3)).mean(2))


def made():
    torch.manual_seed(0)
    network = Pictures().eval()
    calls = [{"pictures": torch.rand(2, 3, 12, width)} for width in (12, 20)]
    return network, calls, traced(network, calls[0], {"pictures": (0, 3)})


def test_8_bits_take_pictures_and_products_and_leave_convolutions_over_time():
    import onnx

    network, calls, content = made()
    small = int8.shrunk(content, [{"pictures": call["pictures"].numpy()} for call in calls])
    weights = {t.name: t for t in onnx.load_from_string(small).graph.initializer}
    kinds = {len(t.dims): t.data_type for t in weights.values() if len(t.dims) in (2, 3, 4)}
    assert kinds == {4: onnx.TensorProto.INT8, 3: onnx.TensorProto.FLOAT, 2: onnx.TensorProto.INT8}
    for call in calls:
        wanted = network(**call).detach()
        found = Session(small, "small")(call)["output"]
        assert 0 < (found - wanted).abs().max() < 0.05 * wanted.abs().max()
    assert small == int8.shrunk(content, [{"pictures": call["pictures"].numpy()} for call in calls])


def test_a_graph_with_nothing_to_shrink_stays_as_it_is():
    content = traced(nn.ReLU(), {"input": torch.ones(2, 2)}, {"input": (0,)})
    assert int8.shrunk(content, []) == content


def test_a_graph_computes_on_the_threads_that_torch_has():
    for count in (1, 2):
        torch.set_num_threads(count)
        options = Session(made()[2], "it").session.get_session_options()
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (count, 1)


def test_the_exporter_says_nothing_and_leaves_no_path_in_the_file(capfd):
    network = nn.GRU(4, 3, batch_first=True)

    class Packs(nn.Module):
        def __init__(self):
            super().__init__()
            self.recur = network

        def forward(self, rows, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.recur(packed)[0], batch_first=True)[0]

    content = traced(Packs(), {"rows": torch.ones(2, 5, 4), "lengths": torch.tensor([5, 3])}, {"rows": (0, 1), "lengths": (0,)})  # fmt: skip # noqa: E501
    assert capfd.readouterr() == ("", "")
    assert b".py" not in content
    with pytest.raises(ConfigError, match="channel_shuffle"):
        traced(nn.ChannelShuffle(1), {"input": torch.ones(1, 2, 2, 2)}, {})
    assert capfd.readouterr() == ("", "")
    rows = torch.rand(3, 7, 4)
    lengths = torch.tensor([7, 2, 4])
    wanted = Packs()(rows, lengths).detach()
    torch.testing.assert_close(Session(content, "it")({"rows": rows, "lengths": lengths})["output"], wanted)


def test_what_is_no_graph_and_what_a_graph_does_not_take_is_told():
    with pytest.raises(DataError, match=r"'face\.onnx' cannot be read"):
        Session(b"nothing", "face.onnx")
    with pytest.raises(DataError, match="cannot take its input"):
        Session(made()[2], "it")({"pictures": torch.ones(1, 2, 12, 12)})


@pytest.mark.parametrize("absent", ["onnxruntime", "onnx"])
def test_without_the_extra_it_is_named(absent, monkeypatch):
    content = made()[2]
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingExtra, match="extra 'onnx'") as fault:
        Session(content, "it") if absent == "onnxruntime" else int8.shrunk(content, [])
    assert fault.value.hint == "pip install 'mercli[onnx]'"


def test_the_text_network_s_graph_takes_texts_without_a_word():
    from mercli import registry
    from mercli.features.embedded.text_net import reading, stacked

    network = registry.build("encoders", "embedded-text").network
    free = {"words": (0, 1), **dict.fromkeys(("ids", "counts", "offsets", "pieces", "lengths"), (0,))}
    content = traced(network.as_graph(), stacked([reading("so happy"), reading("no")]), free)
    assert len(content) < 16e6  # the table of n-grams is in 8 bits, as it ships
    graph = Session(content, "text.onnx")
    for texts in (["i am so happy", "", "no way"], ["", ""], ["what"]):
        given = stacked([reading(text) for text in texts])
        wanted = network(**given)
        for mine, theirs in zip(whole(graph(given)), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
