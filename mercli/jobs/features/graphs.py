"""Encoders whose networks are ONNX graphs: what they are asked is recorded, traced, and then computed by the graph."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mercli.contracts import Encoder
from mercli.errors import ConfigError
from mercli.fusion.packed import GRAPH
from mercli.graphs.session import Session
from mercli.graphs.tracing import traced, whole
from mercli.jobs.features import encoding

Call = dict[str, Any]
"""One call of a network: its arguments by name."""


def network(encoder: Encoder) -> nn.Module | None:
    """Return the torch network of an encoder, its attribute ``network``; ``None`` where it has none."""
    found = getattr(encoder, "network", None)
    return found if isinstance(found, nn.Module) else None


@contextmanager
def recorded(encoders: Mapping[str, Encoder]) -> Iterator[dict[str, list[Call]]]:
    """Collect what each modality's network is called with while inside."""
    found = {m: one for m, encoder in encoders.items() if (one := network(encoder)) is not None}
    calls: dict[str, list[Call]] = {m: [] for m in found}
    for modality, one in found.items():
        one.forward = _recorder(one, calls[modality])
    try:
        yield calls
    finally:
        for one in found.values():
            del one.forward  # the class's own shows again


def _recorder(one: nn.Module, calls: list[Call]) -> Any:
    forward, names = one.forward, list(inspect.signature(one.forward).parameters)

    def record(*args: Any, **named: Any) -> Any:
        calls.append(dict(zip(names, args, strict=False)) | named)
        return forward(*args, **named)

    return record


def graph(encoder: Encoder, calls: list[Call]) -> bytes:
    """Return the graph of an encoder's network; axes whose length differs between calls are free, as is the first.

    Raises ``ConfigError`` for one that has none, is not called, or called in several forms, or cannot be a graph.
    """
    one = network(encoder)
    if one is None:
        raise ConfigError("it has no torch network")
    if len({tuple(_tensors(call)) for call in calls}) != 1:
        raise ConfigError("its network is not always called with the same inputs")
    shapes = [{name: tensor.shape for name, tensor in _tensors(call).items()} for call in calls]
    free = {
        name: [axis for axis in range(len(shape)) if axis == 0 or len({other[name][axis] for other in shapes}) > 1]
        for name, shape in shapes[0].items()
    }
    largest = max(calls, key=lambda call: sum(tensor.numel() for tensor in _tensors(call).values()))
    as_graph: Callable[[], nn.Module] | None = getattr(one, "as_graph", None)
    return traced(one if as_graph is None else as_graph(), largest, free)


def arrays(call: Call) -> dict[str, Any]:
    """Return the inputs of a call as arrays by name."""
    return {name: tensor.numpy() for name, tensor in _tensors(call).items()}


def _tensors(call: Call) -> dict[str, Tensor]:
    return {name: value for name, value in call.items() if isinstance(value, Tensor)}


def installed(encoders: encoding.EncoderSet, graphs: Mapping[str, bytes]) -> encoding.EncoderSet:
    """Return the encoders with graphs in the place of their networks, whose weights are let go."""
    for modality, content in graphs.items():
        encoder = encoders.encoders[modality]
        one = network(encoder)
        if one is None:
            raise ConfigError(f"encoder '{encoders.names[modality]}' has no network for the graph of {modality}")
        with encoding.threads(encoder, encoders.device):
            session = Session(content, f"{modality}{GRAPH}")
        one.forward = _computed(one, session)
        for weight in one.parameters():
            weight.data = weight.data.new_empty(0)
    return encoders


def _computed(one: nn.Module, session: Session) -> Any:
    names = list(inspect.signature(one.forward).parameters)

    def forward(*args: Any, **named: Any) -> Any:
        return whole(session(_tensors(dict(zip(names, args, strict=False)) | named)))

    return forward
