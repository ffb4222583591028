"""Encoders as ONNX graphs, in fp32 and int8, against themselves in torch: the shipped ones, and SMIL's at real size.

What runs is an encoder as ``mer predict`` runs it, front end included, on one thread; SMIL's networks have random
weights, whose layers multiply rounding from one to the next. Times of the shipped head are told in milliseconds.

Prints one JSON object: ``python benchmarks/graphs.py [--write] [--rounds 5]`` (3 minutes on a quiet core)
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import networks
import numpy as np
import torch
from decode import measure
from faces import ONE_THREAD
from writing import Figure, arguments, finish, over

from mercli import config
from mercli.fusion import bundle as bundles
from mercli.fusion import exported
from mercli.graphs import int8
from mercli.jobs.features import encoding, graphs
from mercli.jobs.predict import bundle_folder
from mercli.types import FeatureBundle, Streams, Transcript

MODALITIES = ("audio", "face", "text")
FACES, SECONDS, TEXTS = 6, 6, 6
ALONE = 100
"""Answers of the head that are timed together: one takes less than a clock tells."""


@dataclass(frozen=True, eq=False)
class Twins:
    """One encoder in torch, and its graphs in fp32 and int8 (that of fp32 where nothing of it can be shrunk)."""

    name: str
    given: list[Streams]
    ways: dict[str, encoding.EncoderSet]
    sizes: dict[str, int]

    def encode(self, way: str) -> np.ndarray:
        """Return the rows of all items, one under another."""
        found = self.ways[way].encode(self.given)
        return np.concatenate([values.values for features in found for values in features.values()])

    def likeness(self, way: str) -> float:
        """Return the least cosine of a row with that of torch."""
        a, b = self.encode(way).astype(np.float64), self.encode("torch").astype(np.float64)
        return float(min((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))


def given(modality: str, side: int) -> list[Streams]:
    """Return what an encoder gets: 6 s of sound, 6 faces, or 6 texts, and some of another length behind them."""
    if modality == "audio":
        return [Streams(audio=networks.sound(seconds)) for seconds in (SECONDS, SECONDS / 5)]
    if modality == "text":
        texts = [*networks.sentences(TEXTS - 1), *networks.sentences(1, letters=20)]
        return [Streams(transcript=Transcript(text, "given")) for text in texts]
    crops = np.stack([cv2.resize(face, (side, side)) for face in networks.faces(FACES)])
    return [Streams(faces=crops), Streams(faces=crops[:3])]


def twins(choices: dict[str, dict[str, object]]) -> Iterator[Twins]:
    """Yield the encoders of a recipe, each with its graphs."""
    recipe = config.Recipe.model_validate({"encoders": choices})
    for modality in MODALITIES:
        build = partial(encoding.build, recipe, [modality])
        held = build()
        items = given(modality, held.settings.face_size)
        with graphs.recorded(held.encoders) as calls:
            for item in items:
                held.encode([item])
            held.encode(items)
        content = graphs.graph(held.encoders[modality], calls[modality])
        small = int8.shrunk(content, [graphs.arrays(call) for call in calls[modality]])
        ways = {"torch": held}
        ways |= {way: graphs.installed(build(), {modality: one}) for way, one in (("fp32", content), ("int8", small))}
        sizes = {"torch": _size(held, modality), "fp32": len(content), "int8": len(small)}
        yield Twins(str(choices[modality]["name"]), items, ways, sizes)


def _size(held: encoding.EncoderSet, modality: str) -> int:
    """Return how many bytes the weights take as torch computes with them."""
    network = graphs.network(held.encoders[modality])
    assert network is not None
    return sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())


def heads() -> tuple[dict[str, bundles.Bundle], list[FeatureBundle]]:
    """Return the shipped bundle's head in torch and as a graph, and a segment with every modality."""
    bundle = bundles.load(bundle_folder("embedded"))
    graph = exported.graph(bundle.head, bundle.stats, bundle.card.dims)
    recipe = config.Recipe(encoders=config.EMBEDDED)
    made = encoding.build(recipe, MODALITIES).encode([
        Streams(
            audio=networks.sound(SECONDS), faces=given("face", 48)[0].faces, transcript=Transcript("so happy", "given")
        )
    ])  # fmt: skip
    return {"torch": bundle, "fp32": bundles.of_graphs(bundle.card, {"head": graph})}, [FeatureBundle("one", made[0])]


def answer(bundle: bundles.Bundle, segment: list[FeatureBundle]) -> None:
    """Ask a bundle for as many answers as are timed together."""
    for _ in range(ALONE):
        bundle.log_probabilities(segment)


def figures(pair: Twins, rounds: int) -> tuple[list[Figure], dict[str, str]]:
    """Return how many times as fast an encoder's graphs are, and their sizes and likeness in words."""
    spent = measure({way: partial(pair.encode, way) for way in pair.ways}, rounds)
    shrunk = pair.sizes["int8"] < pair.sizes["fp32"]
    told = [over(f"`{pair.name}`, graph in {way}: times as fast", "torch fp32", spent["torch"], spent[way], "")
            for way in ("fp32", "int8")[: 1 + shrunk]]  # fmt: skip
    sizes = ", ".join(f"{way} {pair.sizes[way] / 1e6:.1f} MB" for way in ("torch", "fp32", "int8")[: 2 + shrunk])
    near = ", ".join(f"{way} {pair.likeness(way):.5f}" for way in ("fp32", "int8")[: 1 + shrunk])
    return told, {pair.name: f"{sizes}; cosine with torch: {near}"}


def main() -> None:
    """Measure and tell."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ.update(ONE_THREAD)
    torch.set_num_threads(1)
    lines: list[Figure] = []
    facts: dict[str, object] = {"rounds": asked.rounds}
    with tempfile.TemporaryDirectory() as folder:
        options = networks.write(Path(folder))
        # what random norms do not hold down grows from layer to layer, and products of such numbers are slow
        torch.save(networks.face(fitted=True).state_dict(), options["face"]["weights"])
        shipped = {m: {"name": f"embedded-{m}"} for m in MODALITIES}
        large = {m: {"name": f"smil-{m}", "options": options[m]} for m in MODALITIES}
        for choices in (shipped, large):
            for pair in twins(choices):
                found, told = figures(pair, asked.rounds)
                lines += found
                facts |= told
    both, segment = heads()
    spent = measure({way: partial(answer, bundle, segment) for way, bundle in both.items()}, asked.rounds)
    lines.append(
        over("the shipped head, graph in fp32: times as fast", "torch fp32", spent["torch"], spent["fp32"], "")
    )
    facts["the shipped head"] = ", ".join(
        f"{way} {statistics.median(times) / ALONE * 1e3:.2f} ms an answer" for way, times in spent.items()
    )
    finish("graphs", "Bundles as ONNX graphs", lines, facts, asked.write)


if __name__ == "__main__":
    main()
