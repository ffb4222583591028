"""Principal components of training features (Pearson 1901), found in one pass over rows that are never held at once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def components(
    pieces: Iterable[NDArray[np.float64]], mean: NDArray[np.float64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ``count`` directions (D, count) of largest variance of rows (N, D) about ``mean``; their deviations.

    The largest weight of each is positive, so that the same rows give the same signs (as scikit-learn has it).
    """
    from scipy.linalg import eigh

    width, rows = len(mean), 0
    scatter = np.zeros((width, width))
    for piece in pieces:
        centred = piece - mean
        scatter += centred.T @ centred
        rows += len(piece)
    variances, axes = eigh(scatter / rows, subset_by_index=(width - count, width - 1))
    axes = axes[:, ::-1]
    signs = np.sign(axes[np.abs(axes).argmax(0), np.arange(count)])
    return axes * signs, np.sqrt(np.maximum(variances[::-1], 0))
