"""openSMILE's feature sets, compared with what the library itself gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mercli import registry
from mercli.errors import ConfigError, DataError, MissingExtra
from mercli.types import Streams


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(MissingExtra, match="opensmile") as told:
        registry.build("encoders", "opensmile")
    assert told.value.hint == "pip install 'mercli[opensmile]'"


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 180 * time) + draw.normal(0, 0.01, len(time))).astype(np.float32)


@pytest.mark.parametrize(
    ("features", "level", "dim"),
    [("eGeMAPSv02", "functionals", 88), ("eGeMAPSv02", "lld", 25), ("ComParE_2016", "functionals", 6373)],
)
def test_rows_are_the_librarys_own(features, level, dim):
    library = pytest.importorskip("opensmile")
    encoder = registry.build("encoders", "opensmile", options={"features": features, "level": level})
    (feature,) = encoder.encode([Streams(audio=sound(1.0))])
    wanted = library.Smile(features, library.FeatureLevel("func" if level == "functionals" else level))
    np.testing.assert_array_equal(feature.values, wanted.process_signal(sound(1.0), 16_000).to_numpy())
    assert feature.values.shape[1] == encoder.dim == dim
    assert feature.valid.all()
    assert feature.times[0, 0] == 0
    assert feature.times[-1, 1] == pytest.approx(1.0, abs=0.02)
    assert (np.diff(feature.times[:, 0]) > 0).all()


@pytest.mark.parametrize("samples", [0, 1, 959])
def test_what_is_too_short_for_a_pitch_is_not_valid(samples):
    pytest.importorskip("opensmile")
    (feature,) = registry.build("encoders", "opensmile").encode([Streams(audio=sound(1)[:samples])])
    assert not feature.valid.any()
    assert np.isfinite(feature.values).all()


def test_another_rate_and_another_set_are_refused():
    pytest.importorskip("opensmile")
    with pytest.raises(DataError, match="8000 Hz"):
        registry.build("encoders", "opensmile").encode([Streams(audio=sound(1), audio_rate=8000)])
    with pytest.raises(ConfigError, match="GeMAPSv01b"):
        registry.build("encoders", "opensmile", options={"features": "GeMAPSv01b"})
