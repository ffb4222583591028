"""Encoding: pieces of clips become features, in batches across windows and clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from mercli import registry
from mercli.config import Choice, Recipe
from mercli.contracts import Encoder
from mercli.engines import devices
from mercli.features.store import feature_key
from mercli.jobs.clips.cutting import STREAMS_VERSION, Piece
from mercli.log import logger
from mercli.types import Feature, FeatureBundle, Streams, StreamSettings

Key = TypeVar("Key")
BATCH_SECONDS = 60.0
NO_CHANGE = ("weights", "revision", "sha256", "batch", "trained_on")
"""Options of encoders that change no number of their features, or none that the hash of their weights does not tell."""
PLACES = ("model", "root", "table")
"""Options that may say where something lies."""
NO_FILE = "no ready-made feature of this segment"
NOTHING = {
    "audio": "no sound to work on (silence)",
    "face": "no usable face",
    "text": "no usable text (empty, or a language the encoder does not read)",
}


@dataclass(frozen=True, eq=False)
class EncoderSet:
    """The encoders of a recipe, built once, with the keys of the features they make."""

    encoders: Mapping[str, Encoder]
    keys: Mapping[str, str]
    names: Mapping[str, str]
    precisions: Mapping[str, str]
    device: str = "cpu"

    @property
    def settings(self) -> StreamSettings:
        """What must be decoded for them: the audio encoder's rate, the face encoder's frames and crops."""
        default = StreamSettings()
        wanted = {m: encoder.settings for m, encoder in self.encoders.items() if m not in self.ready}
        audio, face = wanted.get("audio", default), wanted.get("face", default)
        limits = [settings.longest for settings in wanted.values()]
        longest = None if None in limits else min(filter(None, limits), default=default.longest)
        return StreamSettings(audio.audio_rate, face.face_fps, face.face_size, face.face_margin, longest)

    @property
    def ready(self) -> tuple[str, ...]:
        """Return the modalities whose encoders need no stream: their features were made elsewhere."""
        return tuple(m for m, encoder in self.encoders.items() if not getattr(encoder, "needs_streams", True))

    def encode(self, batch: list[Streams], bare: Sequence[bool] = ()) -> list[dict[str, Feature]]:
        """Return each item's features by modality; what is absent or without a valid row is left out.

        ``bare`` items stand for their segment: they go to the encoders that need no stream, and no others do.
        """
        found: list[dict[str, Feature]] = [{} for _ in batch]
        for modality, encoder in self.encoders.items():
            if modality in self.ready:
                index = [i for i, alone in enumerate(bare) if alone and modality not in batch[i].missing]
            else:
                index = [i for i, streams in enumerate(batch) if _has(streams, modality)]
            encoded = self._encoded(modality, encoder, [batch[i] for i in index]) if index else ()
            for i, feature in zip(index, encoded, strict=True):
                if feature.valid.any():
                    found[i][modality] = feature
        return found

    def _encoded(self, modality: str, encoder: Encoder, batch: list[Streams]) -> list[Feature]:
        """Return what an encoder makes of a batch in its precision; where memory runs out, of its halves."""
        import torch

        try:
            with _autocast(self.precisions[modality], self.device), threads(encoder, self.device):
                return encoder.encode(batch)
        except (torch.cuda.OutOfMemoryError, MemoryError):
            if len(batch) == 1:
                raise
            middle = len(batch) // 2
            logger.warning("%s: no memory for %d pieces at once, trying %d", self.names[modality], len(batch), middle)
        halves = batch[:middle], batch[middle:]
        return [feature for half in halves for feature in self._encoded(modality, encoder, half)]


def _autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    if precision == "fp32":
        return nullcontext()
    import torch

    kind = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.partition(":")[0], kind)


def threads(encoder: Encoder, device: str) -> AbstractContextManager[None]:
    """Give a large network all the threads that this process may have, while inside."""
    return devices.many_threads(device) if is_large(encoder) else nullcontext()


def _has(streams: Streams, modality: str) -> bool:
    return {"audio": streams.audio, "face": streams.faces, "text": streams.transcript}[modality] is not None


def settled(recipe: Recipe, device: str = "cpu") -> Recipe:
    """Return the recipe with the precision that ``auto`` stands for on a device: what is probed is probed once."""
    return recipe.model_copy(update={"precision": devices.precision(recipe.precision, device)})


def build(recipe: Recipe, modalities: Iterable[str], device: str = "cpu") -> EncoderSet:
    """Build the recipe's encoders for these modalities on a device."""
    devices.one_thread(device)
    encoders, keys, names, precisions = {}, {}, {}, {}
    for modality in modalities:
        choice = recipe.encoders.get(modality)  # type: ignore[call-overload]
        if choice is None:
            continue
        encoder: Encoder = registry.build("encoders", choice.name, options=choice.options)
        encoder.to(device)
        encoders[modality] = encoder
        # small networks and plain signal processing lose digits and win nothing
        precisions[modality] = devices.precision(recipe.precision, device) if is_large(encoder) else "fp32"
        keys[modality] = _key(choice, encoder, recipe, precisions[modality])
        names[modality] = choice.name
    return EncoderSet(encoders, keys, names, precisions, device)


def made_in(encoders: EncoderSet, recipe: Recipe, precision: str) -> EncoderSet:
    """Return the encoders of a recipe with the keys of features made in a precision, which need not work here."""
    precisions = {m: precision if is_large(encoder) else "fp32" for m, encoder in encoders.encoders.items()}
    keys = {m: _key(recipe.encoders[m], e, recipe, precisions[m]) for m, e in encoders.encoders.items()}  # type: ignore[index]
    return replace(encoders, keys=keys, precisions=precisions)


def is_large(encoder: Encoder) -> bool:
    """Tell whether an encoder's network is one that half precision and several threads make faster."""
    return bool(getattr(encoder, "half", False))


def shelf(corpus: Path, encoders: EncoderSet, modality: str) -> Path:
    """Return where the features of a modality lie below a prepared corpus."""
    return corpus / "features" / modality / f"{encoders.names[modality]}-{encoders.keys[modality]}"


def _key(choice: Choice, encoder: Encoder, recipe: Recipe, precision: str) -> str:
    spec = registry.get("encoders", choice.name)
    given = registry.check_options(spec, choice.options)
    # where weights lie says nothing of what they hold: their hash is in encoder.weights
    here = [name for name in PLACES if given.get(name) and Path(str(given[name])).expanduser().exists()]
    options = {name: value for name, value in given.items() if name not in (*NO_CHANGE, *here)}
    how: dict[str, dict[str, Any]] = {
        "face": {"face": recipe.face},
        "text": {"transcriber": recipe.transcriber.model_dump()},
    }
    if not getattr(encoder, "needs_streams", True):
        return feature_key(choice.name, spec.version, options, {}, encoder.weights, precision)
    streams = {"version": STREAMS_VERSION, **asdict(encoder.settings), **how.get(encoder.modality, {})}
    return feature_key(choice.name, spec.version, options, streams, encoder.weights, precision)


@dataclass
class _Gathering(Generic[Key]):
    parts: dict[str, list[Feature]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unmade: dict[str, str] = field(default_factory=dict)
    trust: float | None = None


def features(
    encoders: EncoderSet, pieces: Iterable[tuple[Key, Piece]], batch: int = 16
) -> Iterator[tuple[Key, FeatureBundle]]:
    """Yield each window's features once its last piece is encoded, in the order in which windows end.

    ``pieces`` come with a key per window; a batch is at most ``batch`` pieces or ``BATCH_SECONDS`` of audio.
    """
    waiting: list[tuple[Key, Piece]] = []
    gathered: dict[Key, _Gathering[Key]] = {}
    seconds = 0.0
    for key, piece in pieces:
        waiting.append((key, piece))
        audio = piece.streams.audio
        seconds += 0 if audio is None else len(audio) / piece.streams.audio_rate
        if len(waiting) >= batch or seconds >= BATCH_SECONDS:
            yield from _flush(encoders, waiting, gathered)
            waiting, seconds = [], 0.0
    yield from _flush(encoders, waiting, gathered)


def _flush(
    encoders: EncoderSet, waiting: list[tuple[Key, Piece]], gathered: dict[Key, _Gathering[Key]]
) -> Iterator[tuple[Key, FeatureBundle]]:
    streams = [replace(piece.streams, id=str(key)) for key, piece in waiting]
    encoded = encoders.encode(streams, [piece.bare for _, piece in waiting])
    for (key, piece), found in zip(waiting, encoded, strict=True):
        gathering = gathered.setdefault(key, _Gathering())
        for modality in encoders.encoders:
            if modality in found:
                moved = replace(found[modality], times=found[modality].times + np.float32(piece.start))
                gathering.parts.setdefault(modality, []).append(moved)
            elif piece.bare and modality in encoders.ready:
                gathering.unmade[modality] = piece.streams.missing.get(modality, NO_FILE)
            elif _has(piece.streams, modality):
                gathering.missing[modality] = NOTHING[modality]
        gathering.missing.update(piece.streams.missing)
        if piece.streams.transcript is not None:
            gathering.trust = piece.streams.transcript.trust
        if piece.last:
            yield key, _bundle(str(key), encoders, gathered.pop(key))


def _bundle(identity: str, encoders: EncoderSet, gathering: _Gathering[Key]) -> FeatureBundle:
    joined: dict[str, Feature | None] = {m: join(gathering.parts.get(m, [])) for m in encoders.encoders}
    why = {**gathering.missing, **gathering.unmade}
    default = {**dict.fromkeys(encoders.encoders, "not asked for"), **dict.fromkeys(encoders.ready, NO_FILE)}
    missing = {m: why.get(m, default[m]) for m, feature in joined.items() if feature is None}
    return FeatureBundle(identity, joined, missing, gathering.trust)


def join(parts: list[Feature]) -> Feature | None:
    """Return the rows of several features one after another, or ``None`` for none."""
    if not parts:
        return None
    return Feature(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "times", "valid")))
