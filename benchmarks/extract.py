"""The whole ``mer extract --preset smil`` with networks of real size and random weights.

By default: CPU time of 720p clips with a face, a voice and a text, against the published code's stages one by one
(``smil_serial.py``; goal: 2.5 times as fast) and against the sum of what the stages cost by themselves (at most 1.35
times): ``ffmpeg -f null``, the detector on ready frames, the networks on ready inputs in the same precision. Start-up
is apart: it is what a second run takes, which has nothing to encode. ``--peer-python`` names an environment with
ultralytics (see ``faces.py``), whose YOLOv8n then counts as the published code's detector; without it that code gets
its faces for nothing.

``--workers``: wall time with two worker processes against one of one thread, with start-up, and without: that of the
corpus less that of a third of it (for a quiet machine, 5 minutes a round).
``--memory``: peak of ``--preset weightless`` on a clip of 30 minutes against 3, as one segment and in segments of 5 s,
and on 300 clips against 30 (goal: at most 1.15 times; 12 minutes).

Prints one JSON object: ``python benchmarks/extract.py --peer-python ENV/bin/python [--write]`` (8 minutes)
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import faces
import imageio_ffmpeg
import networks
import predict
import torch
from decode import cpu
from smil_serial import Serial
from writing import Figure, arguments, finish, grown, over

from mercli import config
from mercli.features.seeds import smil_audio_net, smil_face_net
from mercli.features.windows import window_spans
from mercli.jobs.extract import extract
from mercli.jobs.features import encoding
from mercli.jobs.prepare import prepare
from mercli.streams import media
from mercli.streams.detector import detect

CLIPS, SECONDS = 4, 6
SHARED, SHORT = 96, 2


def corpus(folder: Path, clip: Path, texts: Sequence[str], spans: Sequence[tuple[float, float]] = ()) -> Path:
    """Write copies of a clip, or segments of one, with texts, as a csv, and prepare them; return the data folder."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    rows = ["path,label,text" + (",start,end" if spans else "")]
    for number, text in enumerate(texts):
        name = f"{0 if spans else number}.mp4"
        if not (raw / name).is_file():
            shutil.copy(clip, raw / name)
        rows.append(f"{name},happy,{text}" + ("".join(f",{time}" for time in spans[number]) if spans else ""))
    (raw / "clips.csv").write_text("\n".join(rows) + "\n")
    flags = {"corpus.name": "csv", "root": str(raw / "clips.csv"), "data": str(folder / "data"), "name": "clips"}
    prepare(config.resolve(config.PrepareConfig, flags))
    return folder / "data"


def resolved(data: Path, options: dict[str, dict[str, str]], precision: str) -> config.ExtractConfig:
    """Return the configuration of ``mer extract --preset smil`` with these weights."""
    flags: dict[str, Any] = {"corpora": ["clips"], "data": str(data), "device": "cpu", "recipe.precision": precision}
    for modality, given in options.items():
        flags |= {f"recipe.encoders.{modality}.options.{name}": value for name, value in given.items()}
    return config.resolve(config.ExtractConfig, flags, preset="smil")


def spent(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this process and its children."""
    before = cpu()
    work()
    return cpu() - before


def ours(data: Path, options: dict[str, dict[str, str]], precision: str) -> tuple[float, float]:
    """Return the CPU seconds of a first run without start-up, and those of a second, which has nothing to encode."""
    shutil.rmtree(data / "clips" / "features", ignore_errors=True)
    settings = resolved(data, options, precision)
    first = spent(lambda: _encodes(settings, CLIPS))
    again = spent(lambda: _encodes(settings, 0))
    return first - again, again


def _encodes(settings: config.ExtractConfig, expected: int) -> None:
    (coverage,) = extract(settings)
    if (coverage.encoded, coverage.present) != (expected, dict.fromkeys(("audio", "face", "text"), CLIPS)):
        raise RuntimeError(f"{expected} clips were to be encoded: {coverage}")


class Floors:
    """What each stage costs by itself, at its best, for all clips: inputs are ready, results are let go."""

    def __init__(self, clip: Path, texts: Sequence[str], options: dict[str, dict[str, str]]) -> None:
        encoders = encoding.build(resolved(clip.parent, options, "auto").recipe, options)
        self.half = encoders.precisions["audio"] == "bf16"
        self.audio, self.face, self.text = (encoders.encoders[m] for m in ("audio", "face", "text"))  # type: ignore[misc]
        self.null = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-f", "null", "-"]
        frames = list(media.stream(clip, audio_rate=None, fps=5))
        self.frames = CLIPS * [frame.rgb for frame in frames]
        spans = CLIPS * window_spans(SECONDS * 16_000, 64_000, 32_000)
        self.waves = torch.from_numpy(smil_audio_net.segments(networks.sound(SECONDS), spans, 64_000))
        self.pictures = smil_face_net.prepared(torch.from_numpy(networks.faces(len(self.frames))))
        self.ids = torch.tensor(self.text.tokenizer(list(texts))["input_ids"])

    def stages(self) -> dict[str, Callable[[], object]]:
        """Return the work of each stage."""
        return {
            "decode": lambda: [subprocess.run(self.null, check=True) for _ in range(CLIPS)],
            "detect": lambda: [detect(rgb) for rgb in self.frames],
            "face": lambda: self._forward(self.face.network, self.pictures, self.face.batch),
            "audio": lambda: self._forward(self.audio.network, self.waves, self.audio.batch),
            "text": lambda: self._forward(lambda ids: self.text.network(ids, torch.ones_like(ids)), self.ids, CLIPS),
        }

    def _forward(self, network: Callable[[Any], object], given: torch.Tensor, batch: int) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            for part in given.split(batch):
                network(part)


def whole(folder: Path, rounds: int, look: Callable[[int], float] | None) -> tuple[list[Figure], dict[str, Any]]:
    """Return extraction against the serial stages and against the floors, all taking turns."""
    options, texts = networks.write(folder), networks.sentences(CLIPS)
    predict.make(folder / "clip.mp4", SECONDS)
    data = corpus(folder / "corpus", folder / "clip.mp4", texts)
    serial, floors = Serial(options), Floors(folder / "clip.mp4", texts, options)
    half = "bf16" if floors.half else "fp32"
    precisions = {"auto": half} if half == "fp32" else {"auto": half, "fp32": "fp32"}
    taken: dict[str, list[float]] = {}
    for turn in range(rounds + 1):
        now = {}
        for precision in precisions:
            now[precision], now[f"second {precision}"] = ours(data, options, precision)
        now["serial"] = spent(lambda: _serially(serial, folder, texts))
        now["YOLOv8n"] = look(len(floors.frames)) * len(floors.frames) / 1000 if look else 0.0
        stages = {name: spent(work) for name, work in floors.stages().items()}
        for name, value in (now | stages | {"floor": sum(stages.values())} if turn else {}).items():
            taken.setdefault(name, []).append(value)
    theirs = [a + b for a, b in zip(taken["serial"], taken["YOLOv8n"], strict=True)]
    what = f"{CLIPS} clips of {SECONDS} s"
    peer = "the published stages" + (", YOLOv8n with them" if look else " without their detector")
    goals = {"auto": ">= 2.5x"} if look else {}
    figures = [
        *(over(f"{what}, {name}", peer, theirs, taken[key], goals.get(key, "")) for key, name in precisions.items()),
        over(f"{what}, {half}", "the sum of the stages' floors", taken["auto"], taken["floor"], "<= 1.35x"),
        Figure("clips encoded by a second run", "", "0", "", "0"),
    ]
    middle = {name: round(statistics.median(values), 2) for name, values in taken.items()}
    return figures, {"CPU seconds": {precisions.get(name, name): value for name, value in middle.items()}}


def _serially(serial: Serial, folder: Path, texts: Sequence[str]) -> None:
    for number, text in enumerate(texts):
        serial.run(folder / "clip.mp4", text, folder / f"{number}.pickle")


def command(data: Path, preset: str, *more: str) -> list[str]:
    """Return the command line of an extraction."""
    return [sys.executable, "-m", "mercli", "extract", "--corpora", "clips", "--data", str(data), "--preset", preset,
            "--device", "cpu", "-q", *more]  # fmt: skip


def workers(folder: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Return the wall time of one worker against two."""
    options = networks.write(folder)
    predict.make(folder / "clip.mp4", SHORT)
    data = corpus(folder / "corpus", folder / "clip.mp4", networks.sentences(SHARED))
    sets = [f"recipe.encoders.{m}.options.{name}={value}" for m, own in options.items() for name, value in own.items()]
    more = [word for one in sets for word in ("--set", one)]
    parts = {"all": (), "a third": ("--shard", "0/3")}
    wall: dict[tuple[str, str], list[float]] = {(jobs, part): [] for part in parts for jobs in ("2", "1")}
    for _ in range(rounds):
        for jobs, part in wall:
            shutil.rmtree(data / "clips" / "features", ignore_errors=True)
            begun = time.monotonic()
            line = command(data, "smil", "--precision", "auto", "--jobs", jobs, *parts[part], *more)
            subprocess.run(line, check=True, env=os.environ | faces.ONE_THREAD)
            wall[jobs, part].append(time.monotonic() - begun)
    apart = {jobs: [a - b for a, b in zip(wall[jobs, "all"], wall[jobs, "a third"], strict=True)] for jobs in "12"}
    what = f"two workers, {SHARED} clips of {SHORT} s, wall time"
    figures = [
        over(f"{what} with start-up", "one worker", wall["1", "all"], wall["2", "all"], ">= 1.7x"),
        over(f"{what} without start-up", "one worker", apart["1"], apart["2"], ">= 1.7x"),
    ]
    middle = {f"{jobs}, {part}": round(statistics.median(times), 1) for (jobs, part), times in wall.items()}
    return figures, {"wall seconds (workers, clips)": middle}


def memory(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Return peaks for longer clips and more of them."""
    minute, big = folder / "minute.mp4", folder / "big.mp4"
    predict.make(big, predict.SECONDS)
    scaled = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(big), "-vf", "scale=640:-2", "-c:a", "copy"]
    subprocess.run([*scaled, "-preset", "veryfast", str(minute)], check=True)
    minute.with_suffix(".txt").write_text("never read")
    figures = []
    for what, step in (("one segment", None), ("segments of 5 s", 5)):
        peaks = []
        for minutes in (3, 30):
            clip, place = folder / f"{minutes}.mp4", folder / f"{minutes} {step}"
            predict.repeated(clip, minute, minutes)
            spans = [(start, start + step) for start in range(0, 60 * minutes, step)] if step else ()
            peaks.append(_peak(corpus(place, clip, networks.sentences(len(spans) or 1), spans)))
        figures.append(grown(f"a clip of 30 minutes, {what}", "3 minutes", peaks))
    predict.make(folder / "short.mp4", SHORT)
    counts = (30, 300)
    peaks = [_peak(corpus(folder / f"{n}", folder / "short.mp4", networks.sentences(n))) for n in counts]
    return [*figures, grown(f"{counts[1]} clips of {SHORT} s", f"{counts[0]} of them", peaks)], {}


def _peak(data: Path) -> float:
    return predict.spent(command(data, "weightless"))[1]


def main() -> None:
    """Measure and tell."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with ultralytics")
    parser.add_argument("--workers", action="store_true", help="two worker processes against one")
    parser.add_argument("--memory", action="store_true", help="peak memory")
    asked = parser.parse_args()
    rounds = {"rounds": asked.rounds}
    with tempfile.TemporaryDirectory() as name:
        if asked.memory:
            figures, facts = memory(Path(name))
            finish("extract-memory", "Memory of extraction", figures, facts, asked.write)
        elif asked.workers:
            figures, facts = workers(Path(name), asked.rounds)
            finish("extract-workers", "Extraction by several workers", figures, {**facts, **rounds}, asked.write)
        else:
            os.environ.update(faces.ONE_THREAD)
            torch.set_num_threads(1)
            with faces.peer(asked.peer_python) if asked.peer_python else nullcontext() as look:
                figures, facts = whole(Path(name), asked.rounds, look)
            finish("extract", "Extraction", figures, {**facts, **rounds}, asked.write)


if __name__ == "__main__":
    main()
