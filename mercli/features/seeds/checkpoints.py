"""Weights that others have written: a state dict of torch, safetensors, or a folder of the Hugging Face hub.

Nothing in a file is run: pickles that need more than tensors are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mercli.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = TypeVar("Network", bound="nn.Module")
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
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


def read(path: Path) -> Checkpoint:
    """Return the checkpoint in a file, or in a folder as the Hugging Face hub has them.

    Raises ``DataError`` where nothing is there, where it is no state dict, or where reading it would run code.
    """
    file = next((path / name for name in WEIGHTS if (path / name).is_file()), path)
    if not file.is_file():
        expected = f"expected {' or '.join(WEIGHTS)} in it" if path.is_dir() else "expected a file or a folder"
        raise DataError(f"no weights at '{path}', {expected}")
    tensors = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    return Checkpoint(file, {_renamed(name): tensor for name, tensor in tensors.items()}, sha256(file))


def sha256(file: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def fill(network: Network, checkpoint: Checkpoint, spare: str = r"$^") -> Network:
    """Return the network with the checkpoint's weights in float32, in eval mode.

    Names that match ``spare`` may be absent, or there for nothing. Raises ``DataError`` with the names of all other
    missing and unexpected tensors, and of those of another shape.
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
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in both.items()}, strict=False)
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


def open_model(model: str, revision: str | None, weights: str | None, extra: Sequence[str]) -> Opened:
    """Return a model in the form of ``transformers``: ``config.json``, perhaps the ``extra`` files, and its weights.

    ``model``: a folder, or a name on the Hugging Face hub, which is asked where its cache does not have a file and
    ``HF_HUB_OFFLINE`` is not set. ``weights``: a file whose tensors take the place of the model's own. Raises
    ``DataError`` where something is neither here nor to be had.
    """
    place = folder(model, revision, (CONFIG,), extra, weights is None)
    checkpoint = read(Path(weights).expanduser() if weights else place)
    files = (place / name for name in (CONFIG, *extra))
    return Opened(place, checkpoint, checkpoint.fingerprint(file for file in files if file.is_file()))


def folder(model: str, revision: str | None, needed: Sequence[str], extra: Sequence[str], weights: bool) -> Path:
    """Return where the files of a model lie: in a folder of that name, else in the hub's cache, filled where need be.

    ``needed`` files must be there, ``extra`` ones may; ``weights`` asks for one of ``WEIGHTS``. Raises ``DataError``
    where a file is neither here nor to be had.
    """
    local = Path(model).expanduser()
    wanted: list[tuple[str, ...]] = [(name,) for name in needed] + ([WEIGHTS] if weights else [])
    if local.is_dir():
        for names in wanted:
            if not any((local / name).is_file() for name in names):
                raise DataError(f"'{local}' holds no {' or '.join(names)}, expected the folder of a saved model")
        return local
    paths = [_either(model, revision, names) for names in wanted]
    for name in extra:
        _fetched(model, revision, name)
    return paths[0].parent


def _either(model: str, revision: str | None, names: Sequence[str]) -> Path:
    """Return the first of the named files that the hub's cache or the hub has; raises ``DataError`` for none."""
    for name in names:
        found = _fetched(model, revision, name)
        if found is not None:
            return found
    at = f" at revision '{revision}'" if revision else ""
    raise DataError(
        f"'{names[0]}' of the model '{model}'{at} is not on this machine and could not be fetched; "
        "expected a folder, or the name of a model on the Hugging Face hub",
        f"download it where there is a network: hf download {model}" + (f" --revision {revision}" if revision else ""),
    )


def _fetched(model: str, revision: str | None, name: str) -> Path | None:
    """Return a file of the hub from its cache or, unless ``HF_HUB_OFFLINE`` is set, from the hub; else ``None``."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    try:
        return Path(hf_hub_download(model, name, revision=revision, local_files_only=offline))
    except (EntryNotFoundError, HFValidationError, OSError):  # OSError: no network, no such model, no right to it
        return None
