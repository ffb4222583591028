"""What the C library does with memory that was freed."""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Settings of glibc's ``mallopt``: the free bytes at which memory goes back to the system, and the size from which a
piece is mapped by itself, to go back whenever it is freed."""


def keep() -> None:
    """Keep freed memory for the tensors that come next, of which a layer frees and asks for the same sizes again.

    Mapping and zeroing their pages anew each time takes a fifth of an encoder's time. Other libraries than glibc are
    left as they are.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
