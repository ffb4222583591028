"""Where somebody speaks: Silero VAD over a stream of audio, in memory that does not grow with the clip.

The weights are those that the ``silero-vad`` package ships. Its own model takes one 32 ms frame a call; here the layers
before the recurrent one, which know no past, take a block of frames at once: same numbers, a seventh of the time.
"""

from __future__ import annotations

import importlib.util
import math
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mercli.errors import PluginError

if TYPE_CHECKING:
    from mercli.types import FloatArray

RATE = 16_000
FRAME = 512
CONTEXT = 64
STFT_BINS, STFT_STRIDE = 129, 128
FRAMES_PER_BLOCK = 128
FRAME_SECONDS = FRAME / RATE

# The package's own defaults: speech begins at 0.5 and holds until 0.35; a frame's length is left on either side.
BEGIN, HOLD = 0.5, 0.35


class VoiceNet(nn.Module):
    """Silero's 16 kHz network: STFT magnitudes, four convolutions, an LSTM over frames, a logistic unit."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.basis = nn.Buffer(weights["_model.stft.forward_basis_buffer"])
        self.convolutions = nn.ModuleList(
            _convolution(weights, f"_model.encoder.{index}.reparam_conv", stride)
            for index, stride in enumerate((1, 2, 2, 1))
        )
        rnn = "_model.decoder.rnn"
        self.lstm = nn.LSTM(128, 128)
        self.lstm.load_state_dict(
            {f"{part}_l0": weights[f"{rnn}.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
        self.unit = _convolution(weights, "_model.decoder.decoder.2", 1)

    def forward(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return speech probabilities (T,) of ``frames`` (T, CONTEXT + FRAME) and the state to go on from."""
        x = F.conv1d(F.pad(frames[:, None], (0, CONTEXT), mode="reflect"), self.basis, stride=STFT_STRIDE)
        x = (x[:, :STFT_BINS] ** 2 + x[:, STFT_BINS:] ** 2).sqrt()
        for convolution in self.convolutions:
            x = convolution(x).relu()
        hidden, state = self.lstm(x.transpose(1, 2), state)
        logits = self.unit(hidden.relu().transpose(1, 2))
        return torch.sigmoid(logits).reshape(-1), state


def _convolution(weights: dict[str, Tensor], name: str, stride: int) -> nn.Conv1d:
    outputs, inputs, width = weights[f"{name}.weight"].shape
    convolution = nn.Conv1d(inputs, outputs, width, stride, padding=width // 2)
    convolution.load_state_dict({part: weights[f"{name}.{part}"] for part in ("weight", "bias")})
    return convolution


@lru_cache(maxsize=1)
def voice_net() -> VoiceNet:
    """Return the network with its shipped weights; raises ``PluginError`` where ``silero-vad`` is not of a known form.

    The package is found but not imported: its import would set torch's threads to one for the whole process.
    """
    package = importlib.util.find_spec("silero_vad")
    places = list(package.submodule_search_locations or ()) if package else []
    if not places:
        raise PluginError("the package 'silero-vad' is not installed", "pip install silero-vad")
    path = Path(places[0]) / "data" / "silero_vad.jit"
    try:
        weights = torch.jit.load(str(path), map_location="cpu").state_dict()
        return VoiceNet({name: tensor.detach() for name, tensor in weights.items()}).eval().requires_grad_(False)
    except (ValueError, RuntimeError, KeyError) as fault:
        raise PluginError(
            f"'{path}' does not hold Silero's network: {fault}", "pip install 'silero-vad>=6,<7'"
        ) from fault


class Frame(NamedTuple):
    """A speech probability and the end, in seconds, of the samples it was computed from."""

    probability: float
    end: float


def speech_frames(chunks: Iterable[FloatArray]) -> Iterator[Frame]:
    """Yield one frame per 32 ms of 16 kHz mono audio that comes in chunks (N,) of any length.

    The last frame is filled with silence, and its end is the end of the audio.
    """
    net, state, past, done = voice_net(), None, np.zeros(CONTEXT, np.float32), 0
    for block in _blocks(chunks):
        count = math.ceil(len(block) / FRAME)
        padded = np.concatenate([past, block, np.zeros(count * FRAME - len(block), np.float32)])
        frames = torch.from_numpy(padded).unfold(0, CONTEXT + FRAME, FRAME)
        with torch.inference_mode():
            probabilities, state = net(frames, state)
        for index, probability in enumerate(probabilities.tolist()):
            yield Frame(probability, (done + min(len(block), (index + 1) * FRAME)) / RATE)
        past, done = padded[-CONTEXT:], done + len(block)


def _blocks(chunks: Iterable[FloatArray]) -> Iterator[FloatArray]:
    """Regroup chunks into blocks of whole frames; only the last may be shorter."""
    size, held, count = FRAMES_PER_BLOCK * FRAME, deque[np.ndarray](), 0
    for chunk in chunks:
        held.append(np.asarray(chunk, np.float32))
        count += len(chunk)
        if count >= size:
            joined = np.concatenate(held)
            whole = count // size * size
            yield from np.split(joined[:whole], whole // size)
            held, count = deque([joined[whole:]]), count - whole
    if count:
        yield np.concatenate(held)


def speech_segments(
    chunks: Iterable[FloatArray],
    *,
    min_speech: float = 0.25,
    min_silence: float = 0.5,
    max_len: float = 15.0,
    begin: float = BEGIN,
) -> Iterator[tuple[float, float]]:
    """Yield ``[start, end)`` in seconds of each stretch of speech, as soon as it is over.

    ``chunks`` are 16 kHz mono float32 (N,). Pauses under ``min_silence`` are bridged, stretches under ``min_speech``
    dropped, those above ``max_len`` cut where speech is least likely. Speech begins at probability ``begin``.
    """
    return spans(speech_frames(chunks), min_speech=min_speech, min_silence=min_silence, max_len=max_len, begin=begin)


def spans(
    frames: Iterable[Frame], *, min_speech: float, min_silence: float, max_len: float, begin: float = BEGIN
) -> Iterator[tuple[float, float]]:
    """Yield the stretches of speech in a sequence of frames: ordered, disjoint, none longer than ``max_len``.

    Hysteresis between ``begin`` and 0.15 below it (Silero's rule); one frame is left on either side of a stretch.
    """
    hold, pause = begin - (BEGIN - HOLD), min_silence / FRAME_SECONDS
    most = max(2, int(max_len / FRAME_SECONDS) - 2)
    stretch: list[Frame] = []  # from the onset on, the pause that may end it included
    voiced, onset, floor, time = 0, 0.0, 0.0, 0.0
    for frame in frames:
        before, time = time, frame.end
        if frame.probability >= (hold if stretch else begin):
            onset = onset if stretch else before
            stretch.append(frame)
            voiced = len(stretch)
        elif stretch:
            stretch.append(frame)
        if voiced >= most:
            cut = _quietest(stretch) + 1
            span = max(floor, onset - FRAME_SECONDS), stretch[cut - 1].end
            stretch, voiced, onset, floor = stretch[cut:], voiced - cut, span[1], span[1]
            yield span
        elif stretch and len(stretch) - voiced >= pause and voiced < len(stretch):
            stop = stretch[voiced - 1].end
            stretch, voiced = [], 0
            if stop - onset >= min_speech:
                span = max(floor, onset - FRAME_SECONDS), min(time, stop + FRAME_SECONDS)
                floor = span[1]
                yield span
    if stretch and stretch[voiced - 1].end - onset >= min_speech:
        yield max(floor, onset - FRAME_SECONDS), min(time, stretch[voiced - 1].end + FRAME_SECONDS)


def _quietest(stretch: list[Frame]) -> int:
    """Return the frame of the later half at which speech is least likely: where a stretch that is too long is cut."""
    half = len(stretch) // 2
    return min(range(half, len(stretch)), key=lambda index: stretch[index].probability)
