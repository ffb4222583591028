"""Where embedded weights and their cards lie, and how a network takes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mercli.contracts import TrainedOn
from mercli.errors import DataError
from mercli.features.embedded.stored import unpacked
from mercli.features.hub import WEIGHTS

if TYPE_CHECKING:
    from torch import nn

Network = TypeVar("Network", bound="nn.Module")

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "embedded"


@dataclass(frozen=True)
class Weights:
    """A weights file, the sha256 of its bytes, and its card."""

    path: Path
    sha256: str
    card: dict[str, Any]

    @property
    def trained_on(self) -> tuple[TrainedOn, ...]:
        """Return the corpora, parts and speakers that the card lists."""
        return tuple(
            TrainedOn(entry["corpus"], entry["split"], tuple(entry.get("speakers", ())))
            for entry in self.card["trained_on"]
        )


def find(modality: str, path: str | None) -> Weights:
    """Return the weights at ``path`` (a file, or a tuned encoder's folder), else those shipped.

    Raises ``DataError`` where file or card is missing.
    """
    file = Path(path).expanduser() if path else ASSETS / f"{modality}.safetensors"
    file, card = (file / WEIGHTS[0], file / "card.json") if file.is_dir() else (file, file.with_suffix(".json"))
    for needed in (file, card):
        if not needed.is_file():
            raise DataError(f"'{needed}' does not exist; weights lie beside their card", f"mer finetune {modality}")
    return Weights(file, hashlib.sha256(file.read_bytes()).hexdigest(), json.loads(card.read_text(encoding="utf-8")))


def fill(network: Network, weights: Weights) -> Network:
    """Return the network with the weights in float32, in eval mode; raises ``DataError`` where they do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        result = network.load_state_dict(unpacked(load_file(weights.path)), strict=False)
    except (SafetensorError, RuntimeError, KeyError) as fault:
        reason = str(fault).splitlines()[0]
        raise DataError(f"'{weights.path}' does not fit {type(network).__name__}: {reason}") from fault
    absent = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if absent or result.unexpected_keys:
        wrong = [*(f"lacks '{key}'" for key in absent), *(f"has '{key}'" for key in result.unexpected_keys)]
        raise DataError(
            f"'{weights.path}' does not fit {type(network).__name__}: it {', '.join(wrong[:3])}; what another "
            "version of mer trained has to be trained again",
            "mer finetune --help",
        )
    return network.eval().requires_grad_(False)
