"""Models of the Hugging Face hub: files from its cache, fetched where need be, and held to what they are pinned to.

What the cache has is used without asking a network. What it lacks is listed once, and fetched unless ``--offline``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mercli import log, network
from mercli.errors import DISK_FULL, DataError
from mercli.rundir import sha256

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
STATES = (".pt", ".pth", ".bin", ".safetensors")
"""How the names of files of weights end."""
INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
"""Where the weights of a large model are in several files, what is in which."""
FULL = (*DISK_FULL, errno.EROFS, errno.EACCES)
"""What keeps files from being written, whatever the hub says."""
SECONDS = 5.0
"""How long the hub may take to say what a model consists of."""
Pin = str | tuple[str, ...] | None
"""The sha256 of a model's weights, of each file where there are several."""


@dataclass(frozen=True)
class Listing:
    """What the hub says of a revision: its commit, its files with their sizes in bytes, the sha256 of large ones."""

    commit: str
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]


def folder(model: str, revision: str | None, needed: Sequence[str], extra: Sequence[str], weights: bool) -> Path:
    """Return where the files of a model lie: in a folder of that name, else in the hub's cache, filled where need be.

    ``needed`` files must be there, ``extra`` ones may; ``weights`` asks for those, too. Raises ``DataError`` where a
    file is neither here nor to be had.
    """
    local = Path(model).expanduser()
    if local.is_dir():
        if gone := _lacking(local, needed, weights):
            raise DataError(f"'{local}' holds no {gone}, expected the folder of a saved model")
        return local
    here = snapshot(model, revision)
    whole = here is not None and not _lacking(here, needed, weights)
    told = not extra or any(_known(model, revision, name) for name in extra)
    if not (whole and told) and not network.forbidden():
        try:
            here = fetch(model, revision, _chosen(listing(model, revision).sizes, needed, extra, weights))
        except DataError:
            if not whole:
                raise
    gone = CONFIG if here is None else _lacking(here, needed, weights)
    if here is None or gone:
        raise _absent(model, revision, gone)
    return here


def _lacking(place: Path, needed: Sequence[str], weights: bool) -> str:
    """Return what a folder lacks, in words; an empty text for nothing."""
    held = weights_in(place) if weights else []
    if weights and not held and all((place / name).is_file() for name in needed):
        return " or ".join(WEIGHTS)
    return next((path.name for path in (*map(place.joinpath, needed), *held) if not path.is_file()), "")


def _chosen(there: Iterable[str], needed: Sequence[str], extra: Sequence[str], weights: bool) -> list[str]:
    there = set(there)
    return [name for name in (*needed, *extra) if name in there] + (weight_files(there) if weights else [])


def snapshot(model: str, revision: str | None, cache: Path | None = None) -> Path | None:
    """Return the folder of a model's revision in the hub's cache, ``None`` where nothing of it is there."""
    found = _cached(model, revision, CONFIG, cache)
    return Path(found).parent if isinstance(found, str) else None


def _known(model: str, revision: str | None, name: str) -> bool:
    """Tell whether the cache has a file, or says that the model has no such file."""
    return _cached(model, revision, name) is not None


def _cached(model: str, revision: str | None, name: str, cache: Path | None = None) -> Any:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return try_to_load_from_cache(model, name, cache, revision)
    except HFValidationError:
        return None


@lru_cache(maxsize=64)
def listing(model: str, revision: str | None) -> Listing:
    """Return what the hub says of a model; raises ``DataError`` where there is none, no right to it, or no network."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().model_info(model, revision=revision, files_metadata=True, timeout=SECONDS)
    except Exception as fault:  # the hub's own errors, and those of whatever HTTP library it uses
        raise told(model, revision, fault) from fault
    files = found.siblings or []
    sizes = {file.rfilename: file.size or 0 for file in files}
    sums = {file.rfilename: file.lfs.sha256 for file in files if file.lfs}
    return Listing(str(found.sha), sizes, sums)


def fetch(model: str, revision: str | None, names: Sequence[str], cache: Path | None = None) -> Path:
    """Return the folder of the cache with these files of a model, fetched where it lacks them; raises ``DataError``."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if sys.stderr is None or not sys.stderr.isatty() or log.is_quiet():
        disable_progress_bars()
    try:
        return Path(snapshot_download(model, revision=revision, cache_dir=cache, allow_patterns=list(names)))
    except Exception as fault:  # as above
        if isinstance(fault, OSError) and fault.errno in FULL:
            raise
        raise told(model, revision, fault) from fault


def told(model: str, revision: str | None, fault: Exception) -> DataError:
    """Return what kept a model from being fetched as an error that says what can be done."""
    from huggingface_hub import errors

    if isinstance(fault, errors.HFValidationError):
        return DataError(f"'{model}' is neither a folder nor the name of a model on the Hugging Face hub")
    if isinstance(fault, errors.GatedRepoError):
        return DataError(
            f"the model '{model}' is gated: its owners give it to those whom they allowed", "hf auth login"
        )
    if isinstance(fault, errors.RevisionNotFoundError):
        return DataError(f"the model '{model}' has no revision '{revision}'", f"mer models pull {model}")
    if isinstance(fault, errors.RepositoryNotFoundError):
        return DataError(
            f"the Hugging Face hub has no model '{model}', or it is private", "hf auth login, where it is private"
        )
    status = getattr(getattr(fault, "response", None), "status_code", None)
    why = f"the Hugging Face hub answered {status}" if status else "the Hugging Face hub could not be reached"
    return DataError(f"'{model}' is not whole on this machine, and {why}", how_to_get(model, revision))


def _absent(model: str, revision: str | None, gone: str) -> DataError:
    at = f" at revision '{revision}'" if revision else ""
    why = "no network may be asked for it" if network.forbidden() else "the hub has no such file of it"
    return DataError(
        f"'{gone}' of the model '{model}'{at} is not on this machine, and {why}; "
        "expected a folder, or the name of a model on the Hugging Face hub",
        how_to_get(model, revision),
    )


def how_to_get(model: str, revision: str | None) -> str:
    """Return the command that fetches a model where there is a network."""
    at = f"@{revision}" if revision else ""
    return f"mer models pull {model}{at}, or mer models pull PRESET, where there is a network"


def weight_files(names: Iterable[str], shards: Mapping[str, Iterable[str]] | None = None) -> list[str]:
    """Return which of a model's files are its weights, safetensors first; the parts of an index by its pattern.

    ``shards`` {index: files}: what the indices say where they can be read.
    """
    there = set(names)
    for single, index in zip(WEIGHTS, INDICES, strict=True):
        if single in there:
            return [single]
        if index in there:
            pattern = re.compile(rf"{single.partition('.')[0]}-\d+-of-\d+\.{single.partition('.')[2]}")
            parts = shards[index] if shards and index in shards else filter(pattern.fullmatch, there)
            return [index, *sorted(parts)]
    return []


def weights_in(place: Path) -> list[Path]:
    """Return the files that hold a folder's weights, by what an index there says whether they are there or not."""
    names = {path.name for path in place.iterdir()}
    indices = {name: _parts(place / name) for name in INDICES if name in names}
    return [place / name for name in weight_files(names, indices) if name not in INDICES]


def _parts(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as fault:
        raise DataError(f"'{index}' does not tell which file holds which weight") from fault


def held_to(pin: Pin, files: Iterable[Path]) -> None:
    """Raise ``DataError`` where files of weights are not those of the pinned sha256."""
    if pin is None:
        return
    wanted = {pin.lower()} if isinstance(pin, str) else {one.lower() for one in pin}
    for file in sorted(files):
        if (found := sha256(file)) not in wanted:
            raise DataError(
                f"'{file}' has the sha256 {found}, and {' or '.join(sorted(wanted))} is what it is pinned to",
                "mer models verify",
            )


def digest(files: Sequence[Path]) -> str:
    """Return the sha256 of the one file of a model's weights, or one of them all."""
    sums = [sha256(file) for file in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()
