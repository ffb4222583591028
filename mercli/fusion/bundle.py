"""Bundles: all that ``predict`` needs, and a refusal of features made otherwise.

A folder: ``bundle.json`` (label scheme, policy, extraction recipe, encoder keys, priors, data card),
``head.safetensors`` (weights and feature statistics), ``README.md`` (model card), ``checksums.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import registry
from mercli.errors import DataError
from mercli.fusion.batch import Examples, Statistics, collate, subset_of
from mercli.fusion.calibration import log_softmax
from mercli.rundir import atomic, plain, write_text
from mercli.types import FeatureBundle, LabelScheme

FORMAT = 1
NAMED = ("bundle.json", "head.safetensors", "README.md")


@dataclass(frozen=True)
class BundleCard:
    """What a bundle says of itself; written as ``bundle.json``."""

    name: str
    scheme: LabelScheme
    policy: str
    recipe: Mapping[str, Any]
    keys: Mapping[str, str]
    dims: Mapping[str, int]
    head: Mapping[str, Any]
    temperature: float
    priors: Mapping[str, Sequence[float]]
    trained_on: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded bundle: its card, its head ready to predict, and the statistics of its features."""

    card: BundleCard
    head: Any
    stats: Statistics

    def log_probabilities(
        self, features: Sequence[FeatureBundle], modalities: Sequence[str] | None = None
    ) -> NDArray[np.float64]:
        """Return calibrated uniform-prior log-probabilities (N, K), with only ``modalities`` present when given."""
        import torch

        own = tuple(self.card.dims)
        examples = Examples(features, own, np.full(len(features), -1))
        batch = collate(examples, self.stats, self.card.dims)
        if modalities is not None:
            batch = subset_of(batch, modalities)
        self.head.eval()
        with torch.inference_mode():
            logits = self.head(batch).logits.double().numpy()
        return log_softmax(logits / self.card.temperature)

    def log_prior(self, name: str) -> NDArray[np.float64] | None:
        """Return the log of a prior (K,) the bundle knows, ``None`` for uniform; raises ``DataError`` otherwise."""
        if name == "uniform":
            return None
        if name not in self.card.priors:
            raise DataError(
                f"bundle '{self.card.name}' knows no prior '{name}'{registry.near(name, self.card.priors)}",
                "mer predict --prior uniform",
            )
        return np.log(np.asarray(self.card.priors[name], np.float64))


def save(folder: Path, card: BundleCard, head: Any, stats: Statistics, readme: str) -> None:
    """Write a bundle; ``checksums.json`` comes last, so a folder that has it is whole."""
    from safetensors.torch import save_file

    tensors = {f"head.{name}": value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    for kind, table in (("mean", stats.mean), ("std", stats.std)):
        import torch

        tensors |= {f"{kind}.{m}": torch.from_numpy(np.ascontiguousarray(v)) for m, v in table.items()}
    with atomic(folder / "head.safetensors") as part:
        save_file(tensors, part)
    write_text(folder / "bundle.json", json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "README.md", readme)
    sums = {name: _sha256(folder / name) for name in NAMED}
    write_text(folder / "checksums.json", json.dumps(sums, indent=2) + "\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def load(folder: Path) -> Bundle:
    """Return a bundle; raises ``DataError`` where it is not there, not whole, changed, or of another format."""
    hint = "give a folder that mer train wrote (runs/.../bundle), or 'embedded'"
    if not (folder / "checksums.json").is_file():
        raise DataError(f"'{folder}' is no bundle: checksums.json is not there", hint)
    for name, expected in json.loads((folder / "checksums.json").read_text(encoding="utf-8")).items():
        if not (folder / name).is_file() or _sha256(folder / name) != expected:
            raise DataError(f"bundle '{folder}' is damaged: '{name}' is not the file that was written", hint)
    raw = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if raw.get("format") != FORMAT:
        raise DataError(f"bundle '{folder}' has format {raw.get('format')!r}, expected {FORMAT}", hint)
    scheme = LabelScheme(**{**raw["scheme"], "names": tuple(raw["scheme"]["names"])})
    card = BundleCard(**{**raw, "scheme": scheme})
    head, stats = _weights(folder, card)
    return Bundle(card, head, stats)


def _weights(folder: Path, card: BundleCard) -> tuple[Any, Statistics]:
    from safetensors.torch import load_file

    tensors = load_file(folder / "head.safetensors")
    head = registry.build("heads", card.head["name"], card.dims, card.scheme, options=card.head["options"])
    head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")})
    tables = [{m: tensors[f"{kind}.{m}"].numpy() for m in card.dims} for kind in ("mean", "std")]
    return head, Statistics(*tables)


def check_keys(card: BundleCard, keys: Mapping[str, str]) -> None:
    """Raise ``DataError`` where features are made otherwise than those the bundle was trained on."""
    for modality, expected in card.keys.items():
        if keys.get(modality) != expected:
            raise DataError(
                f"bundle '{card.name}' was trained on {modality} features {expected}, "
                f"and this installation makes {keys.get(modality)}",
                "train the bundle again, or install the version of mercli that made it",
            )
