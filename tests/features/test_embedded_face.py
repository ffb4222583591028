from __future__ import annotations

import io

import numpy as np
import pytest

from mercli.errors import DataError
from mercli.types import Streams

torch = pytest.importorskip("torch")

from mercli.features.embedded.face import DIM, embedded_face  # noqa: E402
from mercli.features.embedded.face_net import FaceNet, grey, standardise  # noqa: E402
from mercli.tuning.embedded.export import write  # noqa: E402


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    torch.manual_seed(0)
    card = {"trained_on": [{"corpus": "made", "split": "train"}]}
    return embedded_face(weights=str(write(tmp_path_factory.mktemp("w"), "face", FaceNet().state_dict(), card)))


def crops(count: int, side: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)


def streams(faces: np.ndarray, confidence: np.ndarray | None = None) -> Streams:
    times = np.arange(len(faces), dtype=np.float32) * 0.2
    return Streams(faces=faces, face_times=times, face_confidence=confidence)


@pytest.mark.parametrize("count", [0, 1, 5, 130])
def test_every_crop_is_one_row_with_its_time(encoder, count):
    feature = encoder.encode([streams(crops(count))])[0]
    assert feature.values.shape == (count, DIM)
    assert feature.values.dtype == np.float32
    assert feature.valid.all()
    assert np.isfinite(feature.values).all()
    np.testing.assert_allclose(feature.times[:, 1] - feature.times[:, 0], 0.2, atol=1e-5)


def test_frames_without_a_face_and_flat_crops_are_not_valid(encoder):
    faces = crops(4)
    faces[1] = 0
    feature = encoder.encode([streams(faces, np.array([0.9, 0.9, 0.0, 0.9], np.float32))])[0]
    assert feature.valid.tolist() == [True, False, False, True]
    assert not feature.values[1:3].any()


def test_a_mirrored_crop_gives_the_same_row(encoder):
    faces = crops(3)
    one, other = encoder.encode([streams(faces), streams(np.ascontiguousarray(faces[:, :, ::-1]))])
    np.testing.assert_allclose(one.values, other.values, atol=1e-5)


def test_brightness_and_contrast_change_little(encoder):
    faces = crops(2) // 2
    one, other = encoder.encode([streams(faces), streams(faces + 100)])
    np.testing.assert_allclose(one.values, other.values, atol=1e-3)


def test_items_do_not_depend_on_their_batch(encoder):
    items = [streams(crops(n, seed=n)) for n in (1, 4, 7)]
    for item, feature in zip(items, encoder.encode(items), strict=True):
        np.testing.assert_array_equal(encoder.encode([item])[0].values, feature.values)


@pytest.mark.parametrize("side", [1, 7, 112, 224])
def test_other_sizes_are_brought_to_48_pixels(encoder, side):
    feature = encoder.encode([streams(crops(2, side))])[0]
    assert feature.values.shape == (2, DIM)
    assert np.isfinite(feature.values).all()


def test_grey_is_what_a_jpeg_reader_makes_of_colour():
    from PIL import Image

    picture = crops(1)[0]
    expected = np.asarray(Image.fromarray(picture).convert("L"))
    np.testing.assert_array_equal(grey(picture[None])[0, 0].numpy(), expected)
    plain = crops(1)[:, :, :, :1].repeat(3, 3)
    np.testing.assert_array_equal(grey(plain)[0, 0].numpy(), plain[0, :, :, 0])


def test_standardised_faces_have_mean_0_and_deviation_1_and_flat_ones_are_0():
    faces = grey(crops(3))
    faces[2] = 77.0
    result = standardise(faces)
    torch.testing.assert_close(result[:2].mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(result[:2].std((1, 2, 3), correction=0), torch.ones(2))
    assert not result[2].any()


def test_weights_of_another_network_are_refused(tmp_path):
    path = write(tmp_path, "face", {"other.weight": torch.zeros(2)}, {"trained_on": []})
    with pytest.raises(DataError, match="does not fit FaceNet"):
        embedded_face(weights=str(path))


def test_a_file_that_is_not_safetensors_is_refused(tmp_path):
    buffer = io.BytesIO(b"not weights")
    (tmp_path / "face.safetensors").write_bytes(buffer.getvalue())
    (tmp_path / "face.json").write_text('{"trained_on": []}')
    with pytest.raises(DataError, match="does not fit"):
        embedded_face(weights=str(tmp_path / "face.safetensors"))
