"""``mer bundle export``: a bundle's networks as ONNX graphs, in fp32 or int8, compared with what they were made of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mercli import __version__
from mercli.config import PredictConfig
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion import exported, packed, readout
from mercli.graphs import int8
from mercli.jobs.clips import items
from mercli.jobs.clips.cutting import Piece
from mercli.jobs.features import encoding, graphs, nearby
from mercli.jobs.predict import Predictor, bundle_folder
from mercli.log import logger
from mercli.types import Feature, FeatureBundle, Streams, StreamSettings, Transcript

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "hello.mp4"
WINDOWS = "2/1"
"""How clips are cut to be compared."""
SAME = 0.999
"""The cosine with its network's features that an fp32 graph's must reach."""
MADE = ((1.5, "i am so happy today"), (0.8, "no"), (2.2, "what is that supposed to mean, you of all people"))
"""Seconds and texts of the made inputs, of different lengths, so that no length is taken for fixed."""

Key = tuple[int, int]
Graphs = dict[str, tuple[bytes, str]]


@dataclass(frozen=True)
class Part:
    """A graph beside what it was made of, or (``why``) a part that stays as it is.

    ``cosine``: the lowest of a row of features (for the head: of an answer's scores); ``difference``: the largest of a
    number; ``faster``: the torch encoder's CPU time over that with the graph, the front end included in both.
    """

    name: str
    precision: str = "torch"
    bytes: int = 0
    cosine: float | None = None
    difference: float | None = None
    faster: float | None = None
    why: str | None = None


@dataclass(frozen=True)
class Exported:
    """The ONNX bundle's folder and name, its parts, and on how many of the windows both give the same label."""

    bundle: Path
    name: str
    parts: Mapping[str, Part]
    windows: int
    same: int
    clips: Sequence[str]


@dataclass(frozen=True, eq=False)
class _Material:
    """A bundle with its encoders, the pieces that all is compared on, and what these ask of the networks."""

    bundle: bundles.Bundle
    encoders: encoding.EncoderSet
    pieces: list[tuple[Key, Piece]]
    calls: dict[str, list[graphs.Call]]


def export(
    name: str, output: Path, *, shrink: bool = False, clips: Sequence[str] = (), allow_drift: bool = False
) -> Exported:
    """Write a bundle's ONNX twin and tell how near it comes on clips (the example first) and made inputs.

    ``shrink``: encoders in int8, the ranges of their convolutions taken from all these. Raises ``ConfigError`` for a
    bundle that cannot be a twin, ``DataError`` for clips that cannot be read, and where fp32 drifts, unless
    ``allow_drift``.
    """
    if (output / packed.SUMS).exists():
        raise ConfigError(f"'{output}' holds a bundle, expected a new folder", f"rm -r '{output}'")
    if output.is_file():
        raise ConfigError(f"'{output}' is a file, expected a new folder", f"rm '{output}'")
    shown = [*([str(EXAMPLE)] if EXAMPLE.is_file() else []), *clips]
    material = _material(name, shown)
    made, staying = _graphs(material, shrink)
    card = material.bundle.card
    head = exported.graph(material.bundle.head, material.bundle.stats, card.dims)
    contents = {"head": head, **{m: content for m, (content, _) in made.items()}}
    twin = bundles.of_graphs(card, contents)
    recipe = nearby.recipe(card, bundle_folder(name))
    own = graphs.installed(encoding.build(recipe, material.encoders.encoders), twin.graphs)
    parts = {
        m: Part(material.encoders.names[m], precision, len(content), *_compared(m, material, own))
        for m, (content, precision) in made.items()
    }
    parts |= {m: Part(material.encoders.names[m], why=why) for m, why in staying.items()}
    parts["head"], same = _answers(material, twin, own, len(head))
    _check(parts, allow_drift)
    card = replace(_card(name, card, parts), recipe=nearby.portable(recipe, output).model_dump())
    bundles.save_graphs(output, card, contents, _readme(name, card))
    return Exported(output, card.name, parts, len(same), sum(same), shown)


def _material(name: str, clips: Sequence[str]) -> _Material:
    held: list[Piece] = []
    predictor = Predictor(PredictConfig(model=(name,), windows=WINDOWS, device="cpu"), watch=held.append)
    (group,) = predictor.groups
    (bundle,) = group.bundles
    if bundle.card.graphs:
        raise ConfigError(f"bundle '{name}' is ONNX already, expected one of torch", "mer bundle show")
    pieces: list[tuple[Key, Piece]] = []
    with graphs.recorded(group.encoders.encoders) as calls:
        for number, item in enumerate(items.of_paths(clips)):
            held.clear()
            faults = [answer.error for answer in predictor.predict(item) if answer.error]
            if not held:
                raise DataError(f"'{item.id}' cannot be compared on: {faults[0] if faults else 'it holds nothing'}")
            pieces += [((number, piece.window), piece) for piece in held]
        for place, piece in enumerate(_made(group.encoders.settings)):
            pieces.append(((-1, place), piece))
            group.encoders.encode([piece.streams])
    return _Material(bundle, group.encoders, pieces, calls)


def _made(settings: StreamSettings) -> Iterator[Piece]:
    """Yield inputs that hold every modality: a humming voice, pictures of smooth noise, and words."""
    draw = np.random.default_rng(0)
    for place, (seconds, text) in enumerate(MADE):
        times = np.arange(round(seconds * settings.audio_rate)) / settings.audio_rate
        sound = 0.3 * np.sin(2 * np.pi * (120 + 40 * place) * times) * (1 + np.sin(2 * np.pi * 3 * times))
        frames = round(seconds * settings.face_fps)
        coarse = draw.integers(0, 255, (frames, 4, 4, 3), np.uint8)
        side = -(-settings.face_size // 4)
        faces = coarse.repeat(side, 1).repeat(side, 2)[:, : settings.face_size, : settings.face_size]
        streams = Streams(
            audio=(sound + draw.normal(0, 0.01, len(times))).astype(np.float32),
            audio_rate=settings.audio_rate,
            faces=np.ascontiguousarray(faces),
            face_times=(np.arange(frames) / settings.face_fps).astype(np.float32),
            face_confidence=np.ones(frames, np.float32),
            transcript=Transcript(text, "given", language="en"),
        )
        yield Piece(place, streams, 0.0, last=True)


def _graphs(material: _Material, shrink: bool) -> tuple[Graphs, dict[str, str]]:
    """Return the graphs of the encoders with their precisions, and why others stay in torch."""
    made: Graphs = {}
    staying: dict[str, str] = {}
    for modality, encoder in material.encoders.encoders.items():
        calls = material.calls.get(modality, [])
        try:
            content = graphs.graph(encoder, calls)
        except ConfigError as fault:
            staying[modality] = fault.message
            continue
        smaller = int8.shrunk(content, [graphs.arrays(call) for call in calls]) if shrink else content
        made[modality] = (smaller, "fp32" if smaller == content else "int8")
    return made, staying


def _compared(modality: str, material: _Material, own: encoding.EncoderSet) -> tuple[float, float, float]:
    """Return lowest cosine, largest difference, and how many times as fast, of one encoder's features."""
    rows, spent = [], []
    for encoders in (material.encoders, own):
        alone = replace(encoders, encoders={modality: encoders.encoders[modality]})
        alone.encode([material.pieces[0][1].streams])  # what is set up once is not told as time of either
        begun = time.process_time()
        found = [alone.encode([piece.streams], [piece.bare])[0].get(modality) for _, piece in material.pieces]
        spent.append(time.process_time() - begun)
        rows.append(np.concatenate([_valid(feature) for feature in found if feature is not None]))
    if len(rows[0]) != len(rows[1]):
        return 0.0, float("inf"), spent[0] / spent[1]
    return *_near(*rows), spent[0] / spent[1]


def _valid(feature: Feature) -> NDArray[np.float64]:
    return feature.values[feature.valid].astype(np.float64)


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest cosine of rows (N, D) and the largest difference of a number."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(1) / lengths.clip(1e-30)).min()), float(np.abs(one - other).max())


def _answers(material: _Material, twin: bundles.Bundle, own: encoding.EncoderSet, size: int) -> tuple[Part, list[bool]]:
    """Return how near the head's graph comes on the same features, and where both bundles give the same label."""
    scheme, found, wholly = twin.card.scheme, [], []
    theirs = encoding.features(own, material.pieces)
    for (_, features), (_, mine) in zip(encoding.features(material.encoders, material.pieces), theirs, strict=True):
        if any(feature is not None for feature in features.features.values()):
            found.append([_scores(bundle, features) for bundle in (material.bundle, twin)])
            wholly.append((found[-1][0], _scores(twin, mine)))
    head = Part(
        str(twin.card.head["name"]), "fp32", size, *_near(*(np.stack(rows) for rows in zip(*found, strict=True)))
    )
    return head, [readout.label(one, scheme) == readout.label(other, scheme) for one, other in wholly]


def _scores(bundle: bundles.Bundle, features: FeatureBundle) -> NDArray[np.float64]:
    return readout.shown(bundle.log_probabilities([features]), bundle.card.scheme)[0]


def _check(parts: Mapping[str, Part], allow_drift: bool) -> None:
    for name, part in parts.items():
        if part.cosine is not None and part.precision == "fp32" and not part.cosine >= SAME:
            told = f"the graph of {name} ('{part.name}') has a cosine of {part.cosine:.6f} with its network"
            if not allow_drift:
                raise DataError(f"{told}, expected {SAME} or more", "mer bundle export --allow-drift ...")
            logger.warning("%s, which was allowed", told)


def _card(name: str, card: bundles.BundleCard, parts: Mapping[str, Part]) -> bundles.BundleCard:
    """Return the card of the twin, which names the bundle that it was exported from and tells how near it comes."""
    import onnxruntime
    import torch

    precisions = {part: told.precision for part, told in parts.items() if told.why is None}
    kind = "int8" if "int8" in precisions.values() else "onnx"
    near = {
        part: {"cosine": round(told.cosine, 6), "difference": float(f"{told.difference:.1e}")}
        for part, told in parts.items()
        if told.cosine is not None
    }
    facts = {
        "from": card.name,
        "from_sha256": bundles.sha256(packed.read(bundle_folder(name))[packed.SUMS]),
        "mercli": __version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__,
        "near": near, "stays": {m: part.why for m, part in parts.items() if part.why},
    }  # fmt: skip
    return replace(card, name=f"{card.name}-{kind}", graphs=precisions, facts={**card.facts, "exported": facts})


def _readme(name: str, card: bundles.BundleCard) -> str:
    told = packed.read(bundle_folder(name))["README.md"].decode("utf-8")
    facts = card.facts["exported"]
    made = ", ".join(f"{part} ({precision})" for part, precision in card.graphs.items())
    return (
        f"# {card.name}\n\nThe bundle `{facts['from']}` (sha256 of its checksums: {facts['from_sha256']}) with ONNX "
        f"graphs for {made}. What is said below is of that bundle.\n\n{told.replace('# ', '## ', 1)}"
    )
