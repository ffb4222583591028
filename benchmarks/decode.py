"""Decode a clip to 640 px frames at 5 fps and 16 kHz sound, against ``ffmpeg -f null`` on the same clip.

Goal: at most 1.15 times its CPU time. Prints one JSON object: ``python benchmarks/decode.py [--write] [--repeats 7]``
(2 minutes).
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg
from writing import arguments, finish, over

from mercli.streams.media import AudioChunk, Frame, stream

GOAL = "<= 1.15x"


def cpu() -> float:
    """Return the CPU seconds (user and system) of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def make(ffmpeg: str, path: Path, seconds: int) -> None:
    """Write a moving, noisy 1280 x 720 clip, 25 fps H.264 at 3 Mb/s with stereo AAC."""
    picture = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=8:allf=t"
    sound = f"sine=frequency=300:sample_rate=44100:duration={seconds}"
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    codecs = ["-c:v", "libx264", "-preset", "fast", "-b:v", "3M", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]
    subprocess.run([ffmpeg, "-v", "error", "-y", *inputs, *codecs, str(path)], check=True)


def ours(path: Path, threads: int) -> Callable[[], None]:
    """Return a run of our decoder that checks what it got."""

    def run() -> None:
        items = list(map(type, stream(path, threads=threads)))
        if not (items.count(Frame) and items.count(AudioChunk)):
            raise RuntimeError("the clip gave no frames or no sound")

    return run


def measure(cases: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Return CPU seconds per case, the cases taking turns; the first round only warms up."""
    spent: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, run in cases.items():
            before = cpu()
            run()
            if turn:
                spent[name].append(cpu() - before)
    return spent


def main() -> None:
    """Measure and print the ratios."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make(ffmpeg, clip, options.seconds)
        null = [ffmpeg, "-v", "error", "-i", str(clip), "-f", "null", "-"]
        cases: dict[str, Callable[[], None]] = {
            "ffmpeg": lambda: void(null),
            "mer": ours(clip, threads=0),
            "mer, one thread": ours(clip, threads=1),
        }
        spent = measure(cases, options.repeats)
    what, peer = "decode to 640 px frames at 5 fps and 16 kHz sound", "`ffmpeg -f null`"
    figures = [
        over(f"{what}, as many threads as the codec takes", peer, spent["mer"], spent["ffmpeg"], GOAL),
        over(f"{what}, one thread", peer, spent["mer, one thread"], spent["ffmpeg"], GOAL),
    ]
    each = {name: round(1000 * statistics.median(times) / options.seconds, 1) for name, times in spent.items()}
    facts = {"CPU ms a second of a 720p clip": each, "rounds": options.repeats}
    finish("decode", "Decoding", figures, facts, options.write)


def void(command: list[str]) -> None:
    """Run a command to its end."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
