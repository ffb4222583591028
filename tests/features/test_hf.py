"""Encoders of the Hugging Face hub on small random models of several families."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.types import Streams, Transcript, Word
from tests.features import hf_models as tiny

MODELS = {
    "wav2vec2": ("hf-audio", tiny.wav2vec2),
    "wavlm": ("hf-audio", lambda folder: tiny.wav2vec2(folder, "WavLM", **tiny.LAYERED)),
    "hubert": ("hf-audio", lambda folder: tiny.wav2vec2(folder, "Hubert")),
    "w2v-bert": ("hf-audio", tiny.w2v_bert),
    "whisper": ("hf-audio", tiny.whisper),
    "vit": ("hf-vision", tiny.vit),
    "vit-plain": ("hf-vision", lambda folder: tiny.vit(folder, pooler=False)),
    "clip": ("hf-vision", tiny.clip),
    "resnet": ("hf-vision", tiny.resnet),
    "bert": ("hf-text", tiny.bert),
}
HEARD = [name for name, (encoder, _) in MODELS.items() if encoder == "hf-audio"]
SEEN = [name for name, (encoder, _) in MODELS.items() if encoder == "hf-vision"]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    held = {}

    def made(name):
        if name not in held:
            held[name] = MODELS[name][1](tmp_path_factory.mktemp(name))
        return held[name]

    return made


@pytest.fixture(scope="module")
def build(folder_of):
    held = {}

    def built(name, **options):
        key = (name, str(options))
        if key not in held:
            held[key] = registry.build("encoders", MODELS[name][0], options={"model": folder_of(name), **options})
        return held[key]

    return built


def sound(seconds: float, seed: int = 0) -> Streams:
    draw = np.random.default_rng(seed)
    return Streams(audio=draw.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32))


def faces(count: int, seed: int = 0, side: int = 32, **facts) -> Streams:
    draw = np.random.default_rng(seed)
    return Streams(
        faces=draw.integers(0, 255, (count, side, side, 3), np.uint8),
        face_times=(np.arange(count) / 5).astype(np.float32),
        face_confidence=facts.pop("face_confidence", np.ones(count, np.float32)),
    )


def said(text: str, **facts) -> Streams:
    return Streams(transcript=Transcript(text, "given", **facts))


MATERIAL = {
    "hf-audio": [sound(1.0, 1), sound(0.9, 2), sound(0.3, 3)],
    "hf-vision": [faces(3, 1), faces(1, 2), faces(4, 3)],
    "hf-text": [said("what a wonderful day"), said("no"), said("never, ever")],
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", ["one", "many"])
def test_neither_padding_nor_what_is_encoded_beside_it_changes_an_item(build, name, rows):
    encoder_name = MODELS[name][0]
    options = {"one": {"hf-vision": {"statistics": ("mean", "std")}}, "many": {"hf-audio": {"pooling": "none"}}}
    options["many"]["hf-text"] = {"pooling": "none"}
    encoder, material = build(name, **options[rows].get(encoder_name, {})), MATERIAL[encoder_name]
    together, turned = encoder.encode(material), encoder.encode(material[::-1])[::-1]
    for one, streams in enumerate(material):
        (alone,) = encoder.encode([streams])
        for other in (together[one], turned[one]):
            np.testing.assert_allclose(other.values, alone.values, atol=2e-5)
            np.testing.assert_array_equal(other.times, alone.times)
        assert alone.valid.all()
        assert alone.values.shape == (len(alone.times), encoder.dim)
        assert (len(alone.values) == 1) == (rows == "one" or streams is MATERIAL["hf-vision"][1])
    assert np.abs(together[0].values[0] - together[1].values[0]).max() > 1e-6, "the encoder sees nothing"
    assert encoder.encode([]) == []


@pytest.mark.parametrize("name", MODELS)
def test_under_autocast_features_stay_float32_and_close(build, name):
    encoder, material = build(name), MATERIAL[MODELS[name][0]]
    exact = np.concatenate([feature.values for feature in encoder.encode(material)]).ravel()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder.encode(material)
    assert encoder.half
    assert all(feature.values.dtype == np.float32 for feature in found)
    half = np.concatenate([feature.values for feature in found]).ravel()
    assert exact @ half / np.linalg.norm(exact) / np.linalg.norm(half) > 0.99


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "hubert"])
def test_a_sound_s_row_is_the_mean_of_the_model_s_own_frames(build, folder_of, name):
    from transformers import AutoModel

    wave = sound(0.7).audio
    normal = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder_of(name)).eval()(torch.from_numpy(normal)[None]).last_hidden_state
    (pooled,), (rows,) = (build(name, pooling=how).encode([sound(0.7)]) for how in ("mean", "none"))
    np.testing.assert_allclose(rows.values, states[0], atol=1e-5)
    np.testing.assert_allclose(pooled.values[0], states[0].mean(0), atol=1e-5)
    np.testing.assert_allclose(pooled.times, [[0, 0.7]], atol=1e-6)
    np.testing.assert_allclose(rows.times[1:, 0], rows.times[:-1, 1])
    assert abs(rows.times[0, 1] - 0.02) < 2e-3


def test_of_whisper_the_encoder_is_taken_and_the_silence_it_is_padded_with_is_cut_off(build, folder_of):
    from transformers import WhisperFeatureExtractor, WhisperModel

    wave = sound(0.5).audio
    spectra = WhisperFeatureExtractor.from_pretrained(folder_of("whisper"))(
        wave, sampling_rate=16_000, return_tensors="pt"
    )
    with torch.inference_mode():
        states = WhisperModel.from_pretrained(folder_of("whisper")).eval().encoder(**spectra).last_hidden_state[0]
    (rows,) = build("whisper", pooling="none").encode([sound(0.5)])
    assert states.shape[0] == 100
    assert rows.values.shape[0] == 25
    np.testing.assert_allclose(rows.values, states[:25], atol=1e-5)
    assert "decoder" not in str(type(build("whisper").network)).lower()


def test_windows_give_a_row_each_and_the_last_ends_with_the_segment(build):
    encoder = build("wav2vec2", window=0.5, step=0.25)
    (feature,) = encoder.encode([sound(1.1)])
    np.testing.assert_allclose(feature.times, [[0, 0.5], [0.25, 0.75], [0.5, 1.0], [0.75, 1.1]], atol=1e-6)
    part = Streams(audio=sound(1.1).audio[4000:12_000])
    np.testing.assert_allclose(feature.values[1], build("wav2vec2").encode([part])[0].values[0], atol=1e-5)
    assert encoder.settings.longest is None
    assert build("wav2vec2").settings.longest == 20.0


def test_silence_in_a_window_is_marked_and_a_sound_shorter_than_a_frame_is_nothing(build):
    audio = np.concatenate([sound(0.5).audio, np.zeros(8000, np.float32)])
    (half,) = build("wav2vec2", window=0.5).encode([Streams(audio=audio)])
    assert half.valid.tolist() == [True, False]
    for name in HEARD:
        for samples in (0, 200):
            (short,) = build(name).encode([Streams(audio=np.full(samples, 0.5, np.float32))])
            assert not short.valid.any()
    broken = sound(0.5).audio.copy()
    broken[:50] = np.nan
    assert np.isfinite(build("wav2vec2").encode([Streams(audio=broken)])[0].values).all()


def test_the_rate_is_the_model_s_own_and_another_is_refused(tmp_path):
    folder = Path(tiny.wav2vec2(tmp_path))
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "sampling_rate": 8000}))
    encoder = registry.build("encoders", "hf-audio", options={"model": str(folder)})
    assert encoder.settings.audio_rate == 8000
    with pytest.raises(DataError, match="16000 Hz; the model expects 8000"):
        encoder.encode([sound(1)])
    assert encoder.encode([replace(sound(1), audio_rate=8000)])[0].valid.all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"step": 1.0}, "without 'window'"),
        ({"window": 0.5, "step": 1.0}, "step <= width"),
        ({"window": -1.0}, "seconds above 0"),
        ({"batch": 0}, "1 or more"),
        ({"layer": 9}, "hidden states 0 to 2"),
    ],
)
def test_options_that_cannot_be_are_told_when_the_encoder_is_built(build, options, words):
    with pytest.raises(ConfigError, match=words):
        build("wav2vec2", **options)


def test_whisper_takes_no_window_longer_than_it_reads(build):
    with pytest.raises(ConfigError, match="reads at most 2 s"):
        build("whisper", window=3.0)


@pytest.mark.parametrize("name", ["wavlm", "vit", "bert"])
def test_layers_are_counted_from_the_embeddings(build, folder_of, name):
    item = MATERIAL[MODELS[name][0]][0]
    options = {"hf-vision": {"pooling": "cls"}}.get(MODELS[name][0], {})
    first, middle, last = (build(name, layer=layer, **options).encode([item])[0].values for layer in (0, 1, -1))
    assert np.abs(first - middle).max() > 1e-5
    assert np.abs(middle - last).max() > 1e-5
    np.testing.assert_allclose(build(name, layer=-2, **options).encode([item])[0].values, middle, atol=1e-6)


def picture_states(folder, item, part=None):
    from transformers import AutoImageProcessor, AutoModel

    ready = AutoImageProcessor.from_pretrained(folder)(images=list(item.faces), return_tensors="pt")
    network = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        return (getattr(network, part) if part else network)(**ready)


@pytest.mark.parametrize(("name", "part"), [("vit", None), ("clip", "vision_model"), ("resnet", None)])
def test_a_face_s_row_is_what_the_model_itself_makes_of_a_picture(build, folder_of, name, part):
    item = faces(3, 1, build(name).settings.face_size)
    expected = picture_states(folder_of(name), item, part).pooler_output.flatten(1)
    np.testing.assert_allclose(build(name).encode([item])[0].values, expected, atol=1e-5)


def test_where_weights_lack_the_model_s_own_pooling_the_class_token_stands_for_it(build, folder_of):
    item = faces(2, 5)
    states = picture_states(folder_of("vit-plain"), item).last_hidden_state
    np.testing.assert_allclose(build("vit-plain").encode([item])[0].values, states[:, 0], atol=1e-5)
    np.testing.assert_allclose(build("vit-plain", pooling="mean").encode([item])[0].values, states.mean(1), atol=1e-5)
    with pytest.raises(ConfigError, match="no class token"):
        build("resnet", pooling="cls")


@pytest.mark.parametrize("name", SEEN)
def test_frames_without_a_face_are_not_valid_and_in_no_statistic(build, name):
    every = faces(4, face_confidence=np.array([1, 0, 1, 0], np.float32))
    (rows,) = build(name).encode([every])
    assert rows.valid.tolist() == [True, False, True, False]
    assert not rows.values[~rows.valid].any()
    (summed,) = build(name, statistics=("mean", "std")).encode([every])
    shown = rows.values[rows.valid]
    np.testing.assert_allclose(summed.values[0], np.r_[shown.mean(0), shown.std(0)], atol=1e-5)
    (none,) = build(name, statistics=("mean",)).encode([faces(2, face_confidence=np.zeros(2, np.float32))])
    assert not none.valid.any()


def test_texts_pool_to_their_class_token_or_the_mean_of_their_tokens(build):
    text = said("what a day")
    rows, cls, mean = (build("bert", pooling=how).encode([text])[0].values for how in ("none", "cls", "mean"))
    assert len(rows) == 2 + 8  # the model's two special tokens, and a token a letter
    np.testing.assert_allclose(cls[0], rows[0], atol=1e-5)
    np.testing.assert_allclose(mean[0], rows.mean(0), atol=1e-5)


def test_tokens_have_the_times_of_their_words(build):
    words = (Word("no,", 1.0, 1.4), Word("never", 2.0, 3.0))
    (rows,) = build("bert", pooling="none").encode([said("no, never", words=words)])
    expected = [[1, 3], *[[1, 1.4]] * 3, *[[2, 3]] * 5, [1, 3]]
    np.testing.assert_allclose(rows.times, expected, atol=1e-6)
    np.testing.assert_allclose(build("bert").encode([said("no, never", words=words)])[0].times, [[1, 3]])


def test_a_text_is_cut_at_the_asked_or_at_the_model_s_length(build):
    assert build("bert").longest == 40
    long = build("bert").encode([said("b" * 900), said("a " * 900)])
    assert long[1].valid.all()
    (short,) = build("bert", pooling="none", tokens=8).encode([said("a " * 900)])
    assert len(short.values) == 8


@pytest.mark.parametrize("streams", [Streams(), said(" \n"), said("das ist gut", language="de")])
def test_no_text_and_another_language_than_the_model_s_are_not_valid(build, streams):
    ours, other = build("bert", language="en").encode([streams, said("good", language="en")])
    assert not ours.valid.any()
    assert other.valid.all()
    (any_language,) = build("bert").encode([said("das ist gut", language="de")])
    assert any_language.valid.all()


def test_what_weights_have_seen_is_told_by_the_user(build):
    assert build("bert").trained_on == ()
    assert build("bert", trained_on=("meld:train", "afew")).trained_on == (
        TrainedOn("meld", "train"),
        TrainedOn("afew", "all"),
    )


def test_the_fingerprint_follows_weights_and_vocabulary_not_the_place(tmp_path, build):
    def made(name):
        return registry.build("encoders", "hf-text", options={"model": str(tmp_path / name)}).weights

    for name in ("a", "b", "c"):
        tiny.bert(tmp_path / name)
    vocabulary = tmp_path / "b" / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("!\n", "?\n", 1))
    assert made("a") == made("c") != made("b")


def test_weights_in_several_files_are_read_and_all_of_them_count(tmp_path):
    from transformers import BertModel

    folder = Path(tiny.bert(tmp_path))
    one = registry.build("encoders", "hf-text", options={"model": str(folder)})
    network = BertModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    network.save_pretrained(folder, max_shard_size="10KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    several = registry.build("encoders", "hf-text", options={"model": str(folder)})
    text = MATERIAL["hf-text"]
    for a, b in zip(one.encode(text), several.encode(text), strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-6)
    assert one.weights != several.weights
    next(folder.glob("model-*.safetensors")).unlink()
    with pytest.raises(DataError, match="model-0"):
        registry.build("encoders", "hf-text", options={"model": str(folder)})


def test_a_model_that_lacks_weights_is_refused_rather_than_drawn_at_random(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(tiny.bert(tmp_path))
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "layer.1" not in k}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"lacks \d+ tensors of BertModel, the first being 'encoder.layer.1"):
        registry.build("encoders", "hf-text", options={"model": str(folder)})


def test_a_model_with_code_of_its_own_is_refused(tmp_path):
    folder = Path(tiny.bert(tmp_path))
    config = json.loads((folder / "config.json").read_text())
    config.update(model_type="own", auto_map={"AutoConfig": "own.Own", "AutoModel": "own.OwnModel"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('run')\n")
    with pytest.raises(DataError, match="cannot be loaded"):
        registry.build("encoders", "hf-text", options={"model": str(folder)})


def test_a_pickle_that_could_run_code_is_refused(tmp_path):
    folder = Path(tiny.bert(tmp_path))
    (folder / "model.safetensors").unlink()
    torch.save({"x": Path("y")}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match="cannot be loaded"):
        registry.build("encoders", "hf-text", options={"model": str(folder)})


@pytest.mark.parametrize(("encoder", "other"), [("hf-audio", "bert"), ("hf-text", "wav2vec2"), ("hf-vision", "bert")])
def test_a_model_of_another_kind_of_input_is_refused(folder_of, encoder, other):
    with pytest.raises(DataError):
        registry.build("encoders", encoder, options={"model": folder_of(other)})


def test_a_model_that_is_not_here_says_how_to_fetch_it():
    with pytest.raises(DataError, match="not on this machine") as refusal:
        registry.build("encoders", "hf-text", options={"model": "somebody/no-such-model", "revision": "abc"})
    assert "mer models pull somebody/no-such-model@abc" in refusal.value.hint
