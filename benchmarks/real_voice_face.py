"""RAVDESS: voice and facial action units, five folds by speaker; a table of ``benchmarks/real.py``."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

from mercli import config, registry
from mercli.jobs.extract import extract
from mercli.jobs.prepare import prepare
from mercli.jobs.train import train

HEADS = {
    "late": ("hidden=128", "dropout=0.5"),
    "concat": ("hidden=256", "dropout=0.5", "loss.smoothing=0.1"),
    "gated": ("width=128", "gate=sigmoid", "dropout=0.3", "loss.smoothing=0.1"),
    "transformer": (),
    "foalnet": (),
    "avtca": (),
}
SEEDS = 3
VOICE = "logmel-stats"
TITLE = "Voice and face: RAVDESS, actors 1-20"
TEXT = """Eight emotions (calm is its own), five folds by speaker (`--folds speaker:5`), each fold's dev speakers choose
the epoch, {seeds} seeds; out-of-fold answers together. Voice: `{voice}`. Face: means of 35 action units by OpenFace,
joined by the utterance's id (`files-face`). Intervals draw whole speakers. Voice features (of four) and each head's
options were chosen by UAR on the folds' dev speakers, 32 settings in all, by one seed with both modalities; `foalnet`
and `avtca`, which are made for both, have their own. `text-guided` is made for words, which all say alike here.
"""


def voice_face(source: Path, work: Path) -> dict[str, list[str]]:
    """Train every head on every subset of voice and face, and return the table."""
    data = work / "ravdess"
    if not (data / "ravdess" / "corpus.yaml").is_file():
        flags = {"corpus.name": "ravdess", "root": str(source / "ravdess_audio"), "data": str(data)}
        prepare(config.resolve(config.PrepareConfig, flags, sets=["calm=own"]))
    units = {"table": str(source / "ravdess_au_mfcc" / "features.npz"), "key": "au", "ids": "audio_id", "strip": "^03-"}
    recipe = {"audio": {"name": VOICE}, "face": {"name": "files-face", "options": units}}
    given: dict[str, Any] = {"corpora": ["ravdess"], "data": str(data), "modalities": ["audio", "face"]}
    given["recipe.encoders"] = recipe
    extract(config.resolve(config.ExtractConfig, given))
    lines = [TEXT.format(seeds=SEEDS, voice=VOICE)]
    lines += [
        "| head | modalities | UAR | 95 % interval | seeds sd | accuracy | weighted F1 |",
        "|---|---|--:|---|--:|--:|--:|",
    ]
    for head, sets in HEADS.items():
        for count in (1, 2):
            for chosen in combinations(recipe, count):
                if {*registry.get("heads", head).facts.get("modalities", chosen)} != {*chosen}:
                    continue  # it is made for both
                flags = {**given, "modalities": list(chosen), "head.name": head, "seeds": SEEDS, "folds": "speaker:5"}
                flags["runs"] = str(work / "runs")
                found = train(config.resolve(config.TrainConfig, flags, sets=sets)).scores["ravdess"]
                low, high = found["uar_interval"]
                lines.append(
                    f"| {head} | {' + '.join(chosen)} | {found['uar']:.3f} | {low:.3f}-{high:.3f} | "
                    f"{found['uar_spread']:.3f} | {found['accuracy']:.3f} | {found['weighted_f1']:.3f} |"
                )
    return {TITLE: lines}
