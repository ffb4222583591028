"""A Whisper of random weights in openai-whisper's own form: a few megabytes, made anew, never committed."""

from __future__ import annotations

from pathlib import Path

import torch


def random_checkpoint(path: Path) -> Path:
    """Write a tiny multilingual checkpoint and return its path; the same weights every time."""
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    dims = ModelDimensions(80, 1500, 32, 2, 1, 51865, 24, 32, 2, 1)
    network = Whisper(dims)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save({"dims": dims.__dict__, "model_state_dict": network.state_dict()}, path)
    return path
