"""Foal-Net's encoders on small WavLM and CLIP models with random weights, written as the hub has them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.features.seeds.foalnet_net import fitted, frame_count, normalised, pictures, prefix_mask, together
from mercli.types import Streams

RATE = 16_000
WAVLM = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True,
}  # fmt: skip
CLIP = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 28,
    "patch_size": 7, "projection_dim": 24,
}  # fmt: skip


def saved_wavlm(folder, **changes) -> str:
    from transformers import WavLMConfig, WavLMModel

    torch.manual_seed(0)
    WavLMModel(WavLMConfig(**{**WAVLM, **changes})).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def wavlm(tmp_path_factory) -> str:
    return saved_wavlm(tmp_path_factory.mktemp("wavlm"))


def saved_clip(folder, **changes) -> str:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    torch.manual_seed(0)
    text = CLIPTextConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    vision = CLIPVisionConfig(**{**CLIP, **changes})
    width = vision.projection_dim
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=width)
    CLIPModel(config).save_pretrained(folder)  # whole models lie on the hub, text half included
    return str(folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    return saved_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def audio(wavlm):
    return registry.build("encoders", "foalnet-audio", options={"model": wavlm})


@pytest.fixture(scope="module")
def face(clip):
    return registry.build("encoders", "foalnet-face", options={"model": clip})


def sound(seconds: float, seed: int = 0) -> Streams:
    noise = np.random.default_rng(seed).normal(0.05, 0.1, round(seconds * RATE))
    return Streams(audio=noise.astype(np.float32))


def faces(count: int, seen=None, seed: int = 0) -> Streams:
    draw = np.random.default_rng(seed)
    return Streams(
        faces=draw.integers(0, 255, (count, 28, 28, 3), np.uint8),
        face_times=(np.arange(count) / 5).astype(np.float32),
        face_confidence=np.ones(count, np.float32) if seen is None else np.asarray(seen, np.float32),
    )


def states(model: str, wave) -> np.ndarray:
    from transformers import WavLMModel

    with torch.inference_mode():
        return WavLMModel.from_pretrained(model).eval()(torch.as_tensor(wave)[None]).last_hidden_state[0].numpy()


def test_six_seconds_are_299_rows_and_no_more_is_heard(audio):
    long = sound(9)
    (feature,), (six,) = audio.encode([long]), audio.encode([Streams(audio=long.audio[: 6 * RATE])])
    assert feature.values.shape == (299, 32)
    assert feature.valid.all()
    assert feature.times[-1, 0] == pytest.approx(298 * 0.02)
    np.testing.assert_array_equal(feature.values, six.values)


def test_rows_are_the_last_hidden_states_of_the_normalised_sound(audio, wavlm):
    from transformers import Wav2Vec2FeatureExtractor

    clip = sound(1.3)
    (wave,) = Wav2Vec2FeatureExtractor(do_normalize=True)(clip.audio, sampling_rate=RATE).input_values
    (feature,) = audio.encode([clip])
    np.testing.assert_allclose(feature.values, states(wavlm, wave), atol=1e-4)


def test_compat_hears_the_raw_wave_padded_to_six_seconds(wavlm, audio):
    seed = registry.build("encoders", "foalnet-audio", options={"model": wavlm, "compat": True})
    clip = sound(1.3)
    (feature,) = seed.encode([clip])
    own = states(wavlm, clip.audio)
    assert feature.values.shape == (299, 32)
    assert feature.valid.sum() == len(own) == len(audio.encode([clip])[0].values)
    np.testing.assert_allclose(feature.values[: len(own)], own, atol=1e-4)
    assert not feature.values[len(own) :].any()
    assert np.abs(own - audio.encode([clip])[0].values).max() > 0.01


def test_a_sound_without_samples_is_all_real_in_the_seed_and_nothing_here(wavlm, audio):
    empty = Streams(audio=np.zeros(0, np.float32))
    seed = registry.build("encoders", "foalnet-audio", options={"model": wavlm, "compat": True})
    assert seed.encode([empty])[0].valid.sum() == 299
    for nothing in (empty, sound(399 / RATE), Streams(audio=np.zeros(RATE, np.float32)), Streams()):
        (feature,) = audio.encode([nothing])
        assert not feature.valid.any()
        assert not feature.values.any()


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_other_sounds_of_the_batch_and_their_order_change_nothing(norm, tmp_path):
    stable = norm == "layer"
    model = saved_wavlm(tmp_path, feat_extract_norm=norm, do_stable_layer_norm=stable)
    encoder = registry.build("encoders", "foalnet-audio", options={"model": model})
    batch = [sound(s, k) for k, s in enumerate((1.0, 0.9, 7, 0.01, 1.0, 1.15))]
    forward, backward = encoder.encode(batch), encoder.encode(batch[::-1])[::-1]
    for clip, one, other in zip(batch, forward, backward, strict=True):
        (alone,) = encoder.encode([clip])
        for feature in (other, alone):
            np.testing.assert_allclose(one.values, feature.values, atol=2e-5)
            np.testing.assert_array_equal(one.times, feature.times)
    assert encoder.encode([]) == []


def test_sounds_of_nearly_one_length_go_together():
    lengths = [100, 96_000, 120, 96_000, 126, 90_000]
    assert list(together(lengths, exact=False)) == [[0, 2], [4], [5, 1, 3]]
    assert list(together(lengths, exact=True)) == [[0], [2], [4], [5], [1, 3]]
    assert list(together([], exact=True)) == []


def test_seconds_are_an_option_and_sound_at_another_rate_is_told(wavlm, audio):
    short = registry.build("encoders", "foalnet-audio", options={"model": wavlm, "seconds": 0.5})
    (feature,) = short.encode([sound(2)])
    assert len(feature.values) == frame_count(short.network, RATE // 2) == 24
    with pytest.raises(DataError, match="22050 Hz; foalnet-audio expects 16000 Hz"):
        audio.encode([Streams(audio=np.zeros(10, np.float32), audio_rate=22_050)])
    with pytest.raises(ConfigError, match="'seconds' is 0"):
        registry.build("encoders", "foalnet-audio", options={"model": wavlm, "seconds": 0})


def test_rows_of_faces_are_clips_picture_embeddings(face, clip):
    from transformers import CLIPModel
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    stream = faces(7)
    pixels = (stream.faces / 255 - np.asarray(OPENAI_CLIP_MEAN)) / np.asarray(OPENAI_CLIP_STD)
    with torch.inference_mode():
        whole = CLIPModel.from_pretrained(clip).eval()
        vision = whole.vision_model(torch.from_numpy(pixels).float().permute(0, 3, 1, 2))
        expected = whole.visual_projection(vision.pooler_output).numpy()
    (feature,) = face.encode([stream])
    np.testing.assert_allclose(feature.values, expected, atol=1e-5)
    assert face.dim == 24
    assert face.settings.face_size == 28
    np.testing.assert_allclose(feature.times[:, 0], np.arange(7) / 5)
    np.testing.assert_allclose(feature.times[:, 1], np.arange(1, 8) / 5, rtol=1e-6)


def test_at_most_180_frames_and_only_those_with_a_face(face, clip):
    (many,) = face.encode([faces(190)])
    assert many.values.shape == (180, 24)
    (some,) = face.encode([faces(6, [1, 0, 1, 1, 0, 1])])
    assert some.valid.tolist() == [True, False, True, True, False, True]
    assert some.values.any(1).tolist() == some.valid.tolist()
    few = registry.build("encoders", "foalnet-face", options={"model": clip, "frames": 3, "fps": 30})
    assert len(few.encode([faces(6)])[0].values) == 3
    assert few.settings.face_fps == 30


def test_compat_fills_up_to_180_rows_and_counts_every_frame(clip):
    seed = registry.build("encoders", "foalnet-face", options={"model": clip, "compat": True})
    seven, none = seed.encode([faces(7, [0, 1, 1, 0, 1, 1, 1]), faces(0)])
    assert seven.values.shape == none.values.shape == (180, 24)
    assert seven.valid.sum() == 7
    assert not seven.values[7:].any()
    assert (seven.times[:, 1] > seven.times[:, 0]).all()
    assert none.valid.all()


def test_other_faces_of_the_batch_and_their_order_change_nothing(face):
    batch = [faces(40, seed=1), faces(0), faces(3, np.zeros(3), 2), faces(5, seed=3), Streams()]
    forward, backward = face.encode(batch), face.encode(batch[::-1])[::-1]
    for stream, one, other in zip(batch, forward, backward, strict=True):
        (alone,) = face.encode([stream])
        for feature in (other, alone):
            np.testing.assert_allclose(one.values, feature.values, atol=1e-5)
            np.testing.assert_array_equal(one.valid, feature.valid)
    assert not any(forward[k].valid.any() for k in (1, 2, 4))
    assert face.encode([]) == []


def test_crops_of_another_size_are_scaled_to_the_models(face):
    assert pictures(np.full((2, 40, 30, 3), 255, np.uint8), 28).shape == (2, 3, 28, 28)
    big = Streams(faces=faces(2).faces.repeat(2, 1).repeat(2, 2))
    assert face.encode([big])[0].values.shape == (2, 24)


def test_masks_mark_the_first_places_and_only_the_seed_makes_nothing_all():
    lengths = torch.tensor([0, 1, 4])
    assert prefix_mask(lengths, 4).tolist() == [[False] * 4, [True, False, False, False], [True] * 4]
    assert prefix_mask(lengths, 4, zero_is_all=True)[0].all()
    rows, real = fitted(torch.ones(3, 2), 5)
    assert (real, rows.sum().item(), rows.shape) == (3, 6, (5, 2))
    assert fitted(torch.ones(7), 5)[1] == 5
    wave = normalised(torch.randn(1000) * 3 + 7)
    assert wave.mean().abs() < 1e-5
    assert wave.var(unbiased=False) == pytest.approx(1, rel=1e-4)


def test_the_card_tells_that_no_emotion_corpus_was_seen_and_the_hash_of_the_weights(audio, face, wavlm):
    import hashlib
    from pathlib import Path

    assert audio.trained_on == face.trained_on == ()
    assert audio.weights == hashlib.sha256((Path(wavlm) / "model.safetensors").read_bytes()).hexdigest()
    assert audio.weights != face.weights


@pytest.mark.parametrize(
    ("name", "identity"),
    [("foalnet-audio", "microsoft/wavlm-large"), ("foalnet-face", "openai/clip-vit-large-patch14")],
)
def test_a_model_that_is_not_here_is_told_with_how_to_get_it(name, identity, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=identity) as told:
        registry.build("encoders", name)
    assert f"mer models pull {identity}" in told.value.hint


def test_loading_writes_nothing_to_the_terminal(clip, capfd):
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    registry.build("encoders", "foalnet-face", options={"model": clip})
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled() == bars


def test_a_model_of_another_kind_or_with_missing_weights_is_refused(wavlm, clip, tmp_path):
    from safetensors.torch import load_file, save_file

    with pytest.raises(DataError, match="of type 'clip', expected wavlm"):
        registry.build("encoders", "foalnet-audio", options={"model": clip})
    with pytest.raises(DataError, match="of type 'wavlm', expected clip"):
        registry.build("encoders", "foalnet-face", options={"model": wavlm})
    state = load_file(f"{wavlm}/model.safetensors")
    save_file({k: v for k, v in state.items() if "layers.1" not in k}, tmp_path / "model.safetensors", {"format": "pt"})
    shutil.copy(f"{wavlm}/config.json", tmp_path)
    with pytest.raises(DataError, match=r"lacks \d+ tensors of WavLMModel: encoder\.layers\.1"):
        registry.build("encoders", "foalnet-audio", options={"model": str(tmp_path)})


def test_weights_written_by_an_older_torch_or_inside_a_classifier_are_the_same(wavlm, audio, tmp_path):
    from safetensors.torch import load_file

    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    state = {}
    for name, tensor in load_file(f"{wavlm}/model.safetensors").items():
        for new, before in old.items():
            name = name.replace(new, before)
        state[f"wavlm.{name}"] = tensor
    assert any(name.endswith("weight_g") for name in state)
    torch.save({**state, "classifier.weight": torch.zeros(4, 32)}, tmp_path / "pytorch_model.bin")
    shutil.copy(f"{wavlm}/config.json", tmp_path)
    encoder = registry.build("encoders", "foalnet-audio", options={"model": str(tmp_path)})
    np.testing.assert_allclose(encoder.encode([sound(1)])[0].values, audio.encode([sound(1)])[0].values, atol=1e-6)
