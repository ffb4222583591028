"""A published system's checkpoint as a head of ours: what an importer returns, and renaming by patterns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mercli.errors import DataError

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]

Pattern = tuple[str, str | None]


@dataclass(frozen=True, eq=False)
class SeedHead:
    """What builds a head of ours with a checkpoint's weights.

    ``build("heads", name, dims, scheme of as many classes, options=options)``, then ``load_state_dict(state)``.
    """

    name: str
    dims: Mapping[str, int]
    classes: int
    options: Mapping[str, Any]
    state: dict[str, torch.Tensor]


def stripped(state: State) -> dict[str, torch.Tensor]:
    """Return the state without the prefix ``module.``, which DataParallel puts before every name."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def renamed(state: State, patterns: Sequence[Pattern], system: str) -> dict[str, torch.Tensor]:
    """Return the state under our names: the first pattern that matches a whole name gives its replacement.

    A replacement of ``None`` leaves the tensor out. Raises ``DataError`` for a name that no pattern knows.
    """
    fresh = {}
    for name, tensor in state.items():
        for pattern, replacement in patterns:
            if found := re.fullmatch(pattern, name):
                if replacement is not None:
                    fresh[found.expand(replacement)] = tensor
                break
        else:
            raise DataError(f"'{name}' is no weight of {system}", f"give a checkpoint that {system} saved")
    return fresh


def need(state: State, name: str, system: str) -> torch.Tensor:
    """Return the tensor called ``name``; raises ``DataError`` where the checkpoint lacks it."""
    if name not in state:
        raise DataError(f"the checkpoint has no '{name}', which {system} has", f"give a checkpoint that {system} saved")
    return state[name]
