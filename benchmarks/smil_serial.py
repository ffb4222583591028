"""How SMIL MER's published code makes features, one clip after another, written from its description alone.

Every frame is decoded; at each fifth of a 25 fps clip a face is looked for, one frame a forward (the caller adds the
detector's time: it needs an environment of its own). The sound goes to a 44.1 kHz stereo file and is read from there.
Faces go through ResNet-50 up to 70 at once, all windows of the sound through wav2vec2 together, the text by itself; in
fp32. A pickle of tensors per clip is left.
"""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path
from typing import Any

import cv2
import imageio_ffmpeg
import networks
import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from mercli.features.seeds import checkpoints, smil_audio_net, smil_face_net, smil_text_net
from mercli.features.windows import window_spans

LIMIT, WANTED, RATE = 70, 5, 16_000
BOX = (560, 140, 690, 270)
"""Where a face would be found: what is cut out there costs the same, wherever it is."""


class Serial:
    """The three networks, loaded once, and one clip at a time."""

    def __init__(self, options: dict[str, dict[str, str]]) -> None:
        self.audio = smil_audio_net.load(checkpoints.open_model(options["audio"]["model"], None, None, ()))
        self.text = smil_text_net.load(checkpoints.open_model(options["text"]["model"], None, None, ()))
        self.words = smil_text_net.tokenizer(Path(options["text"]["model"]))
        self.face = smil_face_net.FaceNet((3, 4, 6, 3), (64, 128, 256, 512), 512, networks.CLASSES)
        checkpoints.fill(self.face, checkpoints.read(Path(options["face"]["weights"])))

    @torch.inference_mode()
    def run(self, clip: Path, text: str, out: Path) -> None:
        """Leave the features of a clip in a pickle."""
        faces = self._faces(clip)
        rows = torch.cat([self.face(part)[0] for part in faces.split(LIMIT)])
        means = torch.stack([rows[a:b].mean(0) for a, b in window_spans(len(rows), 20, 10)])
        item = {"video_features": _summary(means), "audio_features": _summary(self._sound(clip, out.parent))}
        tokens = self.words(text, truncation=True, max_length=512, return_tensors="pt")
        item["text_features"] = self.text(tokens["input_ids"], tokens["attention_mask"])[0]
        out.write_bytes(pickle.dumps({**item, "true_label": 0}))

    def _faces(self, clip: Path) -> Tensor:
        video = cv2.VideoCapture(str(clip))
        stride = int(video.get(cv2.CAP_PROP_FPS) * WANTED / 25)
        left, top, right, bottom = BOX
        crops: list[Any] = []
        number = 0
        while True:
            there, frame = video.read()
            if not there:
                break
            if number % stride == 0:
                crop = cv2.resize(frame[top:bottom, left:right], (224, 224), interpolation=cv2.INTER_NEAREST)
                crops.append(crop.astype(np.float32) - np.asarray(smil_face_net.MEAN_BGR, np.float32))
            number += 1
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()

    def _sound(self, clip: Path, folder: Path) -> Tensor:
        file = folder / f"{clip.stem}.wav"
        written = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(clip), "-vn"]
        subprocess.run([*written, "-acodec", "pcm_s16le", "-ar", "44100", "-ac", "2", str(file)], check=True)
        stereo, rate = soundfile.read(file, dtype="float32")
        wave = torchaudio.transforms.Resample(rate, RATE)(torch.from_numpy(stereo.mean(1))).numpy()
        windows = smil_audio_net.segments(wave, window_spans(len(wave), 4 * RATE, 2 * RATE), 4 * RATE)
        return self.audio(torch.from_numpy(smil_audio_net.normalised(windows)))[0].mean(1)


def _summary(windows: Tensor) -> Tensor:
    return torch.cat((windows.mean(0), windows.std(0, correction=0)))[None]
