"""The curves of a fit while it runs, for TensorBoard."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from mercli.fusion.training import Epoch
from mercli.labels import FIGURES

TAGS = {
    "train/loss": "loss",
    "train/lr": "lr",
    "train/peak_bytes": "peak_bytes",
    "dev/loss": "dev_loss",
    **{f"dev/{name}": f"dev_{name}" for names in FIGURES.values() for name in names},
}
"""The names of TensorBoard's curves, and the figures of an epoch that they show."""


def watched(epochs: Iterable[Epoch], folder: Path) -> Iterator[Epoch]:
    """Yield the epochs and write each into ``folder`` as it comes; a fit that is resumed tells its epochs again."""
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for epoch in epochs:
            figures = asdict(epoch)
            for tag, name in TAGS.items():
                if figures[name] is not None:
                    writer.add_scalar(tag, figures[name], epoch.number)
            writer.flush()
            yield epoch
