"""Which modalities a head takes, told before it is built from others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mercli.errors import ConfigError


def check(head: str, dims: Mapping[str, int], takes: Sequence[str], *, least: int | None = None) -> None:
    """Raise ``ConfigError`` unless ``dims`` holds the modalities that ``head`` takes, and no other.

    ``least``: how many of them suffice, counted with the first, which is always needed; all where it is not given.
    """
    others = [modality for modality in dims if modality not in takes]
    held = [modality for modality in takes if modality in dims]
    if not others and len(held) >= (len(takes) if least is None else least) and takes[0] in held:
        return
    rule = "" if least is None else f" ({takes[0]} and at least {least - 1} of the others)"
    raise ConfigError(
        f"head '{head}' takes {', '.join(takes)}{rule}, and the features are {', '.join(dims)}",
        f"mer train --head {head} --modalities {' '.join(takes)}",
    )
