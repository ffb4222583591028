"""Which models a preset needs: those of its encoders and its transcriber, by hub name, folder, file, or shipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from mercli import presets, registry
from mercli.config import EMBEDDED, Choice, PredictConfig, Recipe
from mercli.config_tune import OURS, RESNETS
from mercli.errors import ConfigError
from mercli.features.hub import STATES
from mercli.fusion import bundle as bundles
from mercli.fusion import packed
from mercli.jobs import checking
from mercli.jobs.features import nearby
from mercli.jobs.predict import SHIPPED, bundle_folder

Kind = Literal["hub", "folder", "file", "whisper", "shipped"]
HEARS = ("auto", "whisper")
"""Transcribers that load Whisper; the first goes on without."""


@dataclass(frozen=True)
class Need:
    """One model: its name on the hub, among Whisper's or of what ships, or its path, and what it is pinned to.

    ``source``: where a file that no hub has is shared. ``optional``: what needs it works without, and says so.
    """

    kind: Kind
    name: str
    revision: str | None = None
    sha256: tuple[str, ...] = ()
    source: str = ""
    optional: bool = False
    used_by: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()


def needed(names: list[str]) -> list[Need]:
    """Return what these presets (all where none is named) and hub names need, each model once, sorted by name.

    A preset is ``command/name``, ``name`` for every command that has one, or a file; a hub name may end in
    ``@REVISION``. Raises ``ConfigError`` for a preset that cannot be read.
    """
    found: dict[tuple[str, str, str | None, tuple[str, ...]], Need] = {}
    for need in (need for name in names or presets.names() for need in _named(name)):
        key = (need.kind, need.name, need.revision, need.sha256)
        held = found.get(key, need)
        found[key] = replace(
            held,
            optional=held.optional and need.optional,
            used_by=tuple(sorted({*held.used_by, *need.used_by})),
            presets=tuple(sorted({*held.presets, *need.presets})),
        )
    return sorted(found.values(), key=lambda need: (need.kind == "shipped", need.name, need.revision or "", need.kind))


def _named(name: str) -> Iterator[Need]:
    here = presets.names()
    if name in here or Path(name).suffix in (".yaml", ".yml"):
        yield from of_preset(name)
    elif of_family := [known for known in here if known.split("/", 1)[1] == name]:
        for known in of_family:
            yield from of_preset(known)
    elif name.startswith("whisper:"):
        yield Need("whisper", name.removeprefix("whisper:"))
    else:
        model, _, revision = name.partition("@")
        yield Need("hub", model, revision or None)


def of_preset(name: str) -> Iterator[Need]:
    """Yield what one preset needs, a model twice where two encoders use it."""
    command = None if "/" in name and name in presets.names() else _command_of(name)
    checked = checking.preset(name, command)
    keys: Mapping[str, Any] = checked["keys"]
    if checked["command"] == "finetune":
        found = _of_tuning(keys)
    elif checked["command"] == "predict":
        found = _of_bundles(keys.get("model", PredictConfig.model_fields["model"].default))
    else:
        recipe = Recipe.model_validate({"encoders": EMBEDDED, **keys.get("recipe", {})})
        found = _of_recipe(recipe, keys.get("modalities", tuple(recipe.encoders)))
    for need in found:
        yield replace(need, presets=(name,))


def _command_of(file: str) -> str | None:
    """Return the command of a preset that lies anywhere: the one it is valid for, by its folder or its keys."""
    folder = presets.path_of(file).parent.name
    if any(known.startswith(f"{folder}/") for known in presets.names()):
        return folder
    for command in ("extract", "train", "loco", "predict"):
        try:
            checking.preset(file, command)
        except ConfigError:
            continue
        return command
    return None


def _of_recipe(recipe: Recipe, modalities: Any) -> Iterator[Need]:
    for modality, choice in recipe.encoders.items():
        if modality in modalities:
            yield from _of_encoder(choice)
    if "text" in modalities and recipe.transcriber.name in HEARS:
        options = registry.check_options(
            registry.get("transcribers", recipe.transcriber.name), recipe.transcriber.options
        )
        kind: Kind = "file" if str(options["model"]).endswith(".pt") else "whisper"
        optional = recipe.transcriber.name == HEARS[0]
        yield Need(kind, str(options["model"]), optional=optional, used_by=(f"transcriber {recipe.transcriber.name}",))


def _of_encoder(choice: Choice) -> Iterator[Need]:
    spec = registry.get("encoders", choice.name)
    options = {name: p.default for name, p in spec.options().items()} | dict(choice.options)
    pin = options.get("sha256") or ()
    sums, weights = (pin,) if isinstance(pin, str) else tuple(pin), options.get("weights")
    own: dict[str, Any] = {"used_by": (choice.name,)}
    if isinstance(model := options.get("model"), str):
        kind: Kind = "folder" if Path(model).expanduser().is_dir() else "hub"
        yield Need(kind, model, options.get("revision"), () if weights else sums, **own)
    if isinstance(weights, str) or "outside" in spec.facts:
        name, source = spec.facts.get("outside", ("", ""))
        yield Need("file", weights if isinstance(weights, str) else name, None, sums, source, **own)
    elif choice.name in (EMBEDDED[m].name for m in EMBEDDED):
        yield Need("shipped", choice.name, **own)


def _of_bundles(names: Any) -> Iterator[Need]:
    for name in names:
        path = bundle_folder(name)
        card = bundles.read_card(path, packed.read(path))
        yield Need("shipped" if name == SHIPPED else "folder", name, used_by=("bundle",))
        yield from _of_recipe(nearby.recipe(card, path), tuple(card.dims))


def _of_tuning(keys: Mapping[str, Any]) -> Iterator[Need]:
    """Yield what fine-tuning begins with: a hub model, or that of the encoder it names; the shipped three with none."""
    given = keys.get("encoder")
    if not isinstance(given, str):
        return
    name, _, begins = given.partition(":") if given.partition(":")[0] in OURS else (given, "", "")
    pins = {key: keys[key] for key in ("revision", "weights") if keys.get(key)}
    if begins:
        pins.setdefault("model" if name == "smil-audio" else "weights", begins)
    if name in RESNETS:
        if "weights" in pins:
            yield _of_place(pins["weights"], keys.get("revision"))
    elif name in {spec.name for spec in registry.specs("encoders")}:
        known = registry.get("encoders", name).options()
        yield from _of_encoder(Choice(name=name, options={k: v for k, v in pins.items() if k in known}))
    else:
        yield _of_place(name, keys.get("revision"))


def _of_place(name: str, revision: str | None) -> Need:
    """Return a file or folder by its path, else a model of the hub."""
    path = Path(name).expanduser()
    kind: Kind = "folder" if path.is_dir() else "file" if path.suffix in STATES else "hub"
    return Need(kind, name, revision, used_by=("finetune",))
