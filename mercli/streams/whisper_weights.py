"""Where Whisper's weights are: found, fetched within bounds, or missed once with a line that says how to get them.

``whisper`` itself is not imported here (it takes seconds, and its download has no time limit and writes a bar); its
table of checkpoints is read from its source.
"""

from __future__ import annotations

import ast
import hashlib
import http.client
import importlib.util
import logging
import os
import queue
import threading
import urllib.request
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mercli import network
from mercli.errors import ConfigError, DataError, MissingExtra
from mercli.registry import near
from mercli.rundir import sha256

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 4.0

_lock = threading.Lock()


def locate(model: str, folder: Path | None = None, *, offline: bool = False) -> Path | None:
    """Return the checkpoint of ``model`` (one of Whisper's names, or the path of a ``.pt`` file), or ``None``.

    A named one lies in ``folder`` (default: Whisper's own cache) under its checksum, else it is fetched there unless
    ``offline``. Absent weights are looked for once per process, give up within 5 s, and leave one line in the log.
    Raises ``ConfigError`` for an unknown name, ``DataError`` for a path without a file.
    """
    if model.endswith(".pt"):
        path = Path(model).expanduser()
        if not path.is_file():
            raise DataError(f"no whisper weights at '{model}', expected a .pt file of openai-whisper")
        return path
    place(model)
    with _lock:
        return _named(model, (folder or cache_folder()).expanduser(), offline or network.forbidden())


def place(model: str, folder: Path | None = None) -> tuple[Path, str]:
    """Return where the named checkpoint lies, there or not, and the sha256 that it must have.

    Raises ``ConfigError`` for an unknown name.
    """
    known = checkpoints()
    if model not in known:
        raise ConfigError(f"no whisper model is called '{model}'{near(model, known)}, or the path of a .pt file")
    checksum, name = known[model].split("/")[-2:]
    return (folder or cache_folder()).expanduser() / name, checksum


def pull(model: str, folder: Path | None = None) -> Path:
    """Return the named checkpoint, fetched where it is not there whole; raises ``DataError`` where that fails."""
    target, checksum = place(model, folder)
    if target.is_file() and sha256(target) == checksum:
        return target
    try:
        _fetch(checkpoints()[model], target, checksum)
    except (OSError, http.client.HTTPException) as fault:
        raise DataError(
            f"whisper's '{model}' weights could not be fetched: {_one_line(fault)}",
            f"mer models pull whisper:{model}, where there is a network",
        ) from fault
    return target


def cache_folder() -> Path:
    """Return openai-whisper's own folder for weights: ``~/.cache/whisper``, or below ``XDG_CACHE_HOME``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"


@lru_cache(maxsize=1)
def checkpoints() -> dict[str, str]:
    """Return the address of every named checkpoint (sha256 as its last folder), as the installed whisper lists them.

    Raises ``MissingExtra`` where openai-whisper is not installed.
    """
    package = importlib.util.find_spec("whisper")
    if package is not None and package.origin is not None:
        for statement in ast.parse(Path(package.origin).read_text(encoding="utf-8")).body:
            if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None) == "_MODELS":
                return dict(ast.literal_eval(statement.value))
    raise MissingExtra("the package 'openai-whisper' is not installed", "pip install openai-whisper")


@cache
def _named(model: str, folder: Path, offline: bool) -> Path | None:
    address = checkpoints()[model]
    target, checksum = place(model, folder)
    if target.is_file():
        if sha256(target) == checksum:
            return target
        reason = "the file there is damaged"
    else:
        reason = "they are not there"
    if not offline:
        try:
            _fetch(address, target, checksum)
        except (OSError, http.client.HTTPException) as fault:
            reason += f" and could not be fetched ({_one_line(fault)})"
        else:
            return target
    logging.getLogger("mer").warning(
        "no speech recognition: whisper's '%s' weights: %s; put %s into '%s', or a transcript beside the clip",
        *(model, reason, address, folder),
    )
    return None


def _fetch(address: str, target: Path, checksum: str) -> None:
    """Download to a file beside ``target`` and move it there when its checksum is right; ``OSError`` otherwise."""
    part = target.with_name(f".{target.name}-{os.getpid()}")
    with _open(address) as response:
        logging.getLogger("mer").info("fetching %s to '%s'", address, target)
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        try:
            with part.open("wb") as file:
                while data := response.read(1 << 20):
                    digest.update(data)
                    file.write(data)
            if digest.hexdigest() != checksum:
                raise OSError("what came has another checksum")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _open(address: str) -> Any:
    """Return the response, or raise ``OSError`` when there is none in time.

    A socket's time limit leaves out the look-up of the host's name, so the attempt runs in a thread of its own.
    """
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            answers.put(urllib.request.urlopen(address, timeout=CONNECT_SECONDS))  # noqa: S310 - whisper's own https
        except (OSError, http.client.HTTPException) as fault:
            answers.put(fault)

    threading.Thread(target=attempt, name="whisper-weights", daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _one_line(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
