"""One training's file: where it stands, so that a killed one goes on with the same bits."""

from __future__ import annotations

import hashlib
import pickle
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mercli.errors import CheckpointError
from mercli.fusion.batch import Examples, Statistics
from mercli.fusion.training import Training
from mercli.rundir import atomic


@dataclass
class Checkpoint:
    """The file of one training, written at most ``every`` so many seconds, and when the training is over.

    ``data``: what identifies its features and labels; a file that was written of others is refused.
    """

    path: Path
    every: float
    data: str
    written: float = field(default_factory=time.monotonic)

    def restore(self, training: Training) -> None:
        """Take ``training`` to where the file left it, if there is one.

        Raises ``CheckpointError`` for a file that cannot be read, and for one of other data.
        """
        if not self.path.is_file():
            return
        try:
            held = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as fault:
            raise CheckpointError(f"checkpoint '{self.path}' cannot be read: {fault}", f"rm '{self.path}'") from fault
        if held["data"] != self.data:
            raise CheckpointError(
                f"checkpoint '{self.path}' was written of other features or labels than are there now",
                "the same command without --resume: a new run",
            )
        training.restore(held["training"])

    def offer(self, training: Training) -> None:
        """Write where ``training`` stands, if it is time; called between two steps."""
        if training.over or time.monotonic() - self.written >= self.every:
            with atomic(self.path) as part:
                torch.save({"data": self.data, "training": training.state()}, part)
            self.written = time.monotonic()


def fingerprint(train: Examples, dev: Examples, stats: Statistics) -> str:
    """Return the sha256 of both parts' ids, labels, priors and soft labels, and of the features' statistics."""
    found = hashlib.sha256()
    for part in (train, dev):
        found.update("\n".join(bundle.segment_id for bundle in part.bundles).encode())
        found.update(part.targets.tobytes())
        found.update(b"" if part.log_prior is None else part.log_prior.tobytes())
        found.update(b"" if part.soft is None else part.soft.tobytes())
    for table in (stats.mean, stats.std, stats.axes):
        for modality in train.modalities:
            found.update(table[modality].tobytes() if modality in table else b"")
    return found.hexdigest()
