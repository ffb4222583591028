"""Errors that users meet: each says what is wrong, with what, what was expected, and one command that helps.

Exit codes are part of the interface (docs/exit-codes.md); only ``cli/app.py`` turns an error into one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, a quota or the limit on a file's size is reached."""


class MerError(Exception):
    """A failure the user can act on.

    ``message``: lower case, the offending thing quoted, then what was expected. ``hint``: one command or action.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(MerError):
    """A preset, ``--set`` or option value that cannot be used."""

    exit_code = 3


class DataError(MerError):
    """A corpus, medium, manifest, store or bundle that cannot be used."""

    exit_code = 4


class CheckpointError(DataError):
    """A checkpoint that a training cannot go on from."""


class PluginError(MerError):
    """A plugin that is unknown, broken or cannot run here."""

    exit_code = 5


class MissingExtra(PluginError):  # noqa: N818 - named in the design; the suffix would say it twice
    """A plugin whose optional packages are not installed."""


class DeviceError(PluginError):
    """A device that was asked for and is not there."""


class PartialError(MerError):
    """The command finished, and some units failed; ``failures.jsonl`` or the output says which and why."""

    exit_code = 6


@contextmanager
def foreign(message: str, hint: str | None = None, kind: type[MerError] = DataError) -> Iterator[None]:
    """Turn whatever another library stumbles over into an error of ours: the message, and what that said first.

    Such libraries have errors of their own for torn files, unknown types and unsafe pickles, or none that is theirs.
    """
    try:
        yield
    except MerError:
        raise
    except Exception as fault:
        said = next((line.strip() for line in str(fault).splitlines() if line.strip()), type(fault).__name__)
        raise kind(f"{message}: {said}", hint) from fault


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Raise ``MissingExtra`` where a package of this extra, without which ``what`` cannot be, is not installed."""
    try:
        yield
    except ImportError as fault:
        missing = f"{what} needs the extra '{name}' ({fault.name} is not installed)"
        raise MissingExtra(missing, f"pip install 'mercli[{name}]'") from fault
