"""Windows over samples or frames and the statistics of their rows: the stage between a network and a stored feature."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mercli.errors import ConfigError
from mercli.registry import near
from mercli.types import Feature

if TYPE_CHECKING:
    from mercli.types import BoolArray, FloatArray

Span = tuple[int, int]
STATISTICS = ("mean", "std")


def _smil(n: int, width: int, step: int) -> Iterator[Span]:
    """SMIL MER: a window starts at every step until less than a step remains; what is left then is in no own window."""
    for start in range(0, n + 1, step):
        end = min(start + width, n)
        if end - start < step and start:
            return
        yield start, end


def _covering(n: int, width: int, step: int) -> Iterator[Span]:
    """As few windows as reach the end; the last one is cut there."""
    for start in range(0, n, step):
        yield start, min(start + width, n)
        if start + width >= n:
            return


def _first(n: int, width: int, _: int) -> Iterator[Span]:
    """Foal-Net: the beginning alone."""
    yield 0, min(width, n)


RULES: Mapping[str, Callable[[int, int, int], Iterator[Span]]] = {"smil": _smil, "covering": _covering, "first": _first}


def window_spans(n: int, width: int, step: int, rule: str = "smil") -> list[Span]:
    """Return half-open windows (start, end) over ``n`` samples or frames; none for ``n`` = 0.

    ``rule``: ``smil``, ``covering`` or ``first``. Raises ``ConfigError`` for another rule, a width or step below 1, or
    a step beyond the width, which would leave samples between two windows.
    """
    if rule not in RULES:
        raise ConfigError(f"no window rule is called '{rule}'{near(rule, RULES)}")
    if not 1 <= step <= width:
        raise ConfigError(f"windows of {width} every {step} cannot be cut, expected 1 <= step <= width")
    return list(RULES[rule](n, width, step)) if n else []


def tiled(chunk: FloatArray, width: int) -> FloatArray:
    """Return a chunk (N, ...) repeated from its start until it has ``width`` rows; a longer one is cut there."""
    import numpy as np

    return chunk[np.arange(width) % len(chunk)]


def functionals(rows: FloatArray, names: Sequence[str] = STATISTICS) -> FloatArray:
    """Return statistics over rows (T, D), T > 0, one after another: float32 (D * len(names),).

    Names: ``mean``, ``std`` (divided by T, so that one row gives 0) and percentiles ``p0`` to ``p100``. Raises
    ``ConfigError`` for another name.
    """
    import numpy as np

    exact = rows.astype(np.float64)
    return np.concatenate([_functional(name)(exact) for name in names]).astype(np.float32)


def _functional(name: str) -> Callable[[Any], Any]:
    import numpy as np

    if name == "mean":
        return lambda rows: rows.mean(0)
    if name == "std":
        return lambda rows: rows.std(0)
    percentile = re.fullmatch(r"p(\d{1,2}|100)", name)
    if percentile is None:
        raise ConfigError(f"no statistic is called '{name}', expected mean, std or p0 to p100")
    return lambda rows: np.percentile(rows, int(percentile[1]), axis=0)


@dataclass(frozen=True)
class Summary:
    """What becomes of a segment's windows: their ``statistics`` in one row, or a row each.

    Raises ``ConfigError`` for an unknown statistic, or none.
    """

    statistics: tuple[str, ...] = STATISTICS
    pooled: bool = True

    def __post_init__(self) -> None:
        if not self.statistics:
            raise ConfigError("no statistic is asked for, expected some of mean, std, p0 to p100")
        for name in self.statistics:
            _functional(name)

    def dim(self, width: int) -> int:
        """Return the length of a row made of windows of ``width`` numbers."""
        return width * len(self.statistics) if self.pooled else width

    def feature(self, rows: FloatArray, times: FloatArray, valid: BoolArray) -> Feature:
        """Return the feature of windows (T, D) at ``times`` (T, 2): (1, D') or (T, D).

        A pooled row counts every window, as long as one is ``valid``; else it is zeros and not valid.
        """
        import numpy as np

        if not self.pooled:
            return Feature(rows, times, valid)
        span = np.asarray([[times[0, 0], times[:, 1].max()]] if len(times) else [[0, 0]], np.float32)
        row = functionals(rows, self.statistics) if valid.any() else np.zeros(self.dim(rows.shape[1]), np.float32)
        return Feature(row[None], span, np.asarray([valid.any()], np.bool_))


def sliced(counts: Sequence[int]) -> Iterator[slice]:
    """Yield where each item's rows lie among those of all items, given how many each has."""
    first = 0
    for count in counts:
        yield slice(first, first + count)
        first += count
