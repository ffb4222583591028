"""Graphs in int8: products of matrices dynamically, convolutions over pictures with ranges seen in calibration.

Dynamic quantisation makes convolutions four times slower than fp32 on a CPU, static one makes them three times faster;
transformers keep their digits by dynamic quantisation alone, whose ranges follow each input. Convolutions over time
(first layers of speech models) stay as they are: they read samples, whose small values count. So do those over words.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mercli.errors import extra, foreign
from mercli.graphs.session import NEEDED

PICTURE = 4
"""Axes of the weights of a convolution over pictures: outputs, inputs, height, width."""
Call = dict[str, Any]


def shrunk(content: bytes, calls: Sequence[Call]) -> bytes:
    """Return the graph in int8 with a scale per output channel; the same bytes where nothing of it can be.

    ``calls``: what the graph was given (arrays by name), which its convolutions' ranges are taken from. Raises
    ``MissingExtra``, and ``DataError`` for a graph that the quantiser cannot take.
    """
    with extra(*NEEDED):
        import onnx
        from onnxruntime import quantization
    made = onnx.load_from_string(content)
    with tempfile.TemporaryDirectory() as folder, foreign("the graph cannot be made int8"), _quiet():
        place = Path(folder) / "graph.onnx"
        if convolutions := _over_pictures(made):
            quantization.quantize_static(
                made, place, _Reader(calls), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
                nodes_to_quantize=convolutions,
            )  # fmt: skip
            made = onnx.load(place)
        if _products(made):
            quantization.quantize_dynamic(
                made, place, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                weight_type=quantization.QuantType.QInt8,
            )  # fmt: skip
        return place.read_bytes() if place.is_file() else content


def _over_pictures(graph: Any) -> list[str]:
    weights = {tensor.name: len(tensor.dims) for tensor in graph.graph.initializer}
    return [n.name for n in graph.graph.node if n.op_type == "Conv" and weights.get(n.input[1]) == PICTURE]


def _products(graph: Any) -> bool:
    """Tell whether something is multiplied by a matrix of weights."""
    weights = {tensor.name for tensor in graph.graph.initializer}
    return any(n.op_type in ("MatMul", "Gemm") and n.input[1] in weights for n in graph.graph.node)


class _Reader:
    """The calibration's way to ask for one call after another, in the form that onnxruntime asks in."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.calls: Iterator[Call] = iter(calls)

    def get_next(self) -> Call | None:
        return next(self.calls, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser from advising to prepare graphs that are prepared, and from telling of channels of zeros."""
    held = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            yield
    finally:
        logging.disable(held)
