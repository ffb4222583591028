"""Arrays of features in files, one a segment; no file runs code when it is read."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError, foreign
from mercli.rundir import sha256
from mercli.types import Feature, Modality, Streams, StreamSettings

GIGABYTE = 1 << 30
PLACEHOLDERS = ("segment", "corpus", "clip", "name", "stem")
ANYWHERE = "**/"
Array = NDArray[np.float32]


class Source(Protocol):
    """Where ready-made arrays are looked up; ``fingerprint`` stands for all that they hold."""

    fingerprint: str

    def get(self, identity: str) -> NDArray[Any] | None:
        """Return the array of a segment, or ``None`` where there is none."""
        ...

    def first(self) -> NDArray[Any]:
        """Return the first array there is; raises ``DataError`` for none."""
        ...


class ReadyMade:
    """Looks segments up by their id; it needs no stream, and gets every segment once."""

    needs_streams = False
    settings = StreamSettings()

    def __init__(
        self, modality: Modality, source: Source, dim: int | None, fps: float, trained_on: tuple[TrainedOn, ...]
    ) -> None:
        self.modality: str = modality
        self.source, self.fps, self.trained_on = source, fps, trained_on
        self.weights = source.fingerprint
        self.dim = dim if dim is not None else int(source.first().shape[-1])

    def to(self, device: str) -> None:
        """Stay on the CPU: there is no network to move."""

    def encode(self, batch: Sequence[Streams]) -> list[Feature]:
        """Return one feature (T, dim) per item; rows with NaN or infinite numbers, and absent items, are not valid.

        Raises ``DataError`` for an array of another shape.
        """
        return [self._feature(streams.id, self.source.get(streams.id)) for streams in batch]

    def _feature(self, identity: str, found: NDArray[Any] | None) -> Feature:
        rows = np.zeros((1, self.dim), np.float32) if found is None else np.atleast_2d(np.asarray(found, np.float32))
        if rows.ndim != 2 or rows.shape[1] != self.dim:
            raise DataError(
                f"the ready-made {self.modality} feature of '{identity}' has the shape {rows.shape}, "
                f"expected ({self.dim},) or (rows, {self.dim})"
            )
        finite = np.asarray(np.isfinite(rows).all(axis=1))
        edges = np.arange(len(rows) + 1) / self.fps
        times = np.stack((edges[:-1], edges[1:]), 1).astype(np.float32)
        return Feature(np.where(finite[:, None], rows, 0), times, finite if found is not None else ~finite)


def parts(identity: str) -> dict[str, str]:
    """Return what a segment's id, ``corpus/clip/name``, gives to look its features up by."""
    corpus, _, rest = identity.partition("/")
    clip, _, name = rest.rpartition("/")
    stem = PurePosixPath(clip or name).stem
    return {"segment": identity, "corpus": corpus, "clip": clip, "name": name, "stem": stem}


def fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """Return one sha256 for files by their names and bytes; of more than 1 GB together, by names and sizes."""
    every = sorted(files)
    sizes = {name: path.stat().st_size for name, path in every}
    large = sum(sizes.values()) > GIGABYTE
    whole = hashlib.sha256()
    for name, path in every:
        whole.update(f"{name}\0{sizes[name]}\0".encode("utf-8", "surrogateescape"))
        if not large:
            whole.update(bytes.fromhex(sha256(path)))
    return whole.hexdigest()


class Files:
    """A folder of arrays, a file each; raises ``DataError`` where there is no file of that kind."""

    def __init__(self, root: Path, pattern: str, key: str | None) -> None:
        self.root, self.pattern, self.key = root, pattern, key
        ending = PurePosixPath(pattern).suffix
        if ending not in READERS:
            raise ConfigError(
                f"option 'pattern' is '{pattern}', expected a name that ends in {', '.join(READERS)}",
                "mer list encoders --json",
            )
        self.read = READERS[ending]
        self._check()
        self.paths = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob(f"*{ending}"))}
        if not self.paths:
            raise DataError(f"'{root}' holds no {ending} file")
        self.fingerprint = fingerprint(self.paths.items())
        self.names: dict[str, list[str]] = {}
        for relative in self.paths if pattern.startswith(ANYWHERE) else ():
            self.names.setdefault(PurePosixPath(relative).name, []).append(relative)

    def _check(self) -> None:
        try:
            self.pattern.format(**dict.fromkeys(PLACEHOLDERS, ""))
        except (KeyError, IndexError, ValueError) as fault:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ConfigError(
                f"option 'pattern' is '{self.pattern}', whose placeholder is none of {known}",
                "mer list encoders --json",
            ) from fault
        if not self.root.is_dir():
            raise DataError(f"option 'root' is '{self.root}', which is no folder")

    def get(self, identity: str) -> NDArray[Any] | None:
        """Return the array of a segment's file, or ``None``; raises ``DataError`` for two files, or a torn one."""
        place = self.pattern.format(**parts(identity))
        if self.pattern.startswith(ANYWHERE):
            fitting = self.names.get(place.removeprefix(ANYWHERE), [])
            if len(fitting) > 1:
                raise DataError(f"'{fitting[0]}' and '{fitting[1]}' in '{self.root}' both fit '{identity}'")
            place = fitting[0] if fitting else ""
        path = self.paths.get(place)
        return None if path is None else self._array(path)

    def first(self) -> NDArray[Any]:
        """Return the first array, by name."""
        return self._array(next(iter(self.paths.values())))

    def _array(self, path: Path) -> NDArray[Any]:
        with foreign(f"'{path}' cannot be read as features"):
            found = self.read(path)
        return chosen(path, found, self.key)


def chosen(path: Path, found: Any, key: str | None) -> NDArray[Any]:
    """Return an array, or the one called ``key`` of several; raises ``DataError`` where that is not clear."""
    if isinstance(found, Mapping):
        if key is None and len(found) == 1:
            found = next(iter(found.values()))
        elif key in found:
            found = found[key]
        else:
            names = ", ".join(map(str, found))
            asked = "and the option 'key' names none" if key is None else f"and none called '{key}'"
            raise DataError(f"'{path}' holds {names}, {asked}", "mer list encoders --json")
    array = np.asarray(found)
    if array.dtype.kind not in "fiub" or not array.ndim or not array.shape[-1]:
        raise DataError(f"'{path}' holds {array.dtype} of shape {array.shape}, expected numbers (rows, D) or (D,)")
    return array


def _npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:  # through torch: NumPy has no bfloat16
        return {name: tensor.float().numpy() for name, tensor in load_file(path).items()}
    except SafetensorError as fault:
        raise ValueError(str(fault)) from fault


class _TensorsOnly(pickle.Unpickler):
    """Reads plain values and torch's tensors; any other class would be code, and is refused."""

    def find_class(self, module: str, name: str) -> Any:
        import torch

        allowed = {
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
            ("torch.storage", "_load_from_bytes"): _storage,
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it needs '{module}.{name}', and reading that could run any code")
        return allowed[module, name]


def _storage(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _pickled(path: Path) -> Any:
    """Return what torch or plain pickle wrote (SMIL MER's features: a dict of tensors, and a number), tensors alone."""
    import torch

    if zipfile.is_zipfile(path):
        found = torch.load(path, map_location="cpu", weights_only=True)
    else:
        with path.open("rb") as stream:
            found = _TensorsOnly(stream).load()
    if isinstance(found, Mapping):
        return {name: _numbers(value) for name, value in found.items() if isinstance(value, torch.Tensor)}
    return _numbers(found)


def _numbers(value: Any) -> Any:
    import torch

    return value.detach().float().numpy() if isinstance(value, torch.Tensor) else value


READERS: Mapping[str, Callable[[Path], Any]] = {
    ".npy": lambda path: np.load(path, allow_pickle=False),
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".pickle": _pickled,
    ".pkl": _pickled,
    ".pt": _pickled,
}
