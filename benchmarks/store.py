"""The feature store against one pickle per utterance, and what is left of it when its writers are killed.

``read``: CPU time of reading every utterance into one array a modality (goal: 7 times as fast), and single utterances
in random order into a batch (20 times), against the seeds' files: a pickle of torch tensors per utterance; one of NumPy
arrays for comparison. ``kills``: 100 times two writers of one store are killed at a random moment while a reader
follows; every row that can be read must be as it was written (goal: none torn). ``memory``: what a process that reads
all of a store holds for itself; the mapped files lie in the system's cache, which gives them up when memory is short.

Prints one JSON object: ``python benchmarks/store.py [--write] [--rounds 7]`` (2 minutes on two cores)
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from decode import measure
from writing import Figure, arguments, finish, over

from mercli.features.store import Store
from mercli.types import Feature

COUNT, PICKED, FLUSH = 10_000, 2_000, 256
DIMS = {"audio": 512, "face": 1024, "text": 768}
"""The widths of SMIL's features, a row per utterance."""
KILLS, ROWS, WRITERS = 100, 16, 2
READER = """
import sys
from pathlib import Path
from mercli.features.store import Store

def own():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

import numpy
before = own()
stores = [Store(path) for path in sorted(Path(sys.argv[1]).iterdir())]
opened = own()
total = sum(float(store.get(name).values.sum()) for store in stores for name in store.ids())
print(before, opened, own(), total)
"""


def names(count: int) -> list[str]:
    """Return ids as corpora have them."""
    return [f"made/dia{n // 10}_utt{n % 10}/0" for n in range(count)]


def feature(row: np.ndarray) -> Feature:
    """Return a feature of one row that is valid from the first second to the fourth."""
    return Feature(row[None], np.array([[0, 4]], np.float32), np.ones(1, np.bool_))


def written(folder: Path) -> dict[str, np.ndarray]:
    """Write the same rows as stores, as pickles of tensors and as pickles of arrays; return them by modality."""
    draw = np.random.default_rng(0)
    rows = {m: draw.standard_normal((COUNT, dim), dtype=np.float32) for m, dim in DIMS.items()}
    ids = names(COUNT)
    for modality, values in rows.items():
        store = Store(folder / "store" / modality)
        for first in range(0, COUNT, FLUSH):
            some = range(first, min(COUNT, first + FLUSH))
            store.append({ids[n]: feature(values[n]) for n in some}, {})
    for kind, form in (("tensors", torch.from_numpy), ("arrays", np.asarray)):
        (folder / kind).mkdir()
        for n in range(COUNT):
            item = {f"{m}_features": form(values[n][None].copy()) for m, values in rows.items()}
            (folder / kind / f"{n}.pickle").write_bytes(pickle.dumps({**item, "true_label": 0}))
    return rows


def store_all(folder: Path) -> None:
    """Open the stores and read every utterance into one array a modality."""
    for modality in DIMS:
        store = Store(folder / "store" / modality)
        np.concatenate([store.get(name).values for name in store.ids()])  # type: ignore[union-attr]


def unpickled(folder: Path, numbers: Iterator[int] | range) -> Iterator[dict[str, torch.Tensor]]:
    """Yield utterances of the files of a folder."""
    for n in numbers:
        with (folder / f"{n}.pickle").open("rb") as handle:
            yield pickle.load(handle)


def pickles_all(folder: Path) -> None:
    """Read every utterance into one array a modality."""
    items = list(unpickled(folder, range(COUNT)))
    for modality in DIMS:
        np.concatenate([np.asarray(item[f"{modality}_features"]) for item in items])


def readers(folder: Path, truth: dict[str, np.ndarray]) -> dict[str, Callable[[], None]]:
    """Return the ways to read; those of single utterances fill one batch, which is compared with what was written."""
    order = random.Random(0).sample(range(COUNT), PICKED)
    batch = {m: np.empty((PICKED, dim), np.float32) for m, dim in DIMS.items()}
    ids, reads = names(COUNT), [(batch[m], Store(folder / "store" / m).get) for m in DIMS]
    parts = [(batch[m], f"{m}_features") for m in DIMS]

    def store_one() -> None:
        for place, n in enumerate(order):
            for rows, get in reads:
                rows[place] = get(ids[n]).values[0]  # type: ignore[union-attr]

    def pickle_one(kind: str) -> None:
        for place, item in enumerate(unpickled(folder / kind, iter(order))):
            for rows, name in parts:
                rows[place] = item[name][0]

    for way in (store_one, lambda: pickle_one("tensors")):
        way()
        if any((batch[m] != truth[m][order]).any() for m in DIMS):
            raise RuntimeError("what was read is not what was written")
    return {
        "all, store": lambda: store_all(folder),
        "all, tensors": lambda: pickles_all(folder / "tensors"),
        "all, arrays": lambda: pickles_all(folder / "arrays"),
        "one, store": store_one,
        "one, tensors": lambda: pickle_one("tensors"),
        "one, arrays": lambda: pickle_one("arrays"),
    }


def reading(folder: Path, rounds: int) -> tuple[list[Figure], dict[str, object]]:
    """Return how much faster the store is read."""
    spent = measure(readers(folder, written(folder)), rounds)
    figures = [
        over(f"{what} of {COUNT}", peer, spent[f"{key}, {kind}"], spent[f"{key}, store"], goal)
        for key, what, goals in (("all", "all utterances", ">= 7x"), ("one", "a random utterance", ">= 20x"))
        for kind, peer, goal in (
            ("tensors", "a pickle of torch tensors each", goals),
            ("arrays", "a pickle of NumPy arrays each", ""),
        )
    ]
    scale = {"all": COUNT, "one": PICKED}
    each = {name: round(1e6 * sorted(t)[len(t) // 2] / scale[name[:3]], 1) for name, t in spent.items()}
    return figures, {"CPU microseconds an utterance": each, "rounds": rounds}


def row_of(name: str) -> np.ndarray:
    """Return the 4608 numbers that belong to an id."""
    writer, number = map(int, name.split("/"))
    return np.random.default_rng((writer, number)).standard_normal(4608, dtype=np.float32)


def write_on(folder: Path, writer: int) -> None:
    """Append groups of rows until killed."""
    store = Store(folder)
    for first in range(0, 10**9, ROWS):
        ids = [f"{writer}/{n}" for n in range(first, first + ROWS)]
        store.append({name: feature(row_of(name)) for name in ids}, {})


def torn(store: Store, seen: set[str]) -> int:
    """Return how many rows that were not seen before are other than what was written, or cut short."""
    fresh = [name for name in store.ids() if name not in seen]
    seen.update(fresh)
    return sum(not np.array_equal(store.get(name).values[0], row_of(name)) for name in fresh)  # type: ignore[union-attr]


def kills(folder: Path) -> tuple[Figure, dict[str, object]]:
    """Kill both writers 100 times at random moments; return how many rows were torn."""
    draw, reader, seen, bad = random.Random(0), Store(folder), set[str](), 0
    for turn in range(KILLS):
        children = []
        for writer in range(WRITERS):
            child = os.fork()
            if not child:
                write_on(folder, WRITERS * turn + writer)
            children.append(child)
        time.sleep(draw.uniform(0.02, 0.25))
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        reader.refresh()
        bad += torn(reader, seen)
    whole = Store(folder)
    lost = len(set(reader.ids()) ^ set(whole.ids()))
    left = len(list(folder.glob(".*.part")))
    facts = {"rows read after kills": len(seen), "files cut off under their temporary names": left}
    what = f"torn rows after {KILLS} kills of {WRITERS} writers"
    return Figure(what, "", str(bad + lost), "", "0"), facts


def memory(folder: Path) -> tuple[Figure, dict[str, object]]:
    """Return what a process holds for itself that opens the stores and reads every row of them."""
    told = subprocess.run([sys.executable, "-c", READER, str(folder / "store")], capture_output=True, check=True)
    before, opened, read, _ = map(float, told.stdout.split())
    size = sum(path.stat().st_size for path in (folder / "store").rglob("*.safetensors")) / 2**20
    facts = {"MB in the files": round(size), "MB held once opened": round(opened - before, 1)}
    return Figure("memory of a reader of all", f"the {size:.0f} MB read", f"{read - before:.0f} MB"), facts


def main() -> None:
    """Measure and tell."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures, facts = reading(folder, asked.rounds)
        held, more = memory(folder)
        killed, most = kills(folder / "killed")
    finish("store", "The feature store", [*figures, killed, held], {**facts, **more, **most}, asked.write)


if __name__ == "__main__":
    main()
