"""Make ``hello.mp4`` and its transcript ``hello.txt``: a real face that moves a little, and synthetic speech.

The face is the portrait of astronaut Eileen Collins (NASA, public domain) that scikit-image ships; the voice is
synthesised by Debian's ``flite`` (``apt-get install flite``), else by ``espeak-ng``. Needs the ``test`` extra:

    .venv/bin/python examples/make_clip.py [FOLDER]

The same program versions write the same bytes.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import soundfile
from numpy.typing import NDArray
from skimage import data

SENTENCE = "Hello! I am so happy you are here. What a wonderful day!"
SIDE = 320
FPS = 25
SILENCE = 0.3  # seconds before and after the speech


def speak(text: str) -> tuple[NDArray[np.float32], int]:
    """Return synthetic speech, float32 (N,) mono, and its rate in Hz; exits where no synthesiser is installed."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        commands = {
            "flite": ["flite", "-voice", "slt", "-t", text, "-o", str(wav)],
            "espeak-ng": ["espeak-ng", "-v", "en-us", "-w", str(wav), text],
        }
        for program, command in commands.items():
            if shutil.which(program):
                subprocess.run(command, check=True)
                samples, rate = soundfile.read(wav, dtype="float32", always_2d=True)
                return samples.mean(axis=1), rate
    sys.exit("neither 'flite' nor 'espeak-ng' is installed; try: apt-get install flite")


def view(portrait: NDArray[np.uint8], seconds: float, duration: float) -> NDArray[np.uint8]:
    """Return the frame (SIDE, SIDE, 3) at a time: a slow zoom on the face, swaying and nodding."""
    zoom = 1.05 + 0.15 * seconds / duration
    tilt = 3.0 * math.sin(2 * math.pi * seconds / 2.6)
    centre = (226 + 8 * math.sin(2 * math.pi * seconds / 3.1), 160 + 5 * math.sin(2 * math.pi * seconds / 1.7))
    turn = cv2.getRotationMatrix2D(centre, tilt, zoom)
    turn[0, 2] += SIDE / 2 - centre[0]
    turn[1, 2] += SIDE / 2 - centre[1]
    frame = cv2.warpAffine(portrait, turn, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(frame, np.uint8)


def write(path: Path, speech: NDArray[np.float32], rate: int) -> None:
    """Encode H.264 video and AAC mono speech into ``path``, on one thread and without stamps of time or program."""
    quiet = np.zeros(round(SILENCE * rate), np.float32)
    sound = np.concatenate([quiet, speech, quiet])
    duration = len(sound) / rate
    portrait = data.astronaut()
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        # x264's macroblock tree is off: with it, two runs of the same build gave different bytes
        look = {"crf": "23", "x264-params": "no-mbtree=1", "flags": "+bitexact"}
        picture = container.add_stream("libx264", FPS, options=look)
        picture.thread_count = 1
        picture.width = picture.height = SIDE
        picture.pix_fmt = "yuv420p"
        voice = container.add_stream("aac", rate, layout="mono", options={"flags": "+bitexact"})
        voice.bit_rate = 48_000
        for number in range(math.ceil(duration * FPS)):
            frame = av.VideoFrame.from_ndarray(view(portrait, number / FPS, duration), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(picture.encode(frame))
        for first in range(0, len(sound), 1024):
            block = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = rate, first, Fraction(1, rate)
            container.mux(voice.encode(block))
        container.mux(picture.encode())
        container.mux(voice.encode())


def main(folder: Path) -> None:
    """Write ``hello.mp4`` and ``hello.txt`` into a folder."""
    write(folder / "hello.mp4", *speak(SENTENCE))
    (folder / "hello.txt").write_text(SENTENCE + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
