"""Opens media files so that no name, fifo, playlist or damage harms, and keeps account of what could not be decoded."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from mercli.errors import DataError

logger = logging.getLogger("mer")

# A playlist renamed to .mp4 must not make us read other files or hosts: no protocol is allowed inside a container.
OPTIONS = {"protocol_whitelist": "none"}
BUFFER = 1 << 18
POINTER = b"version https://git-lfs.github.com/spec/v1"
KINDS = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)


class _Nameless:
    """A file without a name: PyAV tells formats by content, and parses no protocol or number pattern."""

    def __init__(self, handle: Any) -> None:
        self.read, self.seek, self.tell = handle.read, handle.seek, handle.tell


@dataclass
class Damage:
    """What a pass lost: packets not decoded and their seconds, packets the container calls broken, pictures the
    decoder calls corrupt, seconds cut off.
    """

    packets: int = 0
    broken: int = 0
    seconds: float = 0.0
    pictures: int = 0
    cut: float = 0.0

    def note(self, packet: av.Packet | None) -> None:
        """Count one packet that could not be decoded."""
        self.packets += 1
        if packet is not None and packet.duration and packet.time_base:
            self.seconds += float(packet.duration * packet.time_base)

    def report(self, path: Path) -> None:
        """Log one warning that says how much of ``path`` was lost, if any was."""
        parts = []
        if self.packets:
            parts.append(f"{self.packets} packets ({self.seconds:.1f} s) could not be decoded")
        if self.broken:
            parts.append(f"{self.broken} packets are incomplete")
        if self.pictures:
            parts.append(f"{self.pictures} corrupt pictures were left out")
        if self.cut:
            parts.append(f"the last {self.cut:.1f} s are missing")
        if parts:
            logger.warning("%s is damaged: %s", quoted(path), ", ".join(parts))


def quoted(path: Path) -> str:
    """Return the name in quotes on one line, whatever it holds."""
    return repr(str(path))


def check(path: Path) -> None:
    """Raise ``DataError`` unless ``path`` is a regular, readable file with content; never opens anything else."""
    name = quoted(path)
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise DataError(f"{name} does not exist, expected a media file") from None
    except (OSError, ValueError) as fault:
        raise DataError(f"{name} cannot be read ({_reason(fault)}), expected a media file") from None
    if not stat.S_ISREG(status.st_mode):
        kind = next((word for test, word in KINDS if test(status.st_mode)), "special file")
        raise DataError(f"{name} is a {kind}, expected a media file")
    if status.st_size == 0:
        raise DataError(f"{name} is empty (0 bytes), expected a media file")


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a media file for demuxing; raises ``DataError`` that says what is wrong with it."""
    check(path)
    try:
        handle = open(path, "rb", buffering=0)  # noqa: SIM115 - closed below, whatever PyAV does
    except OSError as fault:
        raise DataError(f"{quoted(path)} cannot be read ({_reason(fault)})") from None
    with handle:
        try:
            container = av.open(_Nameless(handle), "r", options=OPTIONS, buffer_size=BUFFER, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as fault:
            raise _unreadable(path, fault) from None
        with container:
            if not container.streams:
                raise _unreadable(path, ValueError("it holds no streams"))
            yield container


def _unreadable(path: Path, fault: Exception) -> DataError:
    with path.open("rb") as handle:
        head = handle.read(64)
    if head.startswith(POINTER):
        return DataError(f"{quoted(path)} is a git-lfs pointer, expected the medium itself", "git lfs pull")
    if head[4:8] == b"ftyp":
        return DataError(f"{quoted(path)} has no index: it was cut off or never finished, expected a whole mp4 or mov")
    return DataError(f"{quoted(path)} is no media file that can be decoded ({_reason(fault)})")


def _reason(fault: Exception) -> str:
    text = getattr(fault, "strerror", None) or str(fault)
    return text[:1].lower() + text[1:]


def find(container: av.container.InputContainer, kind: Literal["video", "audio"]) -> Any:
    """Return the best decodable ``video`` or ``audio`` stream, or ``None``; cover art is no video."""
    if kind not in {stream.type for stream in container.streams}:
        return None
    stream = container.streams.best(kind)
    if stream is None or stream.codec_context is None or stream.disposition & av.stream.Disposition.attached_pic:
        return None
    return stream


def is_image(container: av.container.InputContainer) -> bool:
    """Tell whether the medium is a still picture."""
    name = container.format.name
    return name.endswith("_pipe") or name in ("image2", "ico")


def is_mov(container: av.container.InputContainer) -> bool:
    """Tell whether the container is of the mp4 / mov family, whose track lengths are exact."""
    return "mp4" in container.format.name


def origin(container: av.container.InputContainer) -> float:
    """Return the timestamp in seconds that is the start of the clip."""
    return (container.start_time or 0) / av.time_base


def packets(container: av.container.InputContainer, streams: Sequence[Any], damage: Damage) -> Iterator[av.Packet]:
    """Yield the packets of ``streams`` in file order; what cannot be read is counted and passed over."""
    going = True
    while going:
        going = False
        try:
            for packet in container.demux(list(streams)):
                if packet.size:
                    going = True
                    damage.broken += packet.is_corrupt
                    yield packet
            return
        except (av.FFmpegError, OSError):
            damage.note(None)


def decode(stream: Any, packet: av.Packet | None, damage: Damage) -> list[Any]:
    """Return the frames a packet completes (``None`` flushes); a packet that cannot be decoded is counted."""
    last = packet is None
    if packet is None:  # an empty packet, not None, so that the flushed frames know their time base
        packet = av.Packet()
        packet.stream, packet.time_base = stream, stream.time_base
    try:
        return list(stream.decode(packet))
    except av.error.EOFError:
        return []
    except (av.FFmpegError, ValueError):
        if not last:
            damage.note(packet)
        return []
