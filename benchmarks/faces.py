"""CPU time per frame of detect + crop + normalise, against YOLOv8n's ``predict`` (goal: at most 1/12).

The peer lives in an environment of its own, with random weights of real size:

    python -m venv ENV && ENV/bin/pip install ultralytics
    .venv/bin/python benchmarks/faces.py --peer-python ENV/bin/python

Both see the same 640 px frame; they take turns in one run, one thread each; medians over the turns. CPU time is the
time of all threads of the process. One JSON object goes to stdout (2 minutes).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
GOAL = "<= 1/12"


def serve(frame: Path) -> None:
    """Answer each line on stdin, a number of frames, with the CPU ms per frame that YOLOv8n needed for them."""
    answers, sys.stdout = sys.stdout, sys.stderr  # the peer talks on its first run
    import numpy as np
    import torch
    from ultralytics import YOLO

    torch.set_num_threads(1)
    picture = np.load(frame)[:, :, ::-1].copy()
    model = YOLO("yolov8n.yaml", verbose=False)
    model.predict(picture, imgsz=640, device="cpu", verbose=False)
    for line in sys.stdin:
        step = int(line)
        spent = cpu_ms(lambda: model.predict(picture, imgsz=640, device="cpu", verbose=False), step)
        print(f"{spent:.4f}", file=answers, flush=True)


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


@contextmanager
def peer(python: Path) -> Iterator[Callable[[int], float]]:
    """Give a function that has YOLOv8n look at so many frames, and returns its CPU ms per frame."""
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.npy"
        make_frame(frame)
        command = [str(python.absolute()), str(Path(__file__).resolve()), "--serve", str(frame)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder
        ) as process:
            if process.stdin is None or process.stdout is None:
                raise SystemExit("the peer was started without pipes")
            sent, answered = process.stdin, process.stdout

            def ask(frames: int) -> float:
                sent.write(f"{frames}\n")
                sent.flush()
                answer = answered.readline()
                if not answer:
                    raise SystemExit("the peer ended without an answer; does its environment have ultralytics?")
                return float(answer)

            yield ask
            sent.close()


def main() -> None:
    """Run the turns and print the figures."""
    if sys.argv[1:2] == ["--serve"]:
        serve(Path(sys.argv[2]))
        return
    from writing import arguments, finish, over

    parser = arguments(__doc__)
    parser.add_argument("--peer-python", type=Path, required=True, help="Python of an environment with ultralytics")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=20)
    asked = parser.parse_args()
    os.environ.update(ONE_THREAD)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, peer(asked.peer_python) as look:
        frame = Path(folder) / "frame.npy"
        make_frame(frame)
        work = own_work(frame)
        for _ in range(asked.rounds):
            ours.append(cpu_ms(work, 3 * asked.frames))
            theirs.append(look(asked.frames))
    figures = [over("find, follow, crop and standardise a face", "YOLOv8n's `predict`", ours, theirs, GOAL)]
    each = {"mer": round(statistics.median(ours), 2), "YOLOv8n": round(statistics.median(theirs), 1)}
    finish("faces", "Faces", figures, {"CPU ms a frame": each, "rounds": asked.rounds}, asked.write)


if __name__ == "__main__":
    main()
