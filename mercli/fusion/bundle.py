"""Bundles: all that ``predict`` needs, and a refusal of features made otherwise.

A folder: ``bundle.json`` (label scheme, policy, extraction recipe, encoder keys, priors, data card),
``head.safetensors`` (weights and feature statistics), ``README.md`` (model card), ``checksums.json``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import registry
from mercli.config import Recipe
from mercli.errors import ConfigError, DataError
from mercli.fusion.batch import Examples, Statistics, collate, subset_of
from mercli.fusion.calibration import log_softmax
from mercli.rundir import atomic, plain, write_text
from mercli.types import FeatureBundle, LabelScheme

FORMAT = 1
NAMED = ("bundle.json", "head.safetensors", "README.md")
HINT = "give a folder that mer train wrote (runs/.../bundle), or 'embedded'"


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
    """Write a bundle; ``checksums.json`` comes last, so a folder that has it is whole.

    The head's options are written in full, so that a default that changes later changes no bundle.
    """
    from safetensors.torch import save_file

    spec = registry.get("heads", card.head["name"])
    options = registry.check_options(spec, card.head["options"])
    card = replace(card, head={**card.head, "version": spec.version, "options": options})
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
    """Return a bundle; raises ``DataError`` where it is not there, not whole, changed, or made by another version."""
    if not (folder / "checksums.json").is_file():
        raise DataError(f"'{folder}' is no bundle: checksums.json is not there", HINT)
    for name, expected in _object(folder, "checksums.json").items():
        if not (folder / name).is_file() or _sha256(folder / name) != expected:
            raise DataError(f"bundle '{folder}' is damaged: '{name}' is not the file that was written", HINT)
    card = _card(folder)
    try:
        head, stats = _weights(folder, card)
    except ConfigError as fault:
        raise DataError(f"bundle '{folder}' has a head that cannot be built: {fault.message}", HINT) from fault
    return Bundle(card, head, stats)


def _object(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise DataError(f"bundle '{folder}': '{name}' cannot be read: {fault}", HINT) from fault
    if not isinstance(found, dict):
        raise DataError(f"bundle '{folder}': '{name}' holds no JSON object", HINT)
    return found


def _card(folder: Path) -> BundleCard:
    from pydantic import TypeAdapter, ValidationError

    raw = _object(folder, "bundle.json")
    if raw.get("format") != FORMAT:
        raise DataError(f"bundle '{folder}' has format {raw.get('format')!r}, expected {FORMAT}", HINT)
    unknown = sorted(set(raw) - {f.name for f in fields(BundleCard)})
    if unknown:
        raise DataError(f"bundle '{folder}' tells '{unknown[0]}', which this version of mer does not know", HINT)
    try:
        card = TypeAdapter(BundleCard).validate_python(raw)
        Recipe.model_validate(card.recipe)
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"bundle '{folder}' has a card that cannot be used: '{where}': {first['msg']}", HINT) from fault
    if not {"name", "version", "options"} <= set(card.head):
        raise DataError(f"bundle '{folder}' does not tell name, version and options of its head", HINT)
    return card


def _weights(folder: Path, card: BundleCard) -> tuple[Any, Statistics]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    name, version = card.head["name"], registry.get("heads", card.head["name"]).version
    if card.head["version"] != version:
        raise DataError(
            f"bundle '{folder}' has version {card.head['version']} of the head '{name}', and {version} is installed",
            "train the bundle again, or install the version of mercli that made it",
        )
    head = registry.build("heads", name, card.dims, card.scheme, options=card.head["options"])
    try:
        tensors = load_file(folder / "head.safetensors")
        head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")})
        tables = [{m: tensors[f"{kind}.{m}"].numpy() for m in card.dims} for kind in ("mean", "std")]
    except (SafetensorError, RuntimeError, KeyError) as fault:
        raise DataError(f"bundle '{folder}': its weights do not fit its card: {fault}", HINT) from fault
    for table in tables:
        for modality, values in table.items():
            if values.shape != (card.dims[modality],):
                raise DataError(f"bundle '{folder}': its statistics of {modality} do not fit its card", HINT)
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
