"""Whether weights may be fetched: not with ``--offline``, nor where ``HF_HUB_OFFLINE`` is set.

The variable is the hub library's own, so that it and every worker process hold to the same.
"""

from __future__ import annotations

import os

VARIABLE = "HF_HUB_OFFLINE"


def forbid() -> None:
    """Let neither this process nor those it starts ask a network for weights."""
    os.environ[VARIABLE] = "1"


def forbidden() -> bool:
    """Tell whether no network may be asked."""
    return os.environ.get(VARIABLE, "").upper() in ("1", "ON", "YES", "TRUE")
