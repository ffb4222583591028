"""RAVDESS: voice and facial action units, five folds by speaker; a table of ``benchmarks/real.py``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from mercli import config
from mercli.jobs.extract import extract
from mercli.jobs.prepare import prepare
from mercli.jobs.train import train

HEADS = {
    "late": ("hidden=128", "dropout=0.5"),
    "concat": ("hidden=256", "dropout=0.5", "loss.smoothing=0.1"),
    "gated": ("width=128", "gate=sigmoid", "dropout=0.3", "loss.smoothing=0.1"),
    "transformer": (),
}
PAIRED = ("foalnet", "avtca")
"""The heads that are made for voice and face together."""
SEEDS = 3
VOICE = "logmel-stats"
TITLE = "Voice and face: RAVDESS, actors 1-20"
TEXT = """Eight emotions (calm is its own), five folds by speaker (`--folds speaker:5`), each fold's dev speakers choose
the epoch, {seeds} seeds; out-of-fold answers together. Voice: `{voice}`. Face: means of 35 action units by OpenFace,
joined by the utterance's id (`files-face`). Intervals draw whole speakers. Voice features (of four) and each head's
options were chosen by UAR on the folds' dev speakers, 32 settings in all, by one seed with both modalities.
"""
PAIRED_TITLE = "Voice and face: heads that are made for both"
PAIRED_TEXT = """As above, with the heads' own options. One row a clip leaves their attention nothing to choose from.
`text-guided` is made for words, which are the same in every emotion here.
"""
COLUMNS = [
    "| head | modalities | UAR | 95 % interval | seeds sd | accuracy | weighted F1 |",
    "|---|---|--:|---|--:|--:|--:|",
]


def voice_face(source: Path, work: Path) -> dict[str, list[str]]:
    """Train the heads on every subset of voice and face, and return the table."""
    given = extracted(source, work)
    lines = [TEXT.format(seeds=SEEDS, voice=VOICE), *COLUMNS]
    for head, sets in HEADS.items():
        for count in (1, 2):
            for chosen in combinations(given["modalities"], count):
                lines.append(row(given, work, head, chosen, sets))
    return {TITLE: lines}


def paired(source: Path, work: Path) -> dict[str, list[str]]:
    """Train the heads that take voice and face together, and return the table."""
    given = extracted(source, work)
    lines = [row(given, work, head, given["modalities"], ()) for head in PAIRED]
    return {PAIRED_TITLE: [PAIRED_TEXT, *COLUMNS, *lines]}


def extracted(source: Path, work: Path) -> dict[str, Any]:
    """Prepare the corpus and extract its features; return what every training is given."""
    data = work / "ravdess"
    if not (data / "ravdess" / "corpus.yaml").is_file():
        flags = {"corpus.name": "ravdess", "root": str(source / "ravdess_audio"), "data": str(data)}
        prepare(config.resolve(config.PrepareConfig, flags, sets=["calm=own"]))
    units = {"table": str(source / "ravdess_au_mfcc" / "features.npz"), "key": "au", "ids": "audio_id", "strip": "^03-"}
    recipe = {"audio": {"name": VOICE}, "face": {"name": "files-face", "options": units}}
    given: dict[str, Any] = {"corpora": ["ravdess"], "data": str(data), "modalities": ["audio", "face"]}
    given["recipe.encoders"] = recipe
    extract(config.resolve(config.ExtractConfig, given))
    return given


def row(given: dict[str, Any], work: Path, head: str, chosen: Sequence[str], sets: Sequence[str]) -> str:
    """Train one head on some modalities over all folds and seeds; return its line of the table."""
    flags = {**given, "modalities": list(chosen), "head.name": head, "seeds": SEEDS, "folds": "speaker:5"}
    flags["runs"] = str(work / "runs")
    found = train(config.resolve(config.TrainConfig, flags, sets=sets)).scores["ravdess"]
    low, high = found["uar_interval"]
    return (
        f"| {head} | {' + '.join(chosen)} | {found['uar']:.3f} | {low:.3f}-{high:.3f} | "
        f"{found['uar_spread']:.3f} | {found['accuracy']:.3f} | {found['weighted_f1']:.3f} |"
    )
