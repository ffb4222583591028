"""Weights that others have written: a state dict of torch, safetensors, or a folder of the Hugging Face hub.

Nothing in a file is run: pickles that need more than tensors are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mercli.contracts import TrainedOn
from mercli.errors import DataError
from mercli.features import hub
from mercli.features.hub import CONFIG, WEIGHTS, Pin
from mercli.rundir import sha256

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")
WRAPPED = ("state_dict", "model_state_dict")
RENAMED = {r"\.weight_g$": ".parametrizations.weight.original0", r"\.weight_v$": ".parametrizations.weight.original1"}
"""Names of weight normalisation before and since torch 2.1."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Tensors by their name in today's spelling, the file they come from, and the sha256 of its bytes."""

    path: Path
    tensors: Mapping[str, Tensor]
    sha256: str

    def width(self, name: str, axis: int = 0) -> int:
        """Return a tensor's length along ``axis``; raises ``DataError`` where there is no such tensor."""
        if name not in self.tensors:
            raise DataError(f"'{self.path}' holds no '{name}'; it begins with {_some(sorted(self.tensors))}")
        return int(self.tensors[name].shape[axis])

    def fingerprint(self, files: Iterable[Path]) -> str:
        """Return one sha256 for the weights and the files that say how they are used, wherever those lie."""
        lines = (f"{sha256(file)}  {file.name}" for file in sorted(files, key=lambda file: file.name))
        return hashlib.sha256("\n".join([self.sha256, *lines]).encode()).hexdigest()


def read(path: Path, pin: Pin = None) -> Checkpoint:
    """Return the checkpoint in a file, or in a folder as the Hugging Face hub has them.

    Raises ``DataError`` where nothing is there, where it is no state dict or not that of the sha256 it is pinned to
    (``pin``), or where reading it would run code.
    """
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), path)
    if not file.is_file():
        expected = f"expected {' or '.join(WEIGHTS)} in it" if path.is_dir() else "expected a file or a folder"
        raise DataError(f"no weights at '{path}', {expected}")
    hub.held_to(pin, [file])
    tensors = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    return Checkpoint(file, {_renamed(name): tensor for name, tensor in tensors.items()}, sha256(file))


def _safetensors(file: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as fault:
        raise DataError(f"'{file}' cannot be read as safetensors: {fault}") from fault


def _pickled(file: Path) -> Mapping[str, Tensor]:
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch's reader lets anything out that junk makes it stumble over
        raise _refusal(file, str(fault)) from fault
    return _state(file, content)


def _refusal(file: Path, reason: str) -> DataError:
    needs = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", reason)
    if needs is None:
        return DataError(f"'{file}' cannot be read as a checkpoint: it is torn, or nothing that torch.save wrote")
    return DataError(
        f"'{file}' is refused: it holds a pickled '{needs[1]}', and unpickling it could run any code; "
        "expected tensors only",
        "where you trust the file: python -c \"import torch; torch.save(torch.load('FILE', weights_only=False)"
        ".state_dict(), 'NEW')\"",
    )


def _state(file: Path, content: Any) -> Mapping[str, Tensor]:
    """Return the state dict that a file holds, by itself or beside an epoch, an optimiser and the like."""
    import torch

    inner = [content[key] for key in WRAPPED if key in content] if isinstance(content, Mapping) else []
    state = inner[0] if inner else content
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        held = f"keys {_some([str(key) for key in content])}" if isinstance(content, Mapping) else type(content)
        raise DataError(f"'{file}' holds {held}, expected a state dict (tensors by name)")
    return state


def _renamed(name: str) -> str:
    """Return a tensor's name without the prefix of ``DataParallel``, in the spelling of today's torch."""
    name = name.removeprefix("module.")
    for old, new in RENAMED.items():
        name = re.sub(old, new, name)
    return name


def learned(place: str) -> tuple[TrainedOn, ...] | None:
    """Return what the card of an encoder that ``mer finetune`` left says it has learned from, ``None`` without one.

    ``place``: its folder, or the weights in it.
    """
    given = Path(place).expanduser()
    card = (given.parent if given.is_file() else given) / "card.json"
    if not card.is_file():
        return None
    try:
        rows = json.loads(card.read_text(encoding="utf-8"))["trained_on"]
        return tuple(TrainedOn(row["corpus"], row["split"], tuple(row["speakers"])) for row in rows)
    except (ValueError, KeyError, TypeError) as fault:
        raise DataError(f"'{card}' is no card of a tuned encoder: {fault}", "mer finetune --help") from fault


def unfilled() -> AbstractContextManager[None]:
    """Build networks inside with whatever lies in their memory: drawing weights takes as long as reading them."""
    from transformers.initialization import no_init_weights

    found: AbstractContextManager[None] = no_init_weights()
    return found


def fill(network: Network, checkpoint: Checkpoint, spare: str = r"$^") -> Network:
    """Return the network with the checkpoint's weights in float32, in eval mode.

    Names that match ``spare`` may be absent, and are zeros then, or there for nothing. Raises ``DataError`` with the
    names of all other missing and unexpected tensors, and of those of another shape.
    """
    own = network.state_dict()
    optional = re.compile(rf"num_batches_tracked$|{spare}")
    missing = [name for name in own if name not in checkpoint.tensors and not optional.search(name)]
    unexpected = [name for name in checkpoint.tensors if name not in own and not optional.search(name)]
    both = {name: tensor for name, tensor in checkpoint.tensors.items() if name in own}
    misshapen = [
        f"{name} is {tuple(tensor.shape)} for {tuple(own[name].shape)}"
        for name, tensor in both.items()
        if tensor.shape != own[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    faults = [f"{what}: {_some(names)}" for what, names in found.items() if names]
    if faults:
        raise DataError(f"'{checkpoint.path}' does not fit {type(network).__name__}; {'; '.join(faults)}")
    zeros = {name: tensor.new_zeros(tensor.shape) for name, tensor in own.items() if name not in both}
    given = {name: tensor.to(own[name].dtype) for name, tensor in both.items()}
    network.load_state_dict(zeros | given, assign=True)  # the file's own pages, which processes share
    return network.eval().requires_grad_(False)


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


@dataclass(frozen=True, eq=False)
class Opened:
    """A model's folder, the weights to use with it, and one sha256 for both."""

    folder: Path
    checkpoint: Checkpoint
    fingerprint: str

    def config(self, kind: str) -> dict[str, Any]:
        """Return what ``config.json`` says; raises ``DataError`` where it is not of a model of this type."""
        file = self.folder / CONFIG
        try:
            described = json.loads(file.read_text(encoding="utf-8"))
            found = described.get("model_type")
        except (ValueError, AttributeError) as fault:
            raise DataError(f"'{file}' is no JSON object, expected the config of a {kind} model") from fault
        if found != kind:
            raise DataError(f"'{self.folder}' is a model of type '{found}', expected {kind}")
        return described


def open_model(model: str, revision: str | None, weights: str | None, extra: Sequence[str], pin: Pin = None) -> Opened:
    """Return a model in the form of ``transformers``: ``config.json``, perhaps the ``extra`` files, and its weights.

    ``model``: a folder, or a name on the Hugging Face hub, which is asked where its cache does not have a file and
    no ``--offline`` was given. ``weights``: a file whose tensors take the place of the model's own; ``pin``: the sha256
    that the weights are held to. Raises ``DataError`` where something is neither here nor to be had, or is another.
    """
    place = hub.folder(model, revision, (CONFIG,), extra, weights is None)
    checkpoint = read(Path(weights).expanduser() if weights else place, pin)
    files = (place / name for name in (CONFIG, *extra))
    return Opened(place, checkpoint, checkpoint.fingerprint(file for file in files if file.is_file()))
