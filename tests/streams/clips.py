"""Makes small clips with known pictures, sounds and timestamps, so that tests know what decoding must give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

QUADRANTS = {
    "top left": (230, 30, 30),
    "top right": (30, 200, 30),
    "bottom left": (30, 30, 230),
    "bottom right": (220,) * 3,
}
VIDEO_CODECS = {".webm": "libvpx", ".mpg": "mpeg1video", ".avi": "mpeg4"}
AUDIO_CODECS = {".webm": "libopus", ".mpg": "mp2", ".wav": "pcm_s16le", ".mp3": "libmp3lame", ".flac": "flac"}
AUDIO_ONLY = (".wav", ".mp3", ".flac", ".m4a")


def quadrants(time: float, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3): red, green / blue, near-white quadrants, whatever the time."""
    width, height = size
    picture = np.empty((height, width, 3), np.uint8)
    for name, colour in QUADRANTS.items():
        rows = slice(0, height // 2) if "top" in name else slice(height // 2, None)
        picture[rows, slice(0, width // 2) if "left" in name else slice(width // 2, None)] = colour
    return picture


def ramp(time: float, size: tuple[int, int]) -> np.ndarray:
    """Return (H, W, 3): one grey level that tells the time, 20 levels a second up to 10 s, then again."""
    width, height = size
    return np.full((height, width, 3), round(20 + 20 * (time % 10)), np.uint8)


def sine(frequency: float = 440.0, level: float = 0.5) -> Callable[[np.ndarray], np.ndarray]:
    """Return a sound: times (N,) -> samples (N,), the same in every channel."""
    return lambda times: level * np.sin(2 * np.pi * frequency * times)


TONE = sine()


def make_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    fps: float = 25.0,
    size: tuple[int, int] = (160, 120),
    rotation: int = 0,
    audio_rate: int | None = 44_100,
    audio_seconds: float | None = None,
    layout: str = "stereo",
    picture: Callable[[float, tuple[int, int]], np.ndarray] | None = quadrants,
    sound: Callable[[np.ndarray], np.ndarray] = TONE,
    times: Sequence[float] | None = None,
    subtitles: Sequence[tuple[float, float, str]] = (),
    codec: str | None = None,
    gop: int = 12,
    audio_offset: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip and return its path; the container and codecs follow the ending unless ``codec`` says otherwise.

    ``picture=None`` writes no video, ``audio_rate=None`` no audio. ``times`` replaces the regular frame times (VFR).
    ``sound`` maps times (N,) to (N,) for all channels or (C, N). ``rotation`` is what a player must turn the stored
    picture by, degrees counter-clockwise.
    """
    ending = path.suffix.lower()
    with path.open("wb") as handle, av.open(handle, "w", format=_container(ending), options=options or {}) as out:
        parts: list[tuple[float, av.Packet]] = []
        video = audio = text = None
        if picture is not None and ending not in AUDIO_ONLY:
            rate = Fraction(fps).limit_denominator(1001)
            video = out.add_stream(codec or VIDEO_CODECS.get(ending, "libx264"), rate=rate)
            _shape(video, size, gop, rotation, None if times is None else Fraction(1, 1000))
        if audio_rate is not None:
            audio = out.add_stream(AUDIO_CODECS.get(ending, "aac"), rate=audio_rate, layout=layout)
        if subtitles:
            text = out.add_stream("mov_text" if ending == ".mp4" else "srt")
            text.codec_context.subtitle_header = b"[Events]\nFormat: Layer, Start, End, Style, Text\n"
        out.start_encoding()
        if video is not None:
            shown = times if times is not None else [k / fps for k in range(round(seconds * fps))]
            parts += _encode_video(video, shown, size, picture)
        if audio is not None:
            length = seconds if audio_seconds is None else audio_seconds
            parts += _encode_audio(audio, length, sound, audio_offset)
        parts += [(start, _cue(text, start, end, words)) for start, end, words in subtitles]
        for _, packet in sorted(parts, key=lambda part: part[0]):
            out.mux(packet)
    return path


def _shape(video, size, gop, rotation, base):
    video.width, video.height, video.pix_fmt, video.gop_size = *size, "yuv420p", gop
    video.codec_context.thread_count = 1
    if base is not None:
        video.codec_context.time_base = base
    if rotation:
        video.set_display_rotation(rotation)


def _container(ending: str) -> str:
    return {".mkv": "matroska", ".m4a": "ipod", ".mpg": "mpeg", ".ts": "mpegts"}.get(ending, ending[1:])


def _encode_video(stream, shown, size, picture):
    base = stream.codec_context.time_base or Fraction(1, round(stream.rate))
    found = []
    for time in shown:
        frame = av.VideoFrame.from_ndarray(picture(time, size), format="rgb24")
        frame.time_base = base
        frame.pts = round(time / base)
        found += stream.encode(frame)
    found += stream.encode(None)
    return [(float(p.dts * p.time_base), p) for p in found]


def _encode_audio(stream, seconds, sound, offset):
    context, rate = stream.codec_context, stream.codec_context.sample_rate
    kind = context.format.name
    total, step = round(seconds * rate), context.frame_size or 1024
    found = []
    for first in range(0, total, step):
        wave = sound(np.arange(first, min(first + step, total)) / rate)
        wave = np.broadcast_to(wave, (context.layout.nb_channels, wave.shape[-1]))
        if kind.startswith("s"):
            peak = 2 ** (int(kind[1:3]) - 1)
            wave = np.clip(wave * peak, -peak, peak - 1).round().astype(f"int{kind[1:3]}")
        else:
            wave = wave.astype(np.float32)
        if not kind.endswith("p"):
            wave = wave.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format=kind, layout=context.layout.name)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = first + round(offset * rate)
        found += stream.encode(frame)
    found += stream.encode(None)
    return [(float(p.dts * p.time_base), p) for p in found]


def _cue(stream, start, end, words):
    data = words.encode()
    packet = av.Packet(len(data).to_bytes(2, "big") + data if stream.codec_context.name == "mov_text" else data)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = round(start * 1000)
    packet.duration = round((end - start) * 1000)
    return packet
