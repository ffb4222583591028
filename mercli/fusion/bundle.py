"""Bundles: all that ``predict`` needs, and a refusal of features made otherwise.

A folder: ``bundle.json`` (label scheme, policy, extraction recipe, encoder keys, priors, data card),
``head.safetensors`` (weights and feature statistics), ``README.md`` (model card), ``checksums.json``. An ONNX bundle
has ``head.onnx`` instead, and a graph for every encoder that could be one. Or one zip of these files (``.mer``).
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
from mercli.fusion import dialogues, packed, readout
from mercli.fusion.batch import Examples, Statistics, collate, subset_of
from mercli.fusion.packed import HINT, NAMED, SUMS
from mercli.rundir import atomic, plain, write_text
from mercli.types import FeatureBundle, LabelScheme

FORMAT = 1


@dataclass(frozen=True)
class BundleCard:
    """What a bundle says of itself; written as ``bundle.json``.

    ``temperature`` is that of all classes; ``temperatures`` (K,) are each label's, where many may hold. ``held_prior``:
    the class frequencies (K,) that the head's logits hold where nothing balanced its training. ``graphs``
    {part: precision}: what of an ONNX bundle is a graph. ``trained_on``: what the head learned from,
    ``encoders_trained_on`` {modality: uses} what each encoder says of itself; bundles of old do not tell.
    """

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
    held_prior: tuple[float, ...] = ()
    temperatures: tuple[float, ...] = ()
    graphs: Mapping[str, str] = field(default_factory=dict)
    encoders_trained_on: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, eq=False)
class Bundle:
    """A loaded bundle: its card, its head ready to predict, and the statistics of its features.

    ``graphs`` {modality: ONNX}: what computes in the place of encoders' networks.
    """

    card: BundleCard
    head: Any
    stats: Statistics
    graphs: Mapping[str, bytes] = field(default_factory=dict)

    def log_probabilities(
        self,
        features: Sequence[FeatureBundle],
        modalities: Sequence[str] | None = None,
        talk: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Return the calibrated numbers (N, K) of ``readout``, with only ``modalities`` present when given.

        ``talk`` (N, 3): the segments' dialogues, as ``fusion.dialogues`` has them; each is alone without it.
        """
        import torch

        own = tuple(self.card.dims)
        examples = Examples(features, own, np.full(len(features), -1), talk=talk)
        batch = collate(examples, self.stats, self.card.dims)
        if modalities is not None:
            batch = subset_of(batch, modalities)
        self.head.eval()
        with torch.inference_mode():
            logits = self.head(batch).logits.double().numpy()
        temperature = self.card.temperatures or self.card.temperature
        return readout.calibrated(logits, self.card.scheme, temperature, self.card.held_prior)

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


@dataclass(frozen=True, eq=False)
class InDialogue(Bundle):
    """A bundle that answers for one segment (``row``) of a dialogue, whose answers are computed together and kept."""

    dialogue: Sequence[FeatureBundle] = ()
    row: int = 0
    known: dict[tuple[str, ...] | None, NDArray[np.float64]] = field(default_factory=dict)

    def log_probabilities(
        self,
        features: Sequence[FeatureBundle],
        modalities: Sequence[str] | None = None,
        talk: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float64]:
        """Return those of the segment (1, K), with only ``modalities`` present in the whole dialogue when given."""
        key = None if modalities is None else tuple(modalities)
        if key not in self.known:
            said = dialogues.windows(len(self.dialogue))
            self.known[key] = super().log_probabilities(self.dialogue, modalities, said)
        return self.known[key][self.row : self.row + 1]


def in_dialogue(bundle: Bundle, features: Sequence[FeatureBundle]) -> list[InDialogue]:
    """Return a bundle that answers for each of the consecutive segments of one dialogue."""
    known: dict[tuple[str, ...] | None, NDArray[np.float64]] = {}
    held = (bundle.card, bundle.head, bundle.stats, bundle.graphs)
    return [InDialogue(*held, features, row, known) for row in range(len(features))]


def save(folder: Path, card: BundleCard, head: Any, stats: Statistics, readme: str) -> None:
    """Write a bundle; ``checksums.json`` comes last, so a folder that has it is whole.

    The head's options are written in full, so that a default that changes later changes no bundle.
    """
    from safetensors.torch import save_file

    version, options = whole_options(card.head["name"], card.head["options"])
    card = replace(card, head={**card.head, "version": version, "options": options})
    tensors = {f"head.{name}": value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    for kind, table in (("mean", stats.mean), ("std", stats.std), ("axes", stats.axes)):
        import torch

        tensors |= {f"{kind}.{m}": torch.from_numpy(np.ascontiguousarray(v)) for m, v in table.items()}
    with atomic(folder / "head.safetensors") as part:
        save_file(tensors, part)
    _seal(folder, card, readme, NAMED)


def save_graphs(folder: Path, card: BundleCard, graphs: Mapping[str, bytes], readme: str) -> None:
    """Write an ONNX bundle of graphs by part (``head``, modalities)."""
    files = {f"{part}{packed.GRAPH}": content for part, content in graphs.items()}
    for name, content in files.items():
        with atomic(folder / name) as part:
            part.write_bytes(content)
    _seal(folder, card, readme, ("bundle.json", *files, "README.md"))


def _seal(folder: Path, card: BundleCard, readme: str, names: Sequence[str]) -> None:
    write_text(folder / "bundle.json", json.dumps(plain(card), indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "README.md", readme)
    sums = {name: sha256((folder / name).read_bytes()) for name in names}
    write_text(folder / SUMS, json.dumps(sums, indent=2) + "\n")


def whole_options(name: str, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a head's version and all its options; of a head that wraps another, the other's too."""
    spec = registry.get("heads", name)
    checked = registry.check_options(spec, options)
    inside = spec.facts.get("wraps")
    if inside is None:
        return spec.version, checked
    version, own = whole_options(checked[inside], checked["options"] or {})
    return f"{spec.version}+{version}", {**checked, "options": own}


def sha256(content: bytes) -> str:
    """Return the sha256 of a file's bytes, as ``checksums.json`` has it."""
    return hashlib.sha256(content).hexdigest()


def load(path: Path) -> Bundle:
    """Return a bundle; raises ``DataError`` where it is not there, not whole, changed, or made by another version."""
    files = packed.read(path)
    for name in damaged(path, files):
        raise DataError(f"bundle '{path}' is damaged: '{name}' is not the file that was written", HINT)
    card = read_card(path, files)
    if card.graphs:
        return of_graphs(card, {part: _graph(path, files, part) for part in ("head", *card.graphs)})
    try:
        head, stats = _weights(path, card, files["head.safetensors"])
    except ConfigError as fault:
        raise DataError(f"bundle '{path}' has a head that cannot be built: {fault.message}", HINT) from fault
    return Bundle(card, head, stats)


def damaged(path: Path, files: Mapping[str, bytes]) -> list[str]:
    """Return the names of files that are missing, or are not those that the checksums were written for."""
    sums = _object(path, files, SUMS)
    graphs = [name for name in packed.GRAPHS if name in files or name in sums]
    names = [name for name in NAMED if not graphs or name != "head.safetensors"]
    return [name for name in (*names, *graphs) if name not in files or sha256(files[name]) != sums.get(name)]


def _object(folder: Path, files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        found = json.loads(files[name].decode("utf-8"))
    except (KeyError, ValueError) as fault:
        raise DataError(f"bundle '{folder}': '{name}' cannot be read: {fault}", HINT) from fault
    if not isinstance(found, dict):
        raise DataError(f"bundle '{folder}': '{name}' holds no JSON object", HINT)
    return found


def read_card(folder: Path, files: Mapping[str, bytes]) -> BundleCard:
    """Return the card among a bundle's files; raises ``DataError`` for one that this version cannot use."""
    from pydantic import TypeAdapter, ValidationError

    raw = _object(folder, files, "bundle.json")
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


def _graph(folder: Path, files: Mapping[str, bytes], part: str) -> bytes:
    name = f"{part}{packed.GRAPH}"
    if name not in files:
        raise DataError(f"bundle '{folder}' tells of a graph '{name}', which is not there", HINT)
    return files[name]


def of_graphs(card: BundleCard, graphs: Mapping[str, bytes]) -> Bundle:
    """Return the ONNX bundle of graphs by part; its head takes features as encoders make them."""
    from mercli.fusion.exported import GraphHead

    others = {part: content for part, content in graphs.items() if part != "head"}
    return Bundle(card, GraphHead(graphs["head"], card.dims), Statistics.unchanging(card.dims), others)


def _weights(folder: Path, card: BundleCard, content: bytes) -> tuple[Any, Statistics]:
    from safetensors import SafetensorError
    from safetensors import torch as safetensors

    name = card.head["name"]
    version, _ = whole_options(name, card.head["options"])
    if card.head["version"] != version:
        raise DataError(
            f"bundle '{folder}' has version {card.head['version']} of the head '{name}', and {version} is installed",
            "train the bundle again, or install the version of mercli that made it",
        )
    try:
        tensors = safetensors.load(content)
        tables = [{m: tensors[f"{kind}.{m}"].numpy() for m in card.dims} for kind in ("mean", "std")]
        axes = {m: tensors[f"axes.{m}"].numpy() for m in card.dims if f"axes.{m}" in tensors}
        stats = Statistics(tables[0], tables[1], axes)
        widths = stats.widths(card.dims)
        head = registry.build("heads", name, widths, card.scheme, options=card.head["options"])
        head.load_state_dict({n.removeprefix("head."): t for n, t in tensors.items() if n.startswith("head.")})
    except (SafetensorError, RuntimeError, KeyError) as fault:
        raise DataError(f"bundle '{folder}': its weights do not fit its card: {fault}", HINT) from fault
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    shapes = [(m, v.shape, (widths[m],)) for table in tables for m, v in table.items()]
    shapes += [(m, v.shape, (card.dims[m], widths[m])) for m, v in stats.axes.items()]
    for modality, found, expected in shapes:
        if found != expected:
            raise DataError(f"bundle '{folder}': its statistics of {modality} do not fit its card", HINT)
    return head, stats


def check_keys(card: BundleCard, keys: Mapping[str, str]) -> None:
    """Raise ``DataError`` where features are made otherwise than those the bundle was trained on."""
    for modality, expected in card.keys.items():
        if keys.get(modality) != expected:
            raise DataError(
                f"bundle '{card.name}' was trained on {modality} features {expected}, "
                f"and this installation makes {keys.get(modality)}",
                "train the bundle again, or install the version of mercli that made it",
            )
