"""Training of fusion heads: against the SMIL recogniser's own loop, over worker processes, and its memory.

``loop``: CPU time of an epoch at batch 32 by ``--preset smil``, against that loop as it is described, and a floor that
is measured beside: the matrix products that a step cannot do without, and the seven passes of Adam over the weights.
Goals: twice as fast, and at least half as fast as the floor, for the head of SMIL's size and one of 10 M weights.
``folds``: wall time of ``mer loco`` with 4 corpora and 5 seeds, one fit after another, against one worker per core
(goal: 0.85 times the cores; start and end included). ``memory``: peak of ``mer train`` on segments of 2304 numbers
(goal: the features and 1 GB, with ``--segments 250000``).

Prints one JSON object: ``python benchmarks/train.py [loop] [folds] [memory] [--write]`` (8 minutes on two idle cores)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import given
import numpy as np
import smil_loop
import torch
from decode import measure
from writing import Figure, arguments, finish, over

from mercli import config, registry
from mercli.fusion import batch as batches
from mercli.fusion import loop
from mercli.fusion.batch import Examples
from mercli.fusion.source import source
from mercli.jobs.fits import planning
from mercli.labels import CANONICAL
from mercli.types import FeatureBundle

BATCH, ITEMS, CLASSES = 32, 1600, len(CANONICAL.names)
SMIL = {"audio": 512, "face": 1024, "text": 768}
HEADS = {"2.5 M weights": (SMIL, 64), "10 M weights": ({"audio": 1024, "face": 2048, "text": 1536}, 128)}
FOLDS = {"segments": 800, "epochs": 8, "corpora": 4, "seeds": 5}
GIGABYTE = 10**9


def own_epoch(vectors: Mapping[str, np.ndarray], labels: np.ndarray, width: int, precision: str) -> Callable[[], None]:
    """Return an epoch of what ``mer train --preset smil`` runs, with this width of the head."""
    rows = [{m: given.feature(table[row]) for m, table in vectors.items()} for row in range(len(labels))]
    bundles = [FeatureBundle(str(row), features) for row, features in enumerate(rows)]
    dims = {name: table.shape[1] for name, table in vectors.items()}
    train = Examples(bundles, tuple(dims), labels)
    sets = ["epochs=1000", "patience=1000", f"precision={precision}"]
    told = config.resolve(config.TrainConfig, {"corpora": ("made",)}, preset="smil", sets=sets)
    plan = planning.schedule(told, torch.from_numpy(labels), CANONICAL, 0)
    head = registry.build("heads", "gated", dims, CANONICAL, options={**told.head.options, "width": width})
    stats = batches.statistics(train)
    dev = source(train.subset(np.arange(BATCH)), stats, dims)
    epochs = loop.fit(head, source(train, stats, dims), dev, plan)
    return lambda: void(next(epochs))


def void(_: object) -> None:
    """Take a result and do nothing with it."""


def floor_of(dims: Mapping[str, int], width: int) -> Callable[[], None]:
    """Return the products of an epoch's steps, forward and backward where a gradient is needed, and Adam's passes."""
    layers = [(torch.randn(BATCH, dim), torch.randn(BATCH, dim), torch.randn(dim, dim)) for dim in dims.values()]
    sizes = [rows for x, y in smil_loop.PAIRS for rows in (dims[x], dims[y], dims[x] + dims[y])]
    gates = [(torch.randn(BATCH, rows), torch.randn(BATCH, width), torch.randn(rows, width)) for rows in sizes]
    held, slope, mean, square = (torch.ones(sum(w.numel() for _, _, w in layers + gates)) for _ in range(4))

    def epoch() -> None:
        for _ in range(ITEMS // BATCH):
            for x, y, w in layers:
                x @ w.T
                y.T @ x
            for x, y, w in gates:
                x @ w
                y @ w.T
                x.T @ y
            held.add_(slope)
            mean.copy_(square)
            square.copy_(held)

    return epoch


def loops(repeats: int) -> tuple[list[Figure], dict[str, Any]]:
    """Return how an epoch of each head compares, the cases taking turns."""
    torch.set_num_threads(1)
    figures, facts = [], {}
    for name, (dims, width) in HEADS.items():
        draw = np.random.default_rng(0)
        vectors = {m: draw.standard_normal((ITEMS, dim), np.float32) for m, dim in dims.items()}
        labels = draw.integers(0, CLASSES, ITEMS)
        with tempfile.TemporaryDirectory() as folder:
            smil_loop.write(Path(folder), vectors, labels)
            cases = {
                "seed": smil_loop.epoch_of(Path(folder), dims, width, CLASSES, BATCH),
                "fp32": own_epoch(vectors, labels, width, "fp32"),
                "bf16": own_epoch(vectors, labels, width, "bf16"),
                "floor": floor_of(dims, width),
            }
            spent = measure(cases, repeats)
        what = f"an epoch at batch {BATCH}, gated head of {name}"
        figures += [
            over(what, "SMIL's loop", spent["seed"], spent["fp32"], ">= 2x"),
            over(f"{what}, `--precision bf16`", "SMIL's loop", spent["seed"], spent["bf16"], ">= 2x"),
            over(what, "products and Adam's traffic alone (fp32)", spent["floor"], spent["fp32"], ">= 0.5x"),
        ]
        facts[f"samples a CPU second, {name}"] = {c: round(ITEMS / median(t)) for c, t in spent.items()}
    return figures, {**facts, "rounds": repeats}


def folds(repeats: int) -> tuple[list[Figure], dict[str, Any]]:
    """Return how much faster a loco is with a worker per core; each process computes with one thread.

    CPU seconds stand beside, for on a machine that others use wall time tells of them.
    """
    cores = len(os.sched_getaffinity(0))
    names = [f"made{number}" for number in range(FOLDS["corpora"])]
    taken: dict[int, list[float]] = {1: [], cores: []}
    computed: dict[int, list[float]] = {1: [], cores: []}
    with tempfile.TemporaryDirectory() as folder:
        options = given.make(Path(folder) / "data", names, FOLDS["segments"], SMIL)
        sets = [f"epochs={FOLDS['epochs']}", "patience=1000", "optimizer.fused=true", "batch=32"]
        fixed = ["--head", "gated", "--seeds", str(FOLDS["seeds"]), *(part for one in sets for part in ("--set", one))]
        for _ in range(repeats):
            for jobs in taken:
                own = ["--corpora", *names, "--jobs", str(jobs), "--runs", str(Path(folder) / "runs")]
                wall, cpu, _ = run("loco", [*own, *fixed, *options])
                taken[jobs].append(wall)
                computed[jobs].append(cpu)
    figure = over(
        f"wall time of loco, {FOLDS['corpora']} corpora x {FOLDS['seeds']} seeds, {cores} workers",
        "one after another", taken[1], taken[cores], f">= {0.85 * cores:.2f}x",
    )  # fmt: skip
    wall, cpu = ({f"{jobs} jobs": round(median(times), 1) for jobs, times in one.items()} for one in (taken, computed))
    return [figure], {"loco wall s": wall, "loco CPU s": cpu, "loco rounds": repeats}


def memory(segments: int) -> tuple[list[Figure], dict[str, Any]]:
    """Return the peak memory of training on many segments, what is mapped from disk included."""
    with tempfile.TemporaryDirectory() as folder:
        options = given.make(Path(folder) / "data", ["made"], segments, SMIL)
        own = ["--corpora", "made", "--head", "gated", "--set", "epochs=1", "--runs", str(Path(folder) / "runs")]
        _, cpu, peak = run("train", [*own, *options])
    features = 4 * segments * sum(SMIL.values()) / GIGABYTE
    figure = Figure(
        f"peak memory beyond the features, {segments} segments of {sum(SMIL.values())} numbers", "1 GB",
        f"{peak - features:.2f} GB", "", "<= 1 GB",
    )  # fmt: skip
    return [figure], {"memory": {"features GB": round(features, 2), "peak GB": round(peak, 2), "CPU s": round(cpu)}}


def run(command: str, options: list[str]) -> tuple[float, float, float]:
    """Return wall and CPU seconds and the peak memory in GB of one run of a command with one thread a process."""
    line = [sys.executable, "-m", "mercli", command, *options, "--quiet"]
    started = time.monotonic()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{json.dumps(line)} ended with {process.returncode}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / GIGABYTE


def main() -> None:
    """Measure and print what was asked for."""
    parser = arguments(__doc__)
    parser.add_argument("parts", nargs="*", choices=("loop", "folds", "memory"), metavar="part")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folds-repeats", type=int, default=3)
    parser.add_argument("--segments", type=int, default=25_000)
    options = parser.parse_args()
    parts: dict[str, Callable[[], tuple[list[Figure], dict[str, Any]]]] = {
        "loop": lambda: loops(options.repeats),
        "folds": lambda: folds(options.folds_repeats),
        "memory": lambda: memory(options.segments),
    }
    made = [parts[name]() for name in options.parts or parts]
    facts = {key: value for _, told in made for key, value in told.items()}
    finish("train", "Training of heads", [figure for some, _ in made for figure in some], facts, options.write)


if __name__ == "__main__":
    main()
