"""``mer models list | pull | verify``: which models presets need, fetching them, and whether they are whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mercli import registry
from mercli.errors import DataError, MerError
from mercli.features import hub
from mercli.features.embedded import weights as embedded
from mercli.fusion import packed
from mercli.jobs import bundling
from mercli.jobs.features.needs import Need, needed
from mercli.jobs.predict import SHIPPED, bundle_folder
from mercli.rundir import sha256
from mercli.streams import whisper_weights

SEE_CARD = "see its card"
APACHE = "apache-2.0"
KNOWN = {
    "DunnBC22/wav2vec2-base-Speech_Emotion_Recognition": (SEE_CARD, 0.4),
    "j-hartmann/emotion-english-distilroberta-base": (SEE_CARD, 0.3),
    "facebook/wav2vec2-base": (APACHE, 0.4),
    "google/vit-base-patch16-224": (APACHE, 0.4),
    "bert-base-uncased": (APACHE, 0.4),
    "microsoft/wavlm-large": (SEE_CARD, 1.3),
    "openai/clip-vit-large-patch14": (SEE_CARD, 1.7),
    "base": ("mit", 0.1),
}
"""Licence and size in GB (what is fetched of it, about) of what presets name; a card that is here says more."""
SHIPPED_LICENCE = "non-commercial research"
USEFUL = (".json", ".txt", ".model")
"""What beside weights a model is read with: configs, vocabularies, tokenizers; all in its uppermost folder."""


@dataclass(frozen=True)
class Model:
    """A model that presets need, and what of it is here.

    ``state``: present, absent, incomplete. ``revision``: what presets pin, ``None`` for nothing; ``commit``: what is
    here. ``size`` in bytes: of what is here, else about what will be fetched.
    """

    name: str
    kind: str
    used_by: tuple[str, ...]
    presets: tuple[str, ...]
    revision: str | None
    commit: str | None
    licence: str
    size: int | None
    state: str
    where: str | None
    note: str
    optional: bool


@dataclass(frozen=True)
class Pulled:
    """What came of fetching one model: where it is, the commit and the sha256 to pin, or why it is not here."""

    name: str
    commit: str | None = None
    sha256: tuple[str, ...] = ()
    where: str | None = None
    error: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Verified:
    """A model that is here: how many of its files were compared with a hash, how many have none, and the faults."""

    name: str
    files: int
    unrecorded: int
    faults: tuple[str, ...] = ()


def models(names: list[str]) -> list[Model]:
    """Return what these presets (all by default) and hub names need; nothing is asked of a network."""
    return [_model(need) for need in needed(names)]


def _model(need: Need) -> Model:
    place, state = _place(need)
    licence, size = KNOWN.get(need.name, (SEE_CARD, None))
    if need.kind == "shipped":
        licence = SHIPPED_LICENCE
    here = sum(file.stat().st_size for file in _files(place)) if place else None
    about = None if size is None else round(size * 1e9)
    return Model(
        name=f"whisper:{need.name}" if need.kind == "whisper" else need.name,
        kind=need.kind,
        used_by=need.used_by,
        presets=need.presets,
        revision=need.revision,
        commit=place.name if place and need.kind == "hub" else None,
        licence=(_licence(place) if place else None) or licence,
        size=here if state == "present" else about,
        state=state,
        where=str(place) if place else None,
        note=f"shared at {need.source}" if need.source and not place else "",
        optional=need.optional,
    )


def _place(need: Need) -> tuple[Path | None, str]:
    """Return the folder or file of a model that is here, and the word for it."""
    place: Path | None
    if need.kind == "hub":
        place = hub.snapshot(need.name, need.revision)
        whole = place is not None and bool(held := hub.weights_in(place)) and all(map(Path.is_file, held))
        return place, "present" if whole else "incomplete" if place else "absent"
    if need.kind == "shipped":
        own = embedded.ASSETS / f"{need.name.removeprefix('embedded-')}.safetensors"
        place = bundle_folder(SHIPPED) if need.name == SHIPPED else own
    elif need.kind == "whisper":
        place = whisper_weights.place(need.name)[0]
    else:
        place = Path(need.name).expanduser()
    return (place, "present") if place.exists() else (None, "absent")


def _files(place: Path) -> list[Path]:
    return sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]


def _licence(place: Path) -> str | None:
    """Return the licence that a model's own card names."""
    card = place / "README.md"
    head = card.read_text(encoding="utf-8", errors="replace") if place.is_dir() and card.is_file() else ""
    found = re.search(r"\A---\n(?:.*\n)*?license:[ \t]*([^\s#]+)", head.partition("\n---\n")[0] + "\n")
    return found[1].strip("'\"") if found else None


def pull(names: list[str], to: Path | None = None) -> Iterator[Pulled]:
    """Fetch what the named presets and models need, yielding what came of each; what ships is passed over.

    ``to``: the folder that takes the place of the user's cache, for a machine without network.
    """
    for need in needed(names):
        if need.kind == "shipped":
            continue
        try:
            yield _pulled(need, to)
        except MerError as fault:
            yield Pulled(_model(need).name, error=fault.message, hint=fault.hint)


def _pulled(need: Need, to: Path | None) -> Pulled:
    if need.kind == "whisper":
        path = whisper_weights.pull(need.name, to / "whisper" if to else None)
        return Pulled(f"whisper:{need.name}", None, (whisper_weights.place(need.name)[1],), str(path))
    if need.kind != "hub":
        if _place(need)[0] is None:
            raise _by_hand(need)
        return Pulled(need.name, None, (), str(_place(need)[0]))
    there = hub.listing(need.name, need.revision)
    names = [name for name in there.sizes if "/" not in name and (name.endswith(USEFUL) or name == "README.md")]
    weights = hub.weight_files(there.sizes)
    if not weights:
        raise DataError(f"the model '{need.name}' has no {' or '.join(hub.WEIGHTS)}")
    place = hub.fetch(need.name, need.revision, [*names, *weights], to / "huggingface" / "hub" if to else None)
    held = hub.weights_in(place)
    hub.held_to(need.sha256 or None, held)
    if faults := _check(place).faults:
        raise DataError(faults[0], f"rm -r '{place}' and pull again")
    return Pulled(need.name, there.commit, tuple(sha256(file) for file in held), str(place))


def _by_hand(need: Need) -> DataError:
    shared = f"; its authors share it at {need.source}" if need.source else ""
    facts = [spec.facts for spec in registry.specs("encoders") if spec.name in need.used_by]
    hint = f"--set recipe.encoders.{facts[0]['modality']}.options.weights=FILE, once it is here" if facts else None
    return DataError(f"'{need.name}' is not here, and no hub has it{shared}", hint)


def verify(names: Sequence[str]) -> list[Verified]:
    """Compare every file that is here with the hash its place records and with the presets' pins.

    What is named and is not here is a fault.
    """
    found = []
    shipped = False
    for need in needed(list(names)):
        place, _ = _place(need)
        if need.kind == "shipped":
            shipped = True
        elif place is not None:
            found.append(_verified(need, place))
        elif names and not need.optional:
            found.append(Verified(_model(need).name, 0, 0, (f"'{need.name}' is not here",)))
    return [*found, _verified_shipped()] if shipped else found


def _verified(need: Need, place: Path) -> Verified:
    name = _model(need).name
    if need.kind == "whisper":
        broken = sha256(place) != whisper_weights.place(need.name)[1]
        return Verified(name, 1, 0, (f"'{place}' is not the file that openai-whisper lists",) if broken else ())
    checked = _check(place)
    faults = list(checked.faults)
    held = hub.weights_in(place) if place.is_dir() else [place]
    faults += [f"'{file}' is not there" for file in held if not file.is_file()]
    try:
        hub.held_to(need.sha256 or None, filter(Path.is_file, held))
    except DataError as fault:
        faults.append(fault.message)
    return replace(checked, name=name, faults=tuple(faults))


def _check(place: Path) -> Verified:
    """Compare files of the hub's cache with their own names there: the sha256, or git's hash of what is small."""
    files, unrecorded, faults = 0, 0, []
    for file in _files(place):
        recorded = file.resolve().name
        if re.fullmatch(r"[0-9a-f]{64}", recorded):
            found = sha256(file)
        elif re.fullmatch(r"[0-9a-f]{40}", recorded):
            content = file.read_bytes()
            # git names a file so; nothing here rests on its being hard to forge
            found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        else:
            unrecorded += 1
            continue
        files += 1
        if found != recorded:
            faults.append(f"'{file}' is not the file that was fetched: its hash is {found}, expected {recorded}")
    return Verified(place.name, files, unrecorded, tuple(faults))


def _verified_shipped() -> Verified:
    """Hold the shipped encoders and their bundle to its checksums and to the keys of the features it was fitted on."""
    told = bundling.verify(SHIPPED)
    files = packed.read(bundle_folder(SHIPPED))
    return Verified("embedded (shipped)", len(files) + len(told.encoders), 0, (*told.faults, *told.obstacles))
