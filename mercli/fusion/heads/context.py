"""``context``: any head, with the dialogue that a segment is part of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from mercli import registry
from mercli.errors import ConfigError
from mercli.registry import plugin
from mercli.types import LabelScheme

if TYPE_CHECKING:
    from mercli.contracts import Head


@plugin("heads", "context", kinds=("one-of", "many-of", "values"), wraps="over")
def context(
    dims: Mapping[str, int],
    scheme: LabelScheme,
    *,
    over: str = "concat",
    options: dict[str, Any] | None = None,
    direction: Literal["past", "both"] = "past",
    speakers: bool = True,
    hidden: int = 64,
    layers: int = 1,
    dropout: float = 0.3,
) -> Head:
    """Context: another head's answer, corrected by what was said before in the dialogue, and by whom.

    ``over`` is the other head, ``options`` are its own. Each segment attends to the features of those before it
    (``past``) or of all (``both``) in its dialogue, never to labels; ``speakers`` tells whether the same person spoke,
    never who. A segment without a dialogue belongs to that of its clip. Raises ``ConfigError`` for a head that has
    dialogues itself.
    """
    from mercli.fusion.heads.context_net import ContextNet

    if "wraps" in registry.get("heads", over).facts:
        raise ConfigError(f"head 'context' cannot be over '{over}'", "mer train --head context --set over=concat")
    own = registry.build("heads", over, dims, scheme, options=options or {})
    return ContextNet(
        own, dims, len(scheme.names), hidden, layers, dropout,
        both=direction == "both", who=speakers, kind=scheme.kind,
    )  # fmt: skip
