"""Foal-Net over a tiny WavLM, and parts of one batch for it: light, since other processes import this."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from mercli import registry
from mercli.labels import CANONICAL
from mercli.tuning import joint
from mercli.types import Feature


def given(count: int, classes: int, seed: int = 0) -> tuple[list[joint.Given], torch.Tensor]:
    """Return segments of sound of several lengths and stored features of faces, some of which lack one, and labels."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(count):
        rows = draw.normal(size=(2 + number % 3, 4)).astype(np.float32)
        face = Feature(rows, np.zeros((len(rows), 2), np.float32), np.ones(len(rows), bool))
        wave = draw.normal(0, 0.1, 4000 + 1500 * (number % 4)).astype(np.float32)
        made.append(joint.Given(audio=None if number == 1 else wave, features={} if number == 4 else {"face": face}))
    return made, torch.tensor([number % classes for number in range(count)])


def whole_loss(head, batch):
    return head.loss(head(batch), batch)


def contrast(head, batch):
    return sum(head.auxiliary(head(batch), batch))


def joined(wavlm: str, penalty=whole_loss) -> joint.Joint:
    """Return Foal-Net over a tiny WavLM, without dropout, so that its losses are the same wherever they are drawn."""
    audio = registry.build("encoders", "foalnet-audio", options={"model": wavlm})
    dims = {"audio": audio.dim, "face": 4}
    torch.manual_seed(0)
    head = registry.build("heads", "foalnet", dims, CANONICAL, options={"projection": 8, "matching": 1.0})
    body = joint.JointBody({"audio": audio}, head, dims, CANONICAL.names)
    whole = joint.Joint(body, penalty)
    for module in whole.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return whole.train()


def learn(whole, network, rows: slice) -> tuple[float, dict[str, torch.Tensor]]:
    """Return the loss of these rows of a batch, and its gradients."""
    pieces, labels = given(8, 3)
    torch.manual_seed(7)
    body = whole.body
    owner = torch.arange(len(pieces[rows]))
    loss = network(owner, labels=labels[rows], **body.inputs(pieces[rows]))
    loss.backward()
    return float(loss.detach()), {name: p.grad for name, p in whole.named_parameters() if p.grad is not None}


PARTS = (
    (whole_loss, (0, 4), (4, 8)),
    (contrast, (0, 5), (5, 8)),  # of unequal parts a mean of means is not that of the whole, but this is
    (contrast, (1, 2), (2, 8)),  # one process has nothing for the encoder
)
"""What is learned, and which rows by each of two processes."""


def part(rank: int, wavlm: str, folder: str, port: int) -> None:
    """Learn a part of a batch in one of two processes, and leave the losses and the gradients."""
    import torch.distributed as dist

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo")
    found = []
    for penalty, *parts in PARTS:
        whole = joined(wavlm, penalty)
        spread = torch.nn.parallel.DistributedDataParallel(whole, find_unused_parameters=True)
        found.append(learn(whole, spread, slice(*parts[rank])))
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
