"""LOCO over real corpora with untrained features: text and voice; writes docs/results.md.

Usage: real.py DATA [WORK]. DATA holds the corpora as their readers take them (see SETS); WORK keeps manifests, features
and runs, so a second call only scores again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mercli import config
from mercli.corpora import manifest
from mercli.jobs.audit import audit
from mercli.jobs.extract import extract
from mercli.jobs.loco import Loco, loco
from mercli.jobs.prepare import prepare

SETS = {
    "text": {
        "meld": "meld/official",
        "emorynlp": "emorynlp/official",
        "goemotions": "goemotions",
        "dailydialog": "dailydialog_reccon",
    },
    "audio": {"ravdess": "ravdess_audio", "emodb": "emodb_audio"},
}
HEADS = ("late", "concat")
SEEDS = 3
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
HEAD = """# Results

Written by `benchmarks/real.py`: each corpus left out once, features that nothing was trained for (`hashed-ngrams`,
`logmel-stats`), {seeds} seeds. UAR with a uniform prior, its 95 % bootstrap interval drawn by speaker, else dialogue,
else clip. "Own prior" is weighted F1 under the class frequencies that are estimated from the held-out corpus without
its labels. Heads are compared by a paired permutation test that swaps whole clusters, p-values corrected over the table
(Holm); "could be seen" is the difference that these data would show with probability 0.8.
"""


def main() -> None:
    """Run what is not there yet, and write the page."""
    source, work = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "build/real")
    parts = [HEAD.format(seeds=SEEDS)]
    for modality, corpora in SETS.items():
        data = work / modality
        for name, place in corpora.items():
            if not (data / name / "corpus.yaml").is_file():
                flags = {"corpus.name": name, "root": str(source / place), "data": str(data), "probe": False}
                prepare(config.resolve(config.PrepareConfig, flags))
        given = {"corpora": list(corpora), "modalities": [modality], "data": str(data)}
        extract(config.resolve(config.ExtractConfig, given, preset="weightless"))
        given |= {"heads": list(HEADS), "seeds": SEEDS, "runs": str(work / "runs")}
        result = loco(config.resolve(config.LocoConfig, given, preset="weightless"))
        parts += [f"\n## {modality}\n", *_sizes(data, corpora), *_table(result), *_compared(result), *_shared(data)]
        probe = result.identifiability[modality]
        told = f"UAR {probe['uar']:.2f} (chance {probe['chance']:.2f})"
        parts.append(f"\nA linear model tells the corpus of a segment with {told}.")
        parts += [f"Mean UAR of `{head}`: {mean:.3f}." for head, mean in result.means.items() if mean is not None]
    PAGE.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _sizes(data: Path, corpora: dict[str, str]) -> list[str]:
    counts = {name: sum(1 for _ in manifest.load(data, name).segments()) for name in corpora}
    return ["Segments: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + ".\n"]


def _table(result: Loco) -> list[str]:
    lines = ["| head | held out | part | n | classes | UAR | 95 % interval | seeds sd | weighted F1 | own prior |"]
    lines.append("|---|---|---|--:|--:|--:|---|--:|--:|--:|")
    for row in result.rows:
        held: dict[str, Any] = row["held_out"]
        low, high = held["uar_interval"]
        classes = sum(count > 0 for count in held["support"].values())
        lines.append(
            f"| {row['head']} | {row['corpus']} | {row['split']} | {held['n']} | {classes} | {held['uar']:.3f} | "
            f"{low:.3f}-{high:.3f} | {held['uar_spread']:.3f} | {held['weighted_f1']:.3f} | "
            f"{held['corrected_weighted_f1']:.3f} |"
        )
    return lines


def _compared(result: Loco) -> list[str]:
    lines = ["", "| compared | held out | difference of UAR | p (Holm) | could be seen |", "|---|---|--:|--:|--:|"]
    for row in result.comparisons:
        lines.append(
            f"| {row['one']} with {row['other']} | {row['corpus']} | {row['difference']:+.3f} | {row['p_holm']:.3f} | "
            f"{row['smallest_difference']:.3f} |"
        )
    return lines


def _shared(data: Path) -> list[str]:
    found = [f for f in audit(data, (), hashing=False).findings if f.what == "text" and "/" not in f.left + f.right]
    if not found:
        return []
    told = "; ".join(f"{f.left} and {f.right} {f.count}" for f in found)
    return [f"\nUtterances of five words and more that two corpora share word for word, left out of training: {told}."]


if __name__ == "__main__":
    main()
