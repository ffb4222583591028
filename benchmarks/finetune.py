"""Tuning DistilRoBERTa at its real size (random weights) through ``mer finetune``'s trainer, against a plain loop.

The plain loop does the same steps on the same batches, ready in memory: forward, loss, backward, clipping, AdamW. Ours
reads and prepares each batch, and goes through the Hugging Face ``Trainer``; what it does once an epoch (figures on
dev, checkpoint) is left out of both. fp32. Goal: 0.9 of the plain loop's samples a second.

Prints one JSON object: ``python benchmarks/finetune.py [--write] [--rounds 5]`` (4 minutes on a quiet core)
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import networks
import torch
from decode import measure
from torch.utils.flop_counter import FlopCounterMode
from transformers.trainer_utils import IntervalStrategy, SaveStrategy
from writing import Figure, arguments, finish, over

from mercli.config_tune import FinetuneConfig, Rates
from mercli.features.hf_models import quiet
from mercli.tuning.examples import Batches, Example
from mercli.tuning.network import Tuned
from mercli.tuning.parameters import groups
from mercli.tuning.tuner import Tuner, class_weights, loss
from mercli.tuning.words import HfWords
from mercli.types import Streams, Transcript

BATCH, STEPS, SIDE = 8, 4, 1536
CLASSES = ("neutral", "happy", "sad", "angry", "surprise", "fear", "disgust")


def examples() -> list[Example]:
    """Return one epoch of texts of 64 tokens."""
    texts = networks.sentences(BATCH * STEPS)
    given = [Streams(transcript=Transcript(text, "given")) for text in texts]
    return [
        Example(f"made/{i}", "made", i % len(CLASSES), str(i), 1.0, lambda streams=streams: streams)
        for i, streams in enumerate(given)
    ]


def trainer(config: FinetuneConfig, folder: Path, held: list[Example]) -> Tuner:
    """Return the product's trainer without what it does between epochs."""
    tuner = Tuner(Tuned(HfWords(config, CLASSES)), held, held[:1], config, folder, "fp32", cpu=True)
    tuner.args.eval_strategy, tuner.args.eval_steps = IntervalStrategy.STEPS, 10**9
    tuner.args.save_strategy = SaveStrategy.NO  # by steps it saves after the last
    return tuner


def plain(config: FinetuneConfig, tuner: Tuner, held: list[Example]) -> Any:
    """Return a function that takes the same steps of a network of its own."""
    tuned = Tuned(HfWords(config, CLASSES)).train()
    optimiser = torch.optim.AdamW(groups(tuned.body, config))
    labels = torch.tensor([example.label for example in held])
    weights = class_weights(labels, len(CLASSES), config.loss)
    order = Batches([1.0] * len(held), labels, BATCH, config.seed, balanced=False)
    ready = [tuner._collate([tuner.changed[place] for place in places]) for places in order]

    def run() -> None:
        for batch in ready:
            inputs = {name: value for name, value in batch.items() if name not in ("names", "labels")}
            loss(tuned(**inputs), batch["labels"], config.loss, weights).backward()
            torch.nn.utils.clip_grad_norm_(tuned.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()

    return run


def main() -> None:
    """Measure and tell."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, quiet():
        networks.write(Path(folder))
        config = FinetuneConfig(
            modality="text", corpora=("made",), encoder=str(Path(folder) / "text"), epochs=1, batch=BATCH,
            rates=Rates(lr=1e-5, schedule="constant", warmup=0.0), freeze="none", reset_classifier=True,
        )  # fmt: skip
        held = examples()
        tuner = trainer(config, Path(folder) / "run", held)
        left, right = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
        cases = {"ours": tuner.train, "plain": plain(config, tuner, held), "product": lambda: left @ right}
        spent = measure(cases, asked.rounds)
        with FlopCounterMode(display=False) as counter:
            cases["plain"]()
    rate = 2 * SIDE**3 / statistics.median(spent["product"])
    share = counter.get_total_flops() / statistics.median(spent["ours"]) / rate
    speed = BATCH * STEPS / statistics.median(spent["ours"])
    figures = [
        over("samples a CPU second", "a plain PyTorch loop", spent["plain"], spent["ours"], ">= 0.9x"),
        Figure("arithmetic", f"a product's {rate / 1e9:.0f} GFLOP/s", f"{share:.0%}"),
    ]
    facts = {"samples a CPU second": f"{speed:.2f}", "batch": BATCH, "tokens": 64, "rounds": asked.rounds}
    finish("finetune", "Fine-tuning DistilRoBERTa", figures, facts, asked.write)


if __name__ == "__main__":
    main()
