"""``mer bundle import``: a published system's checkpoint becomes a bundle with the extraction that it was made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mercli import __version__, config, registry
from mercli.config import Choice, Recipe
from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError, MerError
from mercli.features import hub
from mercli.features.seeds import checkpoints
from mercli.fusion import bundle as bundles
from mercli.fusion import provenance
from mercli.fusion.batch import Statistics
from mercli.fusion.packed import SUMS
from mercli.jobs.features import encoding, nearby
from mercli.labels import CANONICAL, POLICIES, narrowed, policy_name
from mercli.log import logger
from mercli.types import LabelScheme

if TYPE_CHECKING:
    import torch

    from mercli.fusion.heads.seed_state import SeedHead

    State = Mapping[str, torch.Tensor]

SYSTEMS = {
    "smil": ("gated_import", "SMIL MER (Ryumina et al. 2024)"),
    "avtca": ("avtca_import", "AVT-CA (arXiv 2407.18552)"),
    "foalnet": ("foalnet_import", "Foal-Net (arXiv 2408.09438)"),
}
OTHERS = {("smil", 6): "neutral happy sad angry excited frustrated (IEMOCAP)"}
"""Published orders of outputs that are not the system's usual ones."""


@dataclass(frozen=True)
class Imported:
    """The bundle's folder, its name, classes and feature keys, and where encoders that came along were written."""

    bundle: Path
    name: str
    classes: tuple[str, ...]
    keys: Mapping[str, str]
    encoders: Mapping[str, str]


def import_(
    system: str,
    checkpoint: Path,
    output: Path,
    *,
    preset: str | None = None,
    sets: Sequence[str] = (),
    classes: Sequence[str] = (),
    trained_on: Sequence[str] = (),
) -> Imported:
    """Write the bundle of a checkpoint; ``preset`` and ``sets`` are those of ``mer extract`` and give the recipe.

    ``classes``: what its outputs are, in their order, where they are not the system's usual ones. Raises
    ``ConfigError`` or ``DataError`` for a checkpoint of something else, encoders that cannot be built here, or another
    width.
    """
    if system not in SYSTEMS:
        raise ConfigError(f"--from '{system}' is unknown{registry.near(system, SYSTEMS)}", "mer bundle import --help")
    if (output / SUMS).exists():
        raise ConfigError(f"'{output}' holds a bundle, expected a new folder", f"rm -r '{output}'")
    module = import_module(f"mercli.fusion.heads.{SYSTEMS[system][0]}")
    read = checkpoints.read(checkpoint)
    seed: SeedHead = module.from_seed(read.tensors)
    own = _order(system, seed.classes, module.CLASSES, classes)
    chosen = config.resolve(config.ExtractConfig, {"corpora": ("-",)}, preset=preset or system, sets=sets)
    recipe, written = _with_own_encoder(system, read.tensors, chosen.recipe, output)
    encoders = _encoders(recipe, seed, preset or system)
    scheme = _scheme(system, own)
    card = bundles.BundleCard(
        name=f"{system}-{checkpoint.stem}",
        scheme=scheme,
        policy=_policy(scheme),
        recipe=nearby.portable(recipe, output).model_dump(),
        keys=dict(encoders.keys),
        dims=dict(seed.dims),
        head={"name": seed.name, "version": registry.get("heads", seed.name).version, "options": dict(seed.options)},
        temperature=1.0,
        priors={"uniform": [1 / len(own)] * len(own)},
        trained_on=_trained_on(trained_on),
        encoders_trained_on={m: [asdict(use) for use in encoders.encoders[m].trained_on] for m in seed.dims},
        facts={
            "mercli": __version__, "imported_from": SYSTEMS[system][1], "checkpoint": checkpoint.name,
            "sha256": read.sha256, "outputs": list(own), "calibrated": False,
        },
    )  # fmt: skip
    bundles.save(output, card, _head(seed, scheme, own), Statistics.unchanging(seed.dims), _readme(card))
    return Imported(output, card.name, scheme.names, card.keys, written)


def _order(system: str, count: int, usual: Sequence[str], told: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of a checkpoint's outputs in their order."""
    names = tuple(told or usual)
    if len(names) != count or len(set(names)) < count:
        known = OTHERS.get((system, count), "NAME ...")
        raise ConfigError(
            f"the checkpoint has {count} outputs, and {len(names)} classes are known ({', '.join(names)})",
            f"--classes {known}, in the order of the outputs",
        )
    return names


def _scheme(system: str, own: Sequence[str]) -> LabelScheme:
    """Return the canonical scheme of these classes, in its own order, or a scheme in the checkpoint's order."""
    if not set(own) <= {*CANONICAL.names, *POLICIES}:
        return LabelScheme(f"{system}-{len(own)}", "one-of", tuple(own))
    extra = sorted(set(own) - set(CANONICAL.names))
    names = (*CANONICAL.names, *extra)
    whole = LabelScheme("+".join([CANONICAL.name, *extra]), "one-of", names) if extra else CANONICAL
    return narrowed(whole, [name for name in names if name in own])


def _policy(scheme: LabelScheme) -> str:
    if not set(scheme.names) <= {*CANONICAL.names, *POLICIES}:
        return scheme.name
    return policy_name({name: "own" for name in scheme.names if name in POLICIES})


def _encoders(recipe: Recipe, seed: SeedHead, preset: str) -> encoding.EncoderSet:
    """Return the recipe's encoders, whose fingerprints the bundle keeps; raises where they are absent or do not fit."""
    for modality, dim in seed.dims.items():
        choice = recipe.encoders.get(modality)  # type: ignore[call-overload]
        if choice is None:
            raise ConfigError(
                f"the checkpoint takes {modality} features, and preset '{preset}' names no encoder for them",
                f"--set recipe.encoders.{modality}.name=NAME",
            )
        try:
            made = encoding.build(recipe, [modality]).encoders[modality].dim
        except MerError as fault:
            told = f"the bundle names its features by the weights of '{choice.name}', which cannot be built here: "
            raise type(fault)(told + fault.message, fault.hint) from fault
        if made != dim:
            raise DataError(
                f"the checkpoint takes {dim} {modality} numbers, and '{choice.name}' makes {made}",
                f"give other weights: --set recipe.encoders.{modality}.options...",
            )
    return encoding.build(recipe, seed.dims)


def _with_own_encoder(system: str, state: State, recipe: Recipe, output: Path) -> tuple[Recipe, dict[str, str]]:
    """Return the recipe with the encoder that the checkpoint itself holds, written beside the bundle."""
    keepers: dict[str, tuple[str, Callable[..., tuple[str, Path] | None]]] = {
        "avtca": ("face", _keep_trunk), "foalnet": ("audio", _keep_speech),
    }  # fmt: skip
    if system not in keepers:
        return recipe, {}
    modality, keep = keepers[system]
    choice = recipe.encoders.get(modality)  # type: ignore[call-overload]
    kept = keep(state, choice, output) if choice is not None else None
    if kept is None:
        return recipe, {}
    option, place = kept
    logger.info("the checkpoint holds its own %s encoder: written to '%s', and taken for the recipe", modality, place)
    mine = Choice(name=choice.name, options={**choice.options, option: str(place)})
    return recipe.model_copy(update={"encoders": {**recipe.encoders, modality: mine}}), {modality: str(place)}


def _keep_trunk(state: State, choice: Choice, output: Path) -> tuple[str, Path] | None:
    """Write AVT-CA's per-frame trunk, where the checkpoint has it, and return the option that names it."""
    from safetensors.torch import save_file

    from mercli.rundir import atomic

    prefix, others = "visual_model.", ("visual_model.conv1d_", "visual_model.classifier_1.")
    trunk = {
        name.removeprefix(prefix): tensor.contiguous()
        for name, tensor in state.items()
        if name.startswith(prefix) and not name.startswith(others)
    }
    if not trunk or choice.name != "avtca-face":
        return None
    place = output.with_name(f"{output.name}-face.safetensors")
    with atomic(place) as part:
        save_file(trunk, part)
    return "weights", place


def _keep_speech(state: State, choice: Choice, output: Path) -> tuple[str, Path] | None:
    """Write Foal-Net's fine-tuned WavLM, where the checkpoint has it, with the configuration of the one it began as."""
    from safetensors.torch import save_file

    from mercli.fusion.heads.foalnet_import import encoder
    from mercli.rundir import atomic, write_text

    speech = encoder(state)
    if not speech or choice.name != "foalnet-audio":
        return None
    options = registry.check_options(registry.get("encoders", choice.name), choice.options)
    base = hub.folder(options["model"], options["revision"], (hub.CONFIG,), (), False)
    place = output.with_name(f"{output.name}-wavlm")
    write_text(place / hub.CONFIG, (base / hub.CONFIG).read_text(encoding="utf-8"))
    with atomic(place / hub.WEIGHTS[0]) as part:
        save_file({name: tensor.contiguous() for name, tensor in speech.items()}, part)
    return "model", place


def _head(seed: SeedHead, scheme: LabelScheme, own: Sequence[str]) -> Any:
    """Return the head with the checkpoint's weights, its outputs in the order of the scheme."""
    from mercli.fusion.heads.gated_import import reordered

    head = registry.build("heads", seed.name, seed.dims, scheme, options=seed.options)
    try:
        head.load_state_dict(reordered(seed.state, scheme.names, own))
    except RuntimeError as fault:
        raise DataError(f"the checkpoint does not fit the head '{seed.name}': {fault}") from fault
    return head


def _trained_on(told: Sequence[str]) -> list[dict[str, str]]:
    """Return what the checkpoint has seen; an empty list would say: nothing."""
    uses = [{"corpus": use.corpus, "split": use.split} for use in map(TrainedOn.told, told)]
    return uses or [{"corpus": "unknown", "split": "unknown"}]


def _readme(card: bundles.BundleCard) -> str:
    return (
        f"# {card.name}\n\n"
        f"The checkpoint `{card.facts['checkpoint']}` of {card.facts['imported_from']}, imported by mercli "
        f"{card.facts['mercli']}; sha256 {card.facts['sha256']}.\n\n"
        f"Predicts {', '.join(card.scheme.names)} ({card.policy}) with the head `{card.head['name']}` over "
        f"{', '.join(card.dims)}. Trained on: {provenance.named(card.trained_on)}. Not calibrated (temperature 1). "
        f"{provenance.of_encoders(card)} The weights' licence is their authors'.\n\n"
        f"    mer predict CLIP --model PATH-OF-THIS-FOLDER\n"
    )
