from __future__ import annotations

import pytest

from tests.streams.clips import make_clip, ramp


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder for the clips that several tests read."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def plain(folder):
    """2 s, 25 fps, 160 x 120, four coloured quadrants, a 440 Hz tone in stereo at 44.1 kHz."""
    return make_clip(folder / "plain.mp4")


@pytest.fixture(scope="session")
def silent(folder):
    """2 s of picture without sound."""
    return make_clip(folder / "silent.mp4", audio_rate=None)


@pytest.fixture(scope="session")
def timed(folder):
    """6 s whose grey level tells the time (20 + 20 t), its index at the front of the file."""
    return make_clip(folder / "timed.mp4", seconds=6, picture=ramp, options={"movflags": "faststart"})
