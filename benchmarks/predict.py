"""CPU and memory of ``mer predict`` on a 720p clip with a talking face and a sidecar transcript.

CPU per clip-second (start-up apart: the same command on a clip of one second is taken off), as a multiple of
``ffmpeg -f null`` on the same clip; peak memory for 3 and 30 minutes, in 4 s windows every 2 s and as one prediction.
Prints one JSON object: ``python benchmarks/predict.py [--write] [--repeats 5]`` (3 minutes), or ``--memory`` (12).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import imageio_ffmpeg
from writing import Figure, arguments, finish, grown, over

SECONDS = 60


def spent(command: list[str]) -> tuple[float, float]:
    """Return CPU seconds and peak memory in MB of one run of a command."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def make(path: Path, seconds: int) -> None:
    """Write a 1280 x 720 clip at 25 fps and 3 Mb/s: a face on a moving, noisy ground, a voice-like sound, a sidecar."""
    import skimage

    face = Path(skimage.__file__).parent / "data" / "astronaut.png"
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    ground = f"testsrc2=size=1280x720:rate=25:duration={seconds},noise=alls=8:allf=t"
    voice = f"sine=frequency=180:sample_rate=44100:duration={seconds},tremolo=f=4:d=0.8"
    graph = "[0][1]overlay=x='380+120*sin(t)':y='100+40*cos(t)':shortest=1[v]"
    inputs = ["-f", "lavfi", "-i", ground, "-loop", "1", "-i", str(face), "-f", "lavfi", "-i", voice]
    codecs = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "3M", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    made = [ffmpeg, "-v", "error", "-y", *inputs, "-filter_complex", graph, "-map", "[v]", "-map", "2:a"]
    subprocess.run([*made, *codecs, "-t", str(seconds), str(path)], check=True)
    path.with_suffix(".txt").write_text("I am so happy that you are here, what a wonderful day.")


def repeated(path: Path, source: Path, times: int) -> None:
    """Write ``source`` looped ``times`` times without encoding it again."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    loop = [ffmpeg, "-v", "error", "-y", "-stream_loop", str(times - 1), "-i", str(source), "-c", "copy", str(path)]
    subprocess.run(loop, check=True)
    path.with_suffix(".txt").write_text(source.with_suffix(".txt").read_text())


def command(clip: Path, *options: str) -> list[str]:
    """Return the command that is measured."""
    return [sys.executable, "-m", "mercli", "predict", str(clip), "--format", "jsonl", *options]


def rate(folder: Path, repeats: int) -> tuple[Figure, dict[str, object]]:
    """Return the CPU per clip-second of predict over that of decoding alone, interleaved."""
    clip, short = folder / "minute.mp4", folder / "second.mp4"
    make(clip, SECONDS)
    make(short, 1)
    null = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(clip), "-f", "null", "-"]
    cases = {"ffmpeg": null, "predict": command(clip), "start": command(short)}
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            cpu, _ = spent(case)
            if turn:
                taken[name].append(cpu)
    own = [(p - s) / (SECONDS - 1) for p, s in zip(taken["predict"], taken["start"], strict=True)]
    floor = [f / SECONDS for f in taken["ffmpeg"]]
    each = {name: round(1000 * statistics.median(times), 1) for name, times in (("mer", own), ("ffmpeg", floor))}
    facts = {"CPU ms a second of clip": each, "start-up, CPU s": round(statistics.median(taken["start"]), 2)}
    what = f"`mer predict` on a 720p clip of {SECONDS} s, start-up apart"
    return over(what, "`ffmpeg -f null`", own, floor, "<= 3.5x"), {**facts, "rounds": repeats}


def memory(folder: Path) -> list[Figure]:
    """Return peak memory for 3 and 30 minutes."""
    minute, three, thirty = folder / "minute.mp4", folder / "three.mp4", folder / "thirty.mp4"
    make(minute, SECONDS)
    repeated(three, minute, 3)
    repeated(thirty, minute, 30)
    figures = []
    for name, options in (("`--windows 4/2`", ["--windows", "4/2"]), ("as one prediction", [])):
        peaks = [spent(command(clip, *options))[1] for clip in (three, thirty)]
        figures.append(grown(f"`mer predict` on a clip of 30 minutes, {name}", "3 minutes", peaks))
    return figures


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.memory:
            finish("predict-memory", "Memory of prediction", memory(Path(folder)), {}, asked.write)
        else:
            figure, facts = rate(Path(folder), asked.repeats)
            finish("predict", "Prediction", [figure], facts, asked.write)


if __name__ == "__main__":
    main()
