"""Words and characters of a text as hashed n-grams: the same numbers on every platform, with no vocabulary to ship.

A polynomial over code points, modulo 2^64, finished by SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
pseudorandom number generators"), so that every bit of a key can choose a bucket or a sign.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Keys = NDArray[np.uint64]

MULTIPLIER = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd: invertible modulo 2^64
START, END = "\x02", "\x03"
LONGEST = 4_000  # characters read of one text: beyond, a sentence is a document and tells no more

_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|([^\w\s]|_)\1*")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u0092": "'", "\u201c": '"', "\u201d": '"'})
_RUN = re.compile(r"(\w)\1{2,}")


@dataclass(frozen=True)
class Orders:
    """Which n-grams are read, from the first to the last order included; ``(0, 0)`` reads none of that kind.

    With ``edges`` the start and the end of a text count as words, so that "what" alone differs from "what" within.
    """

    words: tuple[int, int] = (1, 2)
    chars: tuple[int, int] = (3, 5)
    edges: bool = False


def normalise(text: str) -> str:
    """Return a text in NFKC and lower case, one kind of quotes, letters repeated thrice or more as three."""
    text = unicodedata.normalize("NFKC", text[:LONGEST].translate(_QUOTES)).lower()
    return " ".join(_RUN.sub(r"\1\1\1", text).split())


def tokens(normal: str) -> list[str]:
    """Return the words and the runs of one punctuation mark of a normalised text."""
    return [found.group() for found in _TOKEN.finditer(normal)]


def keys(text: str, orders: Orders) -> Keys:
    """Return one 64-bit key per n-gram of a text (N,), with repetitions; empty for a text without any token."""
    return keys_of(tokens(normalise(text)), orders)


def keys_of(found: Sequence[str], orders: Orders) -> Keys:
    """Return one 64-bit key per n-gram of a normalised text's tokens (N,), with repetitions."""
    import numpy as np

    if not found:
        return np.empty(0, np.uint64)
    with np.errstate(over="ignore"):
        words = [START, *found, END] if orders.edges else found
        parts = [*_word_keys(words, orders.words), *_char_keys(" ".join(found), orders.chars)]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def bag(found: Keys, buckets: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the buckets that keys fall in, ascending and each once (M,), and how many keys fell in each (M,)."""
    import numpy as np

    index, count = np.unique((found % np.uint64(buckets)).astype(np.int64), return_counts=True)
    return index, count.astype(np.float32)


def signs(found: Keys) -> NDArray[np.float32]:
    """Return -1 or +1 per key, from its highest bit (Weinberger et al. 2009: collisions cancel on average)."""
    import numpy as np

    return (1.0 - 2.0 * (found >> np.uint64(63)).astype(np.float32)).astype(np.float32)


def _codes(text: str) -> Keys:
    import numpy as np

    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype="<u4").astype(np.uint64) + np.uint64(1)


def _windows(codes: Keys, first: int, last: int, kind: int) -> Iterator[Keys]:
    """Yield the keys of all runs of ``first`` to ``last`` codes, each kind and order with a seed of its own."""
    import numpy as np

    running = np.zeros(len(codes), np.uint64)
    for order in range(1, min(last, len(codes)) + 1):
        running = running[: len(codes) - order + 1] * np.uint64(MULTIPLIER) + codes[order - 1 :]
        if order >= first:
            yield _mix(running ^ np.uint64(kind * 1_000 + order))


def _word_keys(found: Sequence[str], orders: tuple[int, int]) -> Iterator[Keys]:
    import numpy as np

    if orders[1] < 1:
        return
    codes = _codes("".join(found))
    lengths = np.array([len(word) for word in found])
    ends = np.cumsum(lengths)
    exponent = np.repeat(ends, lengths) - 1 - np.arange(len(codes))
    powers = np.full(int(lengths.max()), MULTIPLIER, np.uint64)
    powers[0] = 1
    terms = codes * np.cumprod(powers)[exponent]
    yield from _windows(_mix(np.add.reduceat(terms, ends - lengths)), *orders, kind=1)


def _char_keys(text: str, orders: tuple[int, int]) -> Iterator[Keys]:
    if orders[1] >= 1:
        yield from _windows(_codes(f" {text} "), *orders, kind=2)


def _mix(state: Keys) -> Keys:
    import numpy as np

    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
