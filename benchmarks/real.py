"""Tables over real corpora with features that nothing was trained for; each writes its sections of docs/results.md.

Usage: real.py DATA [WORK] [--loco] [--dialogue] [--voice-face] [--paired]; without a flag, all of them. DATA holds the
corpora as their readers take them (see SETS, MELD, RAVDESS); WORK keeps manifests, features and runs.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from real_dialogue import dialogue
from real_voice_face import paired, voice_face

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

Written by `benchmarks/real.py`, with features that nothing was trained for, unless a table says otherwise. UAR is under
a uniform prior; intervals are 95 % bootstrap intervals that draw whole clusters: speakers, else dialogues, else clips.
"""
LOCO = """Each corpus left out once, {seeds} seeds, features `{features}`. "Est. prior" is weighted F1 under the class
frequencies that are estimated from the held-out corpus without its labels. Heads are compared by a paired permutation
test that swaps whole clusters, p-values corrected over the table (Holm); "could be seen" is the difference that these
data would show with probability 0.8.
"""
FEATURES = {"text": "hashed-ngrams", "audio": "logmel-stats"}


def main() -> None:
    """Run the tables that are asked for, and write their sections of the page; the others stay as they are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path, nargs="?", default=Path("build/real"))
    tables = {"loco": left_out, "dialogue": dialogue, "voice_face": voice_face, "paired": paired}
    for name in tables:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true")
    given = vars(parser.parse_args())
    for name in [name for name in tables if given[name]] or tables:
        for title, lines in tables[name](given["data"], given["work"]).items():
            put(title, lines)


def put(title: str, lines: list[str]) -> None:
    """Write one section of the page in the place of the one of its title, else at the end."""
    old = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else HEAD
    _, *parts = re.split(r"(?m)^## ", old)
    sections = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}
    sections[title] = "\n".join(lines).strip()
    page = HEAD + "".join(f"\n## {name}\n\n{text}\n" for name, text in sections.items())
    PAGE.write_text(page, encoding="utf-8")


def left_out(source: Path, work: Path) -> dict[str, list[str]]:
    """Leave each corpus out once: a section for text, one for voice."""
    sections = {}
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
        lines = [LOCO.format(seeds=SEEDS, features=FEATURES[modality])]
        lines += [*_sizes(data, corpora), *_table(result), *_compared(result), *_shared(data)]
        probe = result.identifiability[modality]
        told = f"UAR {probe['uar']:.2f} (chance {probe['chance']:.2f})"
        lines.append(f"\nA linear model tells the corpus of a segment with {told}.")
        lines += [f"Mean UAR of `{head}`: {mean:.3f}." for head, mean in result.means.items() if mean is not None]
        sections[f"Leave one corpus out: {modality}"] = lines
    return sections


def _sizes(data: Path, corpora: dict[str, str]) -> list[str]:
    counts = {name: sum(1 for _ in manifest.load(data, name).segments()) for name in corpora}
    return ["Segments: " + ", ".join(f"{name} {count}" for name, count in counts.items()) + ".\n"]


def _table(result: Loco) -> list[str]:
    lines = ["| head | held out | part | n | classes | UAR | 95 % interval | seeds sd | weighted F1 | est. prior |"]
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
