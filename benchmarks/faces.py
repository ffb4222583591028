"""CPU time per frame of detect + crop + normalise, against YOLOv8n's ``predict`` (DESIGN 9: at most 1/12).

The peer lives in an environment of its own, with random weights of real size:

    python -m venv ENV && ENV/bin/pip install ultralytics
    .venv/bin/python benchmarks/faces.py --peer-python ENV/bin/python

Both see the same 640 px frame; they take turns in one run, one thread each; medians over the turns. CPU time is the
time of all threads of the process. One JSON object goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
GOAL = 1 / 12


def serve(frame: Path) -> None:
    """Answer each line on stdin, a number of frames, with the CPU ms per frame that YOLOv8n needed for them."""
    import numpy as np
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(1)
    picture = np.load(frame)[:, :, ::-1].copy()
    model = YOLO("yolov8n.yaml", verbose=False)
    model.predict(picture, imgsz=640, device="cpu", verbose=False)
    for line in sys.stdin:
        step = int(line)
        print(f"{cpu_ms(lambda: model.predict(picture, imgsz=640, device='cpu', verbose=False), step):.4f}", flush=True)


def cpu_ms(work: Callable[[], object], times: int) -> float:
    """Return the mean CPU ms of one call."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) * 1000 / times


def own_work(frame: Path) -> Callable[[], object]:
    """Return the work on one frame: find the face, follow it, crop it, and standardise it as the encoders do."""
    import cv2
    import numpy as np

    from mercli.streams.faces import FaceFinder
    from mercli.streams.media import Frame

    cv2.setNumThreads(1)
    picture = np.load(frame)
    finder = FaceFinder(size=48)
    clock = iter(range(1_000_000_000))

    def one_frame() -> None:
        now = next(clock) / 5
        finder.add(Frame(now, picture))
        track = finder.segment(now)
        if track is None or track.confidence.min() <= 0:
            raise SystemExit("no face was found in the benchmark's own frame")
        grey = track.faces.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        (grey - grey.mean()) / (grey.std() + 1e-6)
        finder.forget(now)

    one_frame()
    return one_frame


def make_frame(path: Path) -> None:
    """Save a 640 x 384 frame (H, W, 3) with one face about 70 px high, in front of a blurred background."""
    import cv2
    import numpy as np
    from skimage import data

    portrait = data.astronaut()
    picture = cv2.blur(cv2.resize(portrait, (640, 384)), (31, 31))
    picture[:, 128:512] = cv2.resize(portrait, (384, 384), interpolation=cv2.INTER_AREA)
    np.save(path, picture)


def take_turns(
    work: Callable[[], object], peer: subprocess.Popen[str], rounds: int, frames: int
) -> tuple[list[float], list[float]]:
    """Return our and the peer's CPU ms per frame, one of each a round."""
    if peer.stdin is None or peer.stdout is None:
        raise SystemExit("the peer was started without pipes")
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(cpu_ms(work, 3 * frames))
        peer.stdin.write(f"{frames}\n")
        peer.stdin.flush()
        answer = peer.stdout.readline()
        if not answer:
            raise SystemExit("the peer ended without an answer; does its environment have ultralytics?")
        theirs.append(float(answer))
    peer.stdin.close()
    return ours, theirs


def main() -> None:
    """Run the turns and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", type=Path, help="Python of an environment with ultralytics")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    if not options.peer_python:
        parser.error("--peer-python is needed")
    os.environ.update(ONE_THREAD)
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.npy"
        make_frame(frame)
        work = own_work(frame)
        command = [str(options.peer_python.absolute()), str(Path(__file__).resolve()), "--serve", str(frame)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder
        ) as peer:
            ours, theirs = take_turns(work, peer, options.rounds, options.frames)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    figures = {
        "benchmark": "faces",
        "rounds": options.rounds,
        "mer_cpu_ms_per_frame": round(statistics.median(ours), 3),
        "yolov8n_cpu_ms_per_frame": round(statistics.median(theirs), 2),
        "ratio": round(ratio, 4),
        "goal": round(GOAL, 4),
        "met": ratio <= GOAL,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
