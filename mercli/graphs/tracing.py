"""Making an ONNX graph of a torch module from one of its calls.

The TorchScript exporter is taken: the one on ``torch.export`` refuses packed sequences and bakes the batch's size into
some graphs, and takes 10 s where this one takes 0.1 s.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from mercli.errors import ConfigError, extra, foreign
from mercli.graphs.session import NEEDED

OPSET = 17
ONLY = "output"
PLACE = "output_"
"""What the outputs of a module that returns one tensor, or a tuple of them, are called."""


def parts(found: Any) -> dict[str, Tensor]:
    """Return the tensors of what a module returns by name: of a tensor, a tuple, or a mapping of either."""
    if isinstance(found, Tensor):
        return {ONLY: found}
    if isinstance(found, (tuple, list)):
        return {f"{PLACE}{place}": tensor for place, tensor in enumerate(found)}
    named: dict[str, Tensor] = {}
    for name, value in found.items():
        if isinstance(value, Tensor):
            named[name] = value
        elif value is not None:
            named |= {f"{name}.{place}": tensor for place, tensor in enumerate(value)}
    return named


def whole(named: Mapping[str, Tensor]) -> Any:
    """Return what ``parts`` was given, a mapping as an object with attributes."""
    if ONLY in named:
        return named[ONLY]
    if all(name.startswith(PLACE) for name in named):
        return tuple(named.values())
    made: dict[str, Any] = {}
    for name, tensor in named.items():
        key, _, place = name.partition(".")
        made[key] = (*made.get(key, ()), tensor) if place else tensor
    return SimpleNamespace(**made)


class _Flat(nn.Module):
    """A module whose inputs are tensors in order and whose outputs are a flat tuple; the rest of the call is fixed."""

    def __init__(self, module: nn.Module, names: Sequence[str], rest: Mapping[str, Any]) -> None:
        super().__init__()
        self.module, self.names, self.rest = module, names, rest

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(parts(self.module(**dict(zip(self.names, tensors, strict=True)), **self.rest)).values())


def traced(module: nn.Module, call: Mapping[str, Any], free: Mapping[str, Sequence[int]]) -> bytes:
    """Return the graph of a module in eval mode, whose inputs are the tensors of ``call`` by name.

    ``free`` {input: axes} may have any length. Raises ``ConfigError`` for a module that ONNX has no operations for.
    """
    given = {name: value.clone() for name, value in call.items() if isinstance(value, Tensor)}
    flat = _Flat(module, list(given), {name: value for name, value in call.items() if name not in given}).eval()
    target = io.BytesIO()
    with extra(*NEEDED):
        import onnx  # noqa: F401 - the exporter looks for it when it is done
    fails = foreign(f"{type(module).__name__} cannot be an ONNX graph", kind=ConfigError)
    with fails, _plain_attention(flat), _hushed():
        with torch.no_grad():
            outputs = list(parts(module(**call)))
        torch.onnx.export(
            flat, tuple(given.values()), target,  # type: ignore[arg-type]  # a stream will do
            dynamo=False, opset_version=OPSET, input_names=list(given), output_names=outputs,
            dynamic_axes={name: {axis: f"{name}_{axis}" for axis in axes} for name, axes in free.items()},
        )  # fmt: skip
    return target.getvalue()


@contextmanager
def _plain_attention(module: nn.Module) -> Iterator[None]:
    """Keep torch's attention from a fused operation, which no graph has, and from a packed one that fixes lengths.

    The packed one is taken where queries, keys and values are the same tensor, so they are handed over apart.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.MultiheadAttention)]
    hooks = [layer.register_forward_pre_hook(_apart) for layer in layers]
    held = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(held)
        for hook in hooks:
            hook.remove()


def _apart(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0], *(tensor.clone() for tensor in args[1:]))


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the exporter from talking: its C++ part writes warnings to stderr and whole graphs to stdout."""
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    with open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for stream in kept:
            os.dup2(nowhere.fileno(), stream)
        try:
            yield
        finally:
            for stream, held in kept.items():
                os.dup2(held, stream)
                os.close(held)
