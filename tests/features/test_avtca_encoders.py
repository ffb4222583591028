"""AVT-CA's encoders: MFCC of the middle 3.6 s, and the face trunk on 15 frames."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.features.seeds import avtca_frontend as frontend
from mercli.features.seeds.avtca_trunk import Trunk, scaled
from mercli.types import Streams


def sound(samples: int, rate: int = frontend.RATE, seed: int = 0) -> Streams:
    noise = np.random.default_rng(seed).normal(0, 0.1, samples)
    return Streams(audio=noise.astype(np.float32), audio_rate=rate)


def faces(times, seen=None, seed: int = 0) -> Streams:
    # coarse patches: fine noise would look alike to a network that averages over the picture
    patches = np.random.default_rng(seed).integers(0, 255, (len(times), 7, 7, 3), np.uint8)
    crops = patches.repeat(32, 1).repeat(32, 2)
    confidence = np.ones(len(times), np.float32) if seen is None else np.asarray(seen, np.float32)
    return Streams(faces=crops, face_times=np.asarray(times, np.float32), face_confidence=confidence)


def audio(**options):
    return registry.build("encoders", "avtca-audio", options=options)


def lively() -> Trunk:
    torch.manual_seed(1)
    trunk = Trunk()
    for module in trunk.modules():  # the first values of a normalisation would hide a mistake in its place
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return trunk.eval()


def saved_trunk(folder, network: Trunk | None = None) -> str:
    path = folder / "EfficientFace_Trained_on_AffectNet7.pth"
    network = network or lively()
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    state |= {"module.fc.weight": torch.zeros(7, 1024), "module.fc.bias": torch.zeros(7)}
    torch.save({"state_dict": state, "epoch": 3}, path)
    return str(path)


@pytest.fixture(scope="module")
def network() -> Trunk:
    return lively()


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory) -> str:
    return saved_trunk(tmp_path_factory.mktemp("avtca"), network)


@pytest.fixture(scope="module")
def face(weights):
    return registry.build("encoders", "avtca-face", options={"weights": weights})


def rows_of(network, crops) -> np.ndarray:
    with torch.inference_mode():
        return network(scaled(crops, "seed")).numpy()


@pytest.mark.parametrize("samples", [1, 1000, 79379, 79380, 79381, 200_000])
def test_sound_of_any_length_becomes_156_rows_of_ten(samples):
    (feature,) = audio().encode([sound(samples)])
    assert feature.values.shape == (156, 10)
    assert np.isfinite(feature.values).all()


def test_rows_of_appended_zeros_are_not_valid_unless_compat():
    (feature,) = audio().encode([sound(22_050)])
    assert feature.valid.sum() == math.ceil(22_050 / 512)
    assert feature.valid[: feature.valid.sum()].all()
    (seed,) = audio(compat=True).encode([sound(22_050)])
    assert seed.valid.all()
    np.testing.assert_array_equal(seed.values, feature.values)


def test_a_longer_clip_is_heard_in_its_middle_and_its_times_say_so():
    clip = sound(100_001)
    (feature,) = audio().encode([clip])
    (middle,) = audio().encode([Streams(audio=clip.audio[10_310 : 10_310 + 79_380], audio_rate=22_050)])
    np.testing.assert_array_equal(feature.values, middle.values)
    np.testing.assert_allclose(feature.times - middle.times, 10_310 / 22_050, rtol=1e-4)
    assert feature.times[0, 0] == pytest.approx(10_310 / 22_050)
    assert (feature.times[1:, 0] == feature.times[:-1, 1]).all()


def test_twice_as_loud_moves_only_the_first_coefficient_by_its_decibels():
    clip = sound(79_380)
    (once,), (twice,) = (audio().encode([Streams(audio=k * clip.audio, audio_rate=22_050)]) for k in (1, 2))
    moved = twice.values - once.values
    np.testing.assert_allclose(moved[:, 0], 20 * math.log10(2) * math.sqrt(128), rtol=1e-4)
    np.testing.assert_allclose(moved[:, 1:], 0, atol=1e-3)


def test_mirrored_edges_change_only_the_outermost_rows():
    clip = sound(79_380)
    (zeros,), (mirrored,) = audio().encode([clip]), audio(edges="reflect").encode([clip])
    changed = np.flatnonzero(np.abs(zeros.values - mirrored.values).max(1) > 1e-3)
    assert set(changed) == {0, 1, 154, 155}


def test_sound_at_another_rate_is_resampled():
    time = np.arange(3 * 16_000) / 16_000
    (there,) = audio().encode([Streams(audio=np.sin(2000 * time).astype(np.float32))])
    time = np.arange(3 * 22_050) / 22_050
    (here,) = audio().encode([Streams(audio=np.sin(2000 * time).astype(np.float32), audio_rate=22_050)])
    np.testing.assert_allclose(there.values[10:100, 0], here.values[10:100, 0], rtol=0.05)
    assert there.valid.sum() == here.valid.sum()


def test_silence_and_no_sound_have_no_valid_row():
    silent = Streams(audio=np.zeros(50_000, np.float32), audio_rate=22_050)
    for feature in audio().encode([silent, Streams(audio_rate=22_050)]):
        assert not feature.valid.any()
        assert np.isfinite(feature.values).all()


def test_the_trunks_stages_are_shufflenets(network):
    from torchvision.models.shufflenetv2 import ShuffleNetV2

    reference = ShuffleNetV2([4, 8, 4], [29, 116, 232, 464, 1024], num_classes=7).eval()
    state = network.state_dict()
    shared = {name: state[name] for name in reference.state_dict() if name in state}
    assert not [n for n in reference.load_state_dict(shared, strict=False).missing_keys if not n.startswith("fc")]
    pictures = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        stem, ours = reference.maxpool(reference.conv1(pictures)), network.maxpool(network.conv1(pictures))
        torch.testing.assert_close(ours, stem)
        for number in (2, 3, 4):
            stem = getattr(reference, f"stage{number}")(stem)
            ours = getattr(network, f"stage{number}")(ours)
            torch.testing.assert_close(ours, stem)
        torch.testing.assert_close(network.conv5(ours), reference.conv5(stem))
        assert network(pictures).shape == (2, 1024)


def test_each_quadrant_has_convolutions_of_its_own(network):
    maps = torch.rand(1, 29, 56, 56)
    corners = {1: (0, 0), 2: (28, 0), 3: (0, 28), 4: (28, 28)}  # top left, bottom left, top right, bottom right
    with torch.inference_mode():
        whole = network.local(maps)
        assert whole.shape == (1, 116, 28, 28)
        for quadrant, (top, left) in corners.items():
            x = maps[:, :, top : top + 28, left : left + 28]
            for step in (1, 2):
                convolved = getattr(network.local, f"conv{quadrant}_{step}")(x)
                x = torch.relu(getattr(network.local, f"bn{quadrant}_{step}")(convolved))
            torch.testing.assert_close(whole[:, :, top // 2 : top // 2 + 14, left // 2 : left // 2 + 14], x)


def test_gradient_reaches_every_weight_of_the_trunk():
    trunk = Trunk()
    trunk(torch.rand(2, 3, 224, 224)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in trunk.parameters())


def test_fifteen_frames_of_a_ten_per_second_stream_are_the_nearest_ones(face, network):
    times = np.arange(36) / 10
    stream = faces(times)
    (feature,) = face.encode([stream])
    wanted = np.array([3, 10, 17, 24, 31, 39, 46, 53, 60, 67, 75, 82, 89, 96, 103]) / 30
    rows = np.abs(times[None] - wanted[:, None]).argmin(1)
    assert feature.valid.all()
    np.testing.assert_allclose(feature.values, rows_of(network, stream.faces[rows]), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(feature.times[:, 0], wanted, rtol=1e-6)
    assert (feature.times[:, 1] > feature.times[:, 0]).all()
    assert face.settings.face_fps == 10
    assert face.settings.face_size == 224


def test_compat_takes_the_seeds_own_frames_and_black_where_there_is_none(weights, network):
    seed = registry.build("encoders", "avtca-face", options={"weights": weights, "compat": True})
    assert seed.settings.face_fps == 30
    stream = faces(np.arange(60) / 30)
    (feature,) = seed.encode([stream])
    own = rows_of(network, stream.faces[[3, 10, 17, 24, 31, 39, 46, 53]])
    np.testing.assert_allclose(feature.values[:8], own, rtol=1e-4, atol=1e-3)
    black = rows_of(network, np.zeros((1, 224, 224, 3), np.uint8))
    np.testing.assert_allclose(feature.values[9:], np.repeat(black, 6, 0), rtol=1e-4, atol=1e-3)
    assert feature.valid.all()


def test_frames_without_a_face_or_after_the_end_are_not_valid(face):
    times = np.arange(20) / 10
    (feature,) = face.encode([faces(times, seen=times < 1)])
    assert feature.valid.tolist() == [True] * 4 + [False] * 11
    assert not feature.values[4:].any()
    assert feature.values[:4].any(1).all()


def test_a_face_beside_one_that_is_hidden_stands_in_for_it(face):
    times = np.arange(36) / 10
    seen = np.ones(36)
    seen[3] = 0  # 1/3 s: 0.4 is the next nearest
    stream = faces(times, seen)
    (feature,), (other,) = face.encode([stream]), face.encode([faces(times)])
    assert feature.valid.all()
    assert np.abs(feature.values[1] - other.values[1]).max() > 0.01
    np.testing.assert_allclose(feature.values[[0, 2, 3]], other.values[[0, 2, 3]], rtol=1e-4, atol=1e-3)


def test_the_batch_and_its_order_change_nothing(face):
    batch = [faces(np.arange(n) / 10, seed=n) for n in (36, 4, 18)]
    batch.insert(1, faces(np.arange(3), np.zeros(3)))
    forward, backward = face.encode(batch), face.encode(batch[::-1])[::-1]
    for stream, one, other in zip(batch, forward, backward, strict=True):
        (alone,) = face.encode([stream])
        for feature in (other, alone):
            np.testing.assert_allclose(one.values, feature.values, rtol=1e-4, atol=1e-3)
            np.testing.assert_array_equal(one.valid, feature.valid)
    assert not forward[1].valid.any()
    assert face.encode([]) == []


def test_pictures_are_blue_green_red_in_the_seed_and_standardised_as_in_pre_training():
    crop = np.zeros((1, 224, 224, 3), np.uint8)
    crop[..., 0], crop[..., 2] = 255, 51
    assert scaled(crop, "seed")[0, :, 7, 7].tolist() == pytest.approx([0.2, 0, 1])
    trained = scaled(crop, "efficientface")[0, :, 7, 7].tolist()
    assert trained == pytest.approx([0.42464086 / 0.20735591, -0.44928582 / 0.18981615, -0.20080 / 0.18132], rel=1e-4)
    assert scaled(np.full((2, 96, 80, 3), 128, np.uint8), "seed").shape == (2, 3, 224, 224)


def test_what_the_weights_lack_is_told_and_stays_the_same(network, tmp_path, caplog, monkeypatch):
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("local.")}
    torch.save({"state_dict": {**state, "fc.weight": torch.zeros(7, 1024)}}, tmp_path / "some.pth")
    monkeypatch.setattr(logging.getLogger("mer"), "propagate", True)
    stream = faces(np.arange(4) / 10)
    with caplog.at_level(logging.INFO, "mer"):
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            encoder = registry.build("encoders", "avtca-face", options={"weights": str(tmp_path / "some.pth")})
            found.append(encoder.encode([stream])[0].values)
    assert "lacks 40 of" in caplog.text
    assert "local.conv1_1.weight" in caplog.text
    assert "fc.weight" in caplog.text
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"other.weight": torch.zeros(2)}}, "other.weight"),
        ({"state_dict": {"conv5.0.weight": torch.zeros(3, 3)}}, r"\(3, 3\), expected \(1024, 464, 1, 1\)"),
        ({"state_dict": {"x": torch.zeros(1)}, "recorder": math}, None),
    ],
)
def test_weights_of_something_else_are_refused(tmp_path, content, message):
    path = tmp_path / "w.pth"
    if message is None:
        import pickle

        path.write_bytes(pickle.dumps(print))
        message = "w.pth"
    else:
        torch.save(content, path)
    with pytest.raises(DataError, match=message):
        registry.build("encoders", "avtca-face", options={"weights": str(path)})


def test_bad_options_are_told(weights, tmp_path):
    with pytest.raises(ConfigError, match="'weights' is required"):
        registry.build("encoders", "avtca-face")
    with pytest.raises(DataError, match=r"absent\.pth"):
        registry.build("encoders", "avtca-face", options={"weights": str(tmp_path / "absent.pth")})
    with pytest.raises(ConfigError, match="'fps' is 0"):
        registry.build("encoders", "avtca-face", options={"weights": weights, "fps": 0})
    with pytest.raises(ConfigError, match="edges"):
        audio(edges="wrap")


def test_the_card_names_affectnet_and_the_hash_of_the_weights(face, weights):
    import hashlib
    from pathlib import Path

    assert [(t.corpus, t.split) for t in face.trained_on] == [("affectnet", "train")]
    assert face.weights == hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert audio().trained_on == ()


def test_a_longer_clip_is_seen_in_its_middle_as_it_is_heard_and_from_its_start_in_the_seed(face, weights):
    stream = faces(np.arange(56) / 10)  # 5.6 s: one second is left over at each end
    (feature,) = face.encode([stream])
    (middle,) = face.encode([_from(stream, 10)])
    np.testing.assert_allclose(feature.values, middle.values, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(feature.times, middle.times + 1, atol=1e-5)
    (heard,) = audio().encode([sound(round(5.6 * frontend.RATE))])
    assert feature.times[0, 0] > heard.times[0, 0] >= 0.99
    seed = registry.build("encoders", "avtca-face", options={"weights": weights, "compat": True})
    assert seed.encode([stream])[0].times[0, 0] == pytest.approx(0.1)


def _from(stream: Streams, first: int) -> Streams:
    """Return 3.6 s of a stream of ten faces a second, from one of its frames on."""
    part = slice(first, first + 36)
    return Streams(
        faces=stream.faces[part],
        face_times=stream.face_times[: len(stream.faces[part])],
        face_confidence=stream.face_confidence[part],
    )
