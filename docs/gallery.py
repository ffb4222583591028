"""Draw the gallery: made corpora, two heads that leave each corpus out in turn, and what ``mer report`` shows of them.

Run: .venv/bin/python docs/gallery.py [FOLDER]
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

HERE = Path(__file__).parent
PLACE = "/tmp/mer/gallery"  # noqa: S108 - where the page's commands put things
CORPORA = "mosei meld iemocap"
CLIPS, SEEDS = 105, 5
WIDE = 120
ABOUT = (
    "What `mer report` draws, each picture by the command below it; `mer report page` puts all that applies to a run "
    "on one page. The corpora are made (small clips with a tone, a tilted face and a few words), so the figures tell "
    "nothing of emotions, only what such a picture looks like. Pictures come as PNG and SVG, with their numbers as CSV "
    "and JSON. Drawn by `docs/gallery.py`."
)
WAY = (
    *(
        f"prepare --corpus made --set like={name} --set clips={{clips}} --set strength=0.7 --root {{to}}/{name} "
        "--data {to}/data"
        for name in CORPORA.split()
    ),
    f"extract --corpora {CORPORA} --preset weightless --data {{to}}/data --offline",
    f"loco --corpora {CORPORA} --preset weightless --head late --seeds {{seeds}} --score all --matrix "
    "--data {to}/data --runs {to}/runs",
    f"loco --corpora {CORPORA} --preset weightless --head concat --seeds {{seeds}} --score all "
    "--data {to}/data --runs {to}/runs",
)
"""What makes the runs; each is a command line after ``mer``."""


@dataclass(frozen=True)
class Shown:
    """A picture: its title, the command, which of the files that this writes, and what is to be seen."""

    title: str
    line: str
    file: str
    caption: str

    @property
    def name(self) -> str:
        """The picture's file in the gallery: that of its report, a clip's or fold's name left out."""
        return f"{self.file.partition('-')[0] if '*' in self.file else self.file}.png"


RUN = "--runs {to}/runs"
PICTURES = (
    Shown(
        "Away from home",
        f"report loco loco-late {RUN}",
        "loco",
        "What the head scores on each corpus when nothing of it was trained on. The large dot is the mean of the five "
        "seeds, the line its 95 % interval over speakers (MOSEI: videos), small dots are seeds, the bar is chance. "
        "Read the width of the line before the place of the dot.",
    ),
    Shown(
        "Who learns from whom",
        f"report loco loco-late {RUN}",
        "loco-matrix-late",
        "A head per corpus, tested on every corpus: the diagonal is home. A row that is dark off the diagonal is a "
        "corpus that teaches others little, a dark column one that is hard to reach from outside.",
    ),
    Shown(
        "What is taken for what",
        f"report confusion loco-late --by all {RUN}",
        "confusion-all",
        "Rows are the labels, columns the answers; shares are those of the row, and every answer of every seed is "
        "counted. `--by` takes `corpus`, `fold` and `seed`, too: a matrix each.",
    ),
    Shown(
        "Class by class",
        f"report classes loco-late {RUN}",
        "classes-meld",
        "Precision, recall and F1 of each class in one corpus, with intervals that draw whole speakers. Classes whose "
        "intervals span half of the picture cannot be ranked, whatever their dots say.",
    ),
    Shown(
        "Can the probabilities be trusted",
        f"report calibration loco-late {RUN}",
        "calibration-meld",
        "Left: how often answers are right that claim a probability, over how many there are; below the dashed line "
        "the head is too sure of itself. Right: the share of errors when only the surest answers are kept, from few "
        "(left) to all.",
    ),
    Shown(
        "What each modality gives",
        f"report modalities loco-late {RUN}",
        "modalities-iemocap",
        "Left: the UAR of every subset of modalities. Right: each one's exact Shapley share per class, which can be "
        "negative. The made IEMOCAP shows two people in a picture, the corpora that were trained on one: what was "
        "learnt of faces there does not hold here, and does harm.",
    ),
    Shown(
        "Before and after fusion",
        f"report projection loco-concat {RUN}",
        "projection-without-meld",
        "The features of each modality, then the head's last vectors, on a plane, in the colours of the emotions. The "
        "silhouette says in one number how far the classes are apart.",
    ),
    Shown(
        "What features tell of the corpus",
        f"report projection loco-concat --colour corpus {RUN}",
        "projection-without-iemocap",
        "The same, coloured by corpus. Corpora that lie apart in a panel are told from each other by that modality: a "
        "head can learn the corpus in place of the emotion.",
    ),
    Shown(
        "Two runs compared",
        f"report compare loco-late loco-concat {RUN}",
        "compare",
        "What the recall of each class gains and loses between two runs, on the same segments and seeds. Above each "
        "part stands the difference in UAR with its p value (whole speakers swapped, Holm's correction over corpora): "
        "where p is large, a long bar may be chance.",
    ),
    Shown(
        "The most frequent mistakes",
        f"report errors loco-late {RUN}",
        "errors",
        "Pairs of label and answer, by how often. The table beside it lists the surest mistakes with their clips and "
        "words, for looking and listening.",
    ),
    Shown(
        "Whom it works for",
        f"report groups loco-late {RUN}",
        "groups",
        "UAR and accuracy by corpus, sex, language, duration and speaker, for groups of twenty segments and more; "
        "smaller ones are in the table, unranked.",
    ),
    Shown(
        "How training went",
        f"report curves loco-concat {RUN}",
        "curves-without-mosei",
        "Loss and dev figures of each epoch, a line per seed; circles are the epochs that were kept. Dev loss that "
        "rises while the training loss falls is overfitting.",
    ),
    Shown(
        "What the corpora hold",
        f"report distribution loco-late {RUN}",
        "distribution",
        "The labels of each corpus and split after its policy. MOSEI has no neutral, as in the release; excited is "
        "happy in IEMOCAP, which makes that class its largest.",
    ),
    Shown(
        "One clip over time",
        "report timeline {to}/mosei/Raw/Videos/Full/Combined/-6rXp3zJ3kc.mp4 --windows 1.6/0.4 "
        "--model {to}/runs/loco-concat/bundle/without-mosei",
        "timeline-*",
        "A video with four utterances of different emotions, answered in windows by the head that never saw its "
        "corpus: the faces it looked at, the probabilities, then the answer of all modalities and of each alone. "
        "Words are absent, with the reason.",
    ),
)


def text() -> str:
    """Return the page."""
    parts = ["# Gallery", "", fill(ABOUT, WIDE), "", "The runs, in about a minute:", ""]
    parts += ["```sh", *map(_command, WAY), "```", ""]
    for shown in PICTURES:
        parts += [f"## {shown.title}", "", f"![{shown.title}](gallery/{shown.name})", "", fill(shown.caption, WIDE), ""]
        parts += ["```sh", _command(shown.line), "```", ""]
    return "\n".join(parts)


def _command(line: str) -> str:
    return "mer " + line.format(to=PLACE, clips=CLIPS, seeds=SEEDS)


def draw(folder: Path, clips: int = CLIPS, seeds: int = SEEDS) -> Iterator[Path]:
    """Make the corpora and runs in a place that does not stay, and yield each picture as it is written."""
    with tempfile.TemporaryDirectory() as place:
        for line in WAY:
            _type(line.format(to=place, clips=clips, seeds=seeds))
            if line.startswith("loco"):
                _without_its_time(Path(place) / "runs")
        folder.mkdir(parents=True, exist_ok=True)
        for number, shown in enumerate(PICTURES):
            drawn = Path(place) / f"drawn-{number}"
            _type(f"{shown.line.format(to=place)} --format png -o {drawn}")
            (picture,) = drawn.glob(f"{shown.file}.png")
            yield Path(shutil.copyfile(picture, folder / shown.name))


def _type(line: str) -> None:
    from mercli.cli.app import app

    if app([*shlex.split(line), "-q"], standalone_mode=False):
        raise SystemExit(f"mer {line}: failed")


def _without_its_time(runs: Path) -> None:
    """Take the time out of a new run's name, which is the title of its pictures; it is found as before."""
    from mercli.rundir import STAMP

    for run in runs.glob("[0-9]*"):
        run.rename(runs / run.name[STAMP + 1 :])


def main(given: Sequence[str]) -> None:
    """Draw all pictures."""
    for picture in draw(Path(given[0]) if given else HERE / "gallery"):
        sys.stderr.write(f"{picture}: {picture.stat().st_size} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
