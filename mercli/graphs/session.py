"""Running an ONNX graph on the CPU: tensors in, tensors out, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mercli.errors import extra, foreign

NEEDED = ("onnx", "a bundle with ONNX graphs")
ERRORS_ONLY = 3
"""The runtime's own level of talk: it warns of what it optimises away."""


class Session:
    """A graph ready to run, on as many threads as torch has at the moment it is built."""

    def __init__(self, content: bytes, name: str) -> None:
        with extra(*NEEDED):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        self.name = name
        with foreign(f"the graph '{name}' cannot be read"):
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(one.name for one in self.session.get_inputs())
        self.outputs = tuple(one.name for one in self.session.get_outputs())

    def __call__(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return every output by name; raises ``DataError`` for tensors that the graph does not take."""
        with foreign(f"the graph '{self.name}' cannot take its input"):
            found = self.session.run(None, {name: given[name].cpu().numpy() for name in self.inputs})
        return dict(zip(self.outputs, map(torch.from_numpy, found), strict=True))
