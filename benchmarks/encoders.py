"""The encoders of SMIL at their real size, with random weights, against their networks in plain fp32.

What runs is the encoder as ``mer extract`` runs it (``--precision auto``: bf16 where the processor has it), from pieces
of clips to features; against it the bare network on inputs that are ready, in fp32 as PyTorch has it, the same number
of items at once. Goals: 2.5, 1.7 and 1.5 times as fast, and a cosine of 0.999 between both features. A random ResNet-50
whose norms are fitted to pictures multiplies rounding from layer to layer; what bf16 does to it is told, too, and to a
small network that is trained.

Prints one JSON object: ``python benchmarks/encoders.py [--write] [--rounds 5]`` (3 minutes on a quiet core)
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import networks
import numpy as np
import torch
from decode import measure
from faces import ONE_THREAD
from torch.utils.flop_counter import FlopCounterMode
from writing import Figure, arguments, finish, over

from mercli import config, registry
from mercli.features.folding import folded
from mercli.features.seeds import checkpoints, smil_audio_net, smil_face_net, smil_text_net
from mercli.features.windows import window_spans
from mercli.jobs.features import encoding
from mercli.types import Streams, Transcript

FACES, SECONDS, TEXTS, AT_ONCE = 32, 16, 8, 16
NAMES = {"face": "ResNet-50", "audio": "wav2vec2-base, windows of 4 s", "text": "DistilRoBERTa, 64 tokens"}
GOALS = {"face": 2.5, "audio": 1.7, "text": 1.5}
SIDE = 1536


def built(options: dict[str, dict[str, str]], precision: str) -> encoding.EncoderSet:
    """Return the encoders with a row per window of sound, per face and per text."""
    rows = {"audio": {"pooled": False}, "face": {"pooled": False, "window": 0.2, "step": 0.2}, "text": {}}
    choices = {m: {"name": f"smil-{m}", "options": {**options[m], **rows[m]}} for m in options}
    recipe = config.Recipe.model_validate({"encoders": choices, "precision": precision})
    return encoding.build(recipe, options)


def material() -> dict[str, list[Streams]]:
    """Return what each encoder gets."""
    return {
        "face": [Streams(faces=networks.faces(FACES))],
        "audio": [Streams(audio=networks.sound(SECONDS))],
        "text": [Streams(transcript=Transcript(text, "given")) for text in networks.sentences(TEXTS)],
    }


def encoded(encoders: encoding.EncoderSet, given: dict[str, list[Streams]], modality: str) -> np.ndarray:
    """Return the rows of all items one under another."""
    return np.concatenate([found[modality].values for found in encoders.encode(given[modality])])


class Plain:
    """The networks as they come, in fp32, with inputs that are ready."""

    def __init__(self, options: dict[str, dict[str, str]], given: dict[str, list[Streams]]) -> None:
        self.audio = smil_audio_net.load(checkpoints.open_model(options["audio"]["model"], None, None, ()))
        self.text = smil_text_net.load(checkpoints.open_model(options["text"]["model"], None, None, ()))
        self.face = smil_face_net.FaceNet((3, 4, 6, 3), (64, 128, 256, 512), 512, networks.CLASSES)
        checkpoints.fill(self.face, checkpoints.read(Path(options["face"]["weights"])))
        wave = given["audio"][0].audio
        spans = window_spans(len(wave), 64_000, 32_000)
        self.waves = torch.from_numpy(smil_audio_net.normalised(smil_audio_net.segments(wave, spans, 64_000)))
        self.pictures = smil_face_net.prepared(torch.from_numpy(given["face"][0].faces)).contiguous()
        words = smil_text_net.tokenizer(Path(options["text"]["model"]))
        self.ids = torch.tensor(words([streams.transcript.text for streams in given["text"]])["input_ids"])

    def rows(self, modality: str) -> np.ndarray:
        """Return the features that the encoder's must be like."""
        with torch.inference_mode():
            if modality == "audio":
                return self.audio(self.waves)[0].mean(1).numpy()
            if modality == "text":
                return self.text(self.ids, torch.ones_like(self.ids))[0].numpy()
            return torch.cat([self.face(part)[0] for part in self.pictures.split(AT_ONCE)]).numpy()

    def operations(self, modality: str) -> int:
        """Return how many multiplications and additions the rows take."""
        with FlopCounterMode(display=False) as counter:
            self.rows(modality)
        return int(counter.get_total_flops())


def products(kind: torch.dtype) -> Callable[[], torch.Tensor]:
    """Return a product of two matrices whose speed is what a core can do."""
    left, right = torch.randn(SIDE, SIDE).to(kind), torch.randn(SIDE, SIDE).to(kind)
    return lambda: left @ right


def likeness(found: np.ndarray, expected: np.ndarray) -> str:
    """Return the least cosine of two rows, and behind it that of what differs between the rows."""
    told = []
    for a, b in ((found, expected), (found - found.mean(0), expected - expected.mean(0))):
        told.append(min((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))
    return f"{told[0]:.5f} ({told[1]:.5f} of what differs)"


def fitted(pictures: torch.Tensor) -> tuple[str, str]:
    """Return the likeness for a ResNet-50 whose norms are fitted to pictures: in bf16, and with rounded weights alone.

    The second computes in fp32, so no way of computing with such weights could come nearer.
    """
    network = networks.face(fitted=True)
    with torch.inference_mode():
        expected = network(pictures)[0]
        network = folded(network)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(pictures)[0].float()
        for weights in network.parameters():
            weights.copy_(weights.bfloat16())
        rounded = network(pictures)[0]
    return likeness(found.numpy(), expected.numpy()), likeness(rounded.numpy(), expected.numpy())


def trained() -> str:
    """Return the likeness for the face network that ships inside: trained, and with a norm behind each convolution."""
    encoder = registry.build("encoders", "embedded-face")
    side = encoder.settings.face_size
    crops = np.stack([cv2.resize(face, (side, side)) for face in networks.faces(FACES)])
    expected = encoder.encode([Streams(faces=crops)])[0].values
    with torch.autocast("cpu", torch.bfloat16):
        return likeness(encoder.encode([Streams(faces=crops)])[0].values, expected)


def main() -> None:
    """Measure and tell."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    os.environ.update(ONE_THREAD)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        options = networks.write(Path(folder))
        given = material()
        sets = {precision: built(options, precision) for precision in ("auto", "fp32")}
        plain = Plain(options, given)
    cases: dict[str, Callable[[], object]] = {}
    for m in NAMES:
        cases[f"{m} plain"] = lambda m=m: plain.rows(m)
        for precision, encoders in sets.items():
            cases[f"{m} {precision}"] = lambda m=m, e=encoders: encoded(e, given, m)
    found = sets["auto"].precisions["audio"]
    cases["product"] = products(torch.bfloat16 if found == "bf16" else torch.float32)
    spent = measure(cases, asked.rounds)
    figures = []
    for m, name in NAMES.items():
        goal = f">= {GOALS[m]}x" if found == "bf16" else ""
        figures.append(over(f"{name}, {found}", "fp32", spent[f"{m} plain"], spent[f"{m} auto"], goal))
        figures.append(over(f"{name}, fp32", "fp32", spent[f"{m} plain"], spent[f"{m} fp32"], ""))
        same = likeness(encoded(sets["auto"], given, m), plain.rows(m))
        figures.append(Figure(f"{name}, {found}: cosine", "fp32", same, "", ">= 0.999"))
    if found == "bf16":
        what = "ResNet-50 of random weights, norms fitted to pictures"
        computed, rounded = fitted(plain.pictures[:AT_ONCE])
        figures.append(Figure(f"{what}, bf16: cosine", "fp32", computed))
        figures.append(Figure(f"{what}, weights alone rounded to bf16: cosine", "fp32", rounded))
        figures.append(Figure("embedded-face, which is trained, bf16: cosine", "fp32", trained()))
    rate = 2 * SIDE**3 / statistics.median(spent["product"])
    share = {m: f"{plain.operations(m) / statistics.median(spent[f'{m} auto']) / rate:.0%}" for m in NAMES}
    facts = {
        f"speed, as a share of a {found} product's ({rate / 1e9:.0f} GFLOP/s)": share,
        "items": {"faces": FACES, "windows": len(plain.waves), "texts": TEXTS},
        "rounds": asked.rounds,
    }
    finish("encoders", "Encoders at their real size", figures, facts, asked.write)


if __name__ == "__main__":
    main()
