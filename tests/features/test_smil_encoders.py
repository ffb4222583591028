"""The encoders of SMIL MER on small random models, written in the formats of the real ones."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mercli import registry
from mercli.contracts import TrainedOn
from mercli.errors import ConfigError, DataError
from mercli.types import Streams, Transcript, Word

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from mercli.features.seeds import checkpoints, smil_audio_net, smil_face_net, smil_text_net  # noqa: E402

WAV2VEC2 = {
    "model_type": "wav2vec2", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    "do_stable_layer_norm": False, "feat_extract_norm": "group",
}  # fmt: skip
CHARACTERS = ["Ġ", *(chr(code) for code in range(33, 127))]
VOCABULARY = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *CHARACTERS, "<mask>"])}
ROBERTA = {
    "model_type": "roberta", "vocab_size": len(VOCABULARY), "hidden_size": 16, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 26, "type_vocab_size": 1,
    "pad_token_id": 1,
}  # fmt: skip


def audio_folder(folder: Path, width: int = 6, **preprocessor) -> Path:
    """Write a wav2vec 2.0 with a projector and a classifier, as the Hugging Face hub has them."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    torch.manual_seed(0)
    network = smil_audio_net.AudioNet(Wav2Vec2Model(Wav2Vec2Config.from_dict(WAV2VEC2)), 16, width, 7)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(WAV2VEC2))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder


def text_folder(folder: Path) -> Path:
    """Write a RoBERTa classifier with its tokenizer, as the Hugging Face hub has them."""
    from transformers import RobertaConfig, RobertaForSequenceClassification

    torch.manual_seed(0)
    network = RobertaForSequenceClassification(RobertaConfig.from_dict(ROBERTA))
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(ROBERTA))
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder


def face_file(path: Path, layers: tuple[int, ...] = (1, 1, 1, 1), width: int = 8) -> Path:
    """Write a ResNet of bottlenecks in the authors' layout, in half precision."""
    torch.manual_seed(0)
    network = smil_face_net.FaceNet(layers, (4, 4, 6, 6), width, 7)
    torch.save({name: tensor.half() for name, tensor in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "smil-audio": {"model": str(audio_folder(folder / "audio"))},
        "smil-face": {"weights": str(face_file(folder / "face.pt"))},
        "smil-text": {"model": str(text_folder(folder / "text"))},
    }


@pytest.fixture(scope="module")
def build(models):
    held = {}

    def built(name, **options):
        key = (name, str(options))
        if key not in held:
            held[key] = registry.build("encoders", name, options={**models[name], **options})
        return held[key]

    return built


def sound(seconds: float, seed: int = 0) -> Streams:
    draw = np.random.default_rng(seed)
    return Streams(audio=draw.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32))


def faces(count: int, seed: int = 0, side: int = 224, **facts) -> Streams:
    draw = np.random.default_rng(seed)
    return Streams(
        faces=draw.integers(0, 255, (count, side, side, 3), np.uint8),
        face_times=facts.pop("face_times", (np.arange(count) / 5).astype(np.float32)),
        face_confidence=facts.pop("face_confidence", np.ones(count, np.float32)),
    )


def said(text: str, **facts) -> Streams:
    return Streams(transcript=Transcript(text, "given", **facts))


MATERIAL = {
    "smil-audio": [sound(1.5, 1), sound(7.0, 2), sound(4.0, 3)],
    "smil-face": [faces(3, 1), faces(21, 2), faces(1, 3)],
    "smil-text": [said("ha"), said("what a wonderful day"), said("no, never")],
}


def alike(found, expected, atol=1e-5) -> None:
    np.testing.assert_allclose(found.values, expected.values, atol=atol)
    np.testing.assert_array_equal(found.times, expected.times)
    np.testing.assert_array_equal(found.valid, expected.valid)


@pytest.mark.parametrize("name", MATERIAL)
def test_rows_do_not_depend_on_what_is_encoded_beside_them_nor_on_the_order(build, name):
    encoder, material = build(name), MATERIAL[name]
    together, turned = encoder.encode(material), encoder.encode(material[::-1])[::-1]
    for one, streams in enumerate(material):
        alike(encoder.encode([streams])[0], together[one])
        alike(turned[one], together[one])
        assert together[one].values.shape == (1, encoder.dim)
        assert together[one].values.dtype == together[one].times.dtype == np.float32
        assert together[one].valid.all()
    assert np.ptp([feature.values for feature in together], axis=0).max() > 1e-4, "the encoder sees nothing"
    assert encoder.encode([]) == []


@pytest.mark.parametrize(
    ("name", "options"), [("smil-audio", {"batch": 2}), ("smil-face", {"batch": 7}), ("smil-text", {"batch": 2})]
)
def test_a_batch_is_filled_across_items_and_never_exceeded(build, name, options):
    encoder, sizes = build(name, **options), []
    hook = encoder.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    small = encoder.encode(MATERIAL[name])
    hook.remove()
    assert sizes == {"smil-audio": [2, 2, 2], "smil-face": [7, 7, 7, 4], "smil-text": [2, 1]}[name]
    for one, other in zip(small, build(name).encode(MATERIAL[name]), strict=True):
        alike(one, other)


@pytest.mark.parametrize("name", MATERIAL)
def test_under_autocast_features_stay_float32_and_close(build, name):
    encoder = build(name)
    assert encoder.half
    exact = np.concatenate([feature.values for feature in encoder.encode(MATERIAL[name])]).ravel()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder.encode(MATERIAL[name])
    assert all(feature.values.dtype == np.float32 for feature in found)
    half = np.concatenate([feature.values for feature in found]).ravel()
    assert exact @ half / np.linalg.norm(exact) / np.linalg.norm(half) > 0.999


@pytest.mark.parametrize("name", MATERIAL)
def test_what_weights_have_seen_is_known_or_told(build, name):
    assert build(name).trained_on == registry.get("encoders", name).facts["trained_on"]
    told = build(name, trained_on=("meld:train", "afew"))
    assert told.trained_on == (TrainedOn("meld", "train"), TrainedOn("afew", "all"))


@pytest.mark.parametrize("name", ["smil-audio", "smil-face"])
def test_unpooled_rows_are_the_windows_that_the_pooled_one_summarises(build, name):
    long = MATERIAL[name][1]
    (rows,), (pooled,) = build(name, pooled=False).encode([long]), build(name).encode([long])
    assert build(name).dim == 2 * build(name, pooled=False).dim == 2 * rows.values.shape[1]
    np.testing.assert_allclose(pooled.values[0], np.r_[rows.values.mean(0), rows.values.std(0)], atol=1e-6)
    ends = {"smil-audio": [[0, 4], [2, 6], [4, 7]], "smil-face": [[0, 4], [2, 4.2]]}[name]
    np.testing.assert_allclose(rows.times, ends, atol=1e-6)
    np.testing.assert_allclose(pooled.times, [[0, ends[-1][1]]], atol=1e-6)


def test_other_statistics_and_windows_can_be_asked_for(build):
    encoder = build("smil-audio", statistics=("mean", "p50", "p90"), window=1.0, step=0.5)
    (feature,) = encoder.encode([sound(3)])
    assert feature.values.shape == (1, encoder.dim) == (1, 18)
    with pytest.raises(ConfigError, match="step <= width"):
        build("smil-audio", window=1.0, step=2.0)
    with pytest.raises(ConfigError, match="no statistic is called 'mode'"):
        build("smil-face", statistics=("mode",))


def test_a_short_sound_is_repeated_to_a_window_s_length(build):
    short = sound(1.3)
    whole = Streams(audio=np.tile(short.audio, 4)[:64_000])
    windows = build("smil-audio", pooled=False)
    np.testing.assert_allclose(windows.encode([short])[0].values[0], windows.encode([whole])[0].values[0], atol=1e-5)


@pytest.mark.parametrize("normalises", [True, False])
def test_windows_are_normalised_where_the_model_says_so(tmp_path, normalises):
    folder = audio_folder(tmp_path, do_normalize=normalises)
    encoder = registry.build("encoders", "smil-audio", options={"model": str(folder)})
    seen = []
    encoder.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder.encode([Streams(audio=sound(4).audio + 0.5)])
    mean, spread = float(seen[0][0].mean()), float(seen[0][0].std())
    assert np.allclose((mean, spread), (0, 1) if normalises else (0.5, 0.1), atol=2e-2)


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(80_000), np.full(16_000, 1e-5)])
def test_no_sound_is_not_valid(build, audio):
    for pooled in (True, False):
        (feature,) = build("smil-audio", pooled=pooled).encode([Streams(audio=audio.astype(np.float32))])
        assert not feature.valid.any()
        assert np.isfinite(feature.values).all()


def test_a_window_without_sound_is_marked_among_others(build):
    audio = np.concatenate([sound(4).audio, np.zeros(64_000, np.float32)])
    (feature,) = build("smil-audio", pooled=False).encode([Streams(audio=audio)])
    assert feature.valid.tolist() == [True, True, False, False]


def test_samples_that_are_no_numbers_leave_features_finite(build):
    audio = sound(2).audio.copy()
    audio[100:200] = np.nan
    assert np.isfinite(build("smil-audio").encode([Streams(audio=audio)])[0].values).all()


def test_audio_at_another_rate_is_refused(build):
    with pytest.raises(DataError, match="expects 16000 Hz"):
        build("smil-audio").encode([replace(sound(1), audio_rate=44_100)])


def test_frames_without_a_face_are_dropped_and_their_gaps_closed(build):
    every = faces(14)
    shown = np.array([0, 1, 1, 0, *[1] * 10], np.float32)
    kept = shown > 0
    gapped = replace(every, face_confidence=shown)
    closed = Streams(faces=every.faces[kept], face_times=every.face_times[kept])
    (found,), (expected,) = build("smil-face").encode([gapped]), build("smil-face").encode([closed])
    alike(found, expected)
    np.testing.assert_allclose(found.times, [[0.2, 2.8]], atol=1e-6)
    assert np.abs(found.values - build("smil-face").encode([every])[0].values).max() > 1e-6


@pytest.mark.parametrize("count", [0, 3])
def test_no_face_at_all_is_not_valid(build, count):
    for pooled in (True, False):
        (feature,) = build("smil-face", pooled=pooled).encode([faces(count, face_confidence=np.zeros(count))])
        assert not feature.valid.any()
        assert feature.values.shape[1] == build("smil-face", pooled=pooled).dim


def test_crops_of_another_size_are_taken_by_their_nearest_pixels(build):
    small = faces(2, side=112)
    large = replace(small, faces=small.faces.repeat(2, 1).repeat(2, 2))
    (found,), (expected,) = build("smil-face").encode([small]), build("smil-face").encode([large])
    alike(found, expected)


def test_faces_of_one_frame_are_averaged_only_for_compatibility(build):
    time = np.array([0, 0, 0.2], np.float32)
    two = faces(3, face_times=time)
    encoder = build("smil-face", compat=True, pooled=False)
    seen = []
    hook = encoder.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    encoder.encode([two])
    hook.remove()
    prepared = smil_face_net.prepared(torch.from_numpy(two.faces))
    torch.testing.assert_close(seen[0], torch.stack([prepared[:2].mean(0), prepared[2]]))
    (plain,) = build("smil-face", pooled=False).encode([two])
    singles = build("smil-face", pooled=False).encode([faces_of(two, [i]) for i in range(3)])
    np.testing.assert_allclose(plain.values[0], np.mean([f.values[0] for f in singles], 0), atol=1e-6)


def faces_of(streams: Streams, rows: list[int]) -> Streams:
    return replace(
        streams, faces=streams.faces[rows], face_times=streams.face_times[rows], face_confidence=np.ones(len(rows))
    )


def test_colours_are_read_as_blue_green_red_minus_the_mean_of_affectnet():
    crop = np.zeros((1, 224, 224, 3), np.uint8)
    crop[..., 0], crop[..., 2] = 200, 10
    pixel = smil_face_net.prepared(torch.from_numpy(crop))[0, :, 5, 5]
    np.testing.assert_allclose(pixel, [10 - 91.4953, -103.8827, 200 - 131.0912], rtol=1e-6)


def test_a_frame_rate_below_five_looks_at_every_frame():
    assert smil_face_net.looked_at(7, 3.0) == range(7)


def test_depth_and_widths_are_read_from_the_weights(tmp_path):
    encoder = registry.build(
        "encoders", "smil-face", options={"weights": str(face_file(tmp_path / "x.pt", (1, 2, 1, 1), 5))}
    )
    assert encoder.dim == 10
    assert [len(getattr(encoder.network, f"layer{stage}")) for stage in (1, 2, 3, 4)] == [1, 2, 1, 1]


def test_the_face_encoder_says_which_weights_it_needs_and_where_they_are():
    with pytest.raises(ConfigError, match=r"FER_static_ResNet50_AffectNet\.pt.*SMIL-SPCRAS/MER") as refusal:
        registry.build("encoders", "smil-face")
    assert "weights=PATH" in refusal.value.hint


@pytest.mark.parametrize("streams", [Streams(), said(""), said(" \n"), said("das ist gut", language="de")])
def test_no_text_and_another_language_are_not_valid(build, streams):
    ours, other = build("smil-text").encode([streams, said("good")])
    assert not ours.valid.any()
    assert not ours.values.any()
    assert other.valid.all()


def test_a_text_is_cut_at_the_model_s_length(build):
    long, longer = build("smil-text").encode([said("a" * 22 + "b"), said("a" * 22 + "c" * 900)])
    np.testing.assert_allclose(long.values, longer.values, atol=1e-6)
    assert build("smil-text").longest == 24


def test_a_text_lasts_as_long_as_its_words(build):
    words = (Word("so", 1.0, 1.5), Word("what", 2.0, 2.75))
    timed, untimed = build("smil-text").encode([said("so what", words=words), said("so what")])
    assert timed.times.tolist() == [[1.0, 2.75]]
    assert untimed.times.tolist() == [[0, 0]]


@pytest.mark.parametrize("name", MATERIAL)
def test_gradient_reaches_every_input(build, name):
    network = build(name).network
    if name == "smil-text":
        table = network.roberta.embeddings.word_embeddings.weight.requires_grad_()
        network(torch.tensor([[0, 5, 9, 2]]), torch.ones(1, 4, dtype=torch.long))[0].square().sum().backward()
        touched = table.grad[[0, 5, 9, 2]].abs().sum(1)
        table.requires_grad_(False)
    else:
        given = torch.randn((2, 4000) if name == "smil-audio" else (2, 3, 64, 64), requires_grad=True)
        network(given)[0].square().sum().backward()
        touched = given.grad.flatten(1).abs().sum(1)
    assert (touched > 0).all()


# -- checkpoints ------------------------------------------------------------------------------------------------------


def old_names(folder: Path) -> dict:
    """Return a model's tensors as DataParallel and torch before 2.1 would have called them."""
    tensors = load_file(folder / "model.safetensors")
    renamed = {name.replace("parametrizations.weight.original0", "weight_g"): t for name, t in tensors.items()}
    renamed = {name.replace("parametrizations.weight.original1", "weight_v"): t for name, t in renamed.items()}
    assert any(name.endswith("weight_g") for name in renamed)
    return {f"module.{name}": tensor for name, tensor in renamed.items()}


def test_fine_tuned_weights_of_old_spelling_take_the_place_of_the_model_s_own(models, build, tmp_path):
    folder = Path(models["smil-audio"]["model"])
    tensors = old_names(folder)
    tensors["module.projector.weight"] = tensors["module.projector.weight"] * 2
    tensors["module.projector.bias"] = tensors["module.projector.bias"] * 2
    torch.save({"epoch": 3, "state_dict": tensors}, tmp_path / "tuned.pt")
    (tuned,) = build("smil-audio", weights=str(tmp_path / "tuned.pt")).encode([sound(5)])
    np.testing.assert_allclose(tuned.values, 2 * build("smil-audio").encode([sound(5)])[0].values, rtol=1e-4, atol=1e-6)


def test_the_fingerprint_follows_content_not_place(tmp_path, models):
    one, other = audio_folder(tmp_path / "a"), audio_folder(tmp_path / "b")

    def fingerprint(folder, **options):
        return registry.build("encoders", "smil-audio", options={"model": str(folder), **options}).weights

    assert fingerprint(one) == fingerprint(other)
    audio_folder(other, do_normalize=False)
    assert fingerprint(one) != fingerprint(other)
    torch.save({name: t + 1 for name, t in load_file(one / "model.safetensors").items()}, tmp_path / "t.pt")
    assert len({fingerprint(one), fingerprint(other), fingerprint(one, weights=str(tmp_path / "t.pt"))}) == 3


def test_misfits_are_told_by_name(tmp_path):
    folder = audio_folder(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    del tensors["wav2vec2.encoder.layer_norm.bias"]
    tensors["lstm.weight"] = torch.zeros(3)
    tensors["wav2vec2.feature_projection.projection.bias"] = torch.zeros(5)
    torch.save(tensors, tmp_path / "odd.pt")
    with pytest.raises(DataError) as refusal:
        registry.build("encoders", "smil-audio", options={"model": str(folder), "weights": str(tmp_path / "odd.pt")})
    assert "missing: wav2vec2.encoder.layer_norm.bias;" in refusal.value.message
    assert "unexpected: lstm.weight;" in refusal.value.message
    assert "projection.bias is (5,) for (16,)" in refusal.value.message


def test_weights_without_their_last_layers_are_told(tmp_path):
    torch.save({"features.weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"holds no 'layer1\.0\.conv1\.weight'; it begins with features\.weight"):
        registry.build("encoders", "smil-face", options={"weights": str(tmp_path / "other.pt")})


class Trap:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path):
    sprung = tmp_path / "sprung"
    torch.save({"x": Trap(sprung)}, tmp_path / "trap.pt")
    with pytest.raises(DataError, match=r"refused: it holds a pickled '\w+\.mkdir'.*could run any code") as refusal:
        checkpoints.read(tmp_path / "trap.pt")
    assert "state_dict" in refusal.value.hint
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"junk, and more junk", b"PK\x03\x04torn"])
@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_junk_is_no_checkpoint(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as"):
        checkpoints.read(tmp_path / name)


@pytest.mark.parametrize("content", [{"epoch": 3, "loss": 0.5}, [torch.zeros(2)], torch.zeros(2)])
def test_a_file_without_a_state_dict_is_told_by_what_it_holds(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(DataError, match="expected a state dict"):
        checkpoints.read(tmp_path / "x.pt")


@pytest.mark.parametrize("place", ["absent.pt", "."])
def test_no_file_or_a_folder_without_weights_is_told(tmp_path, place):
    with pytest.raises(DataError, match=r"no weights at .*expected"):
        checkpoints.read(tmp_path / place)


def test_a_model_of_another_kind_is_refused(tmp_path, models):
    text, audio = models["smil-text"]["model"], models["smil-audio"]["model"]
    with pytest.raises(DataError, match="of type 'roberta', expected wav2vec2"):
        registry.build("encoders", "smil-audio", options={"model": text})
    with pytest.raises(DataError, match="of type 'wav2vec2', expected roberta"):
        registry.build("encoders", "smil-text", options={"model": audio})


@pytest.mark.parametrize("lacking", ["config.json", "pytorch_model.bin", "vocab.json"])
def test_a_folder_that_lacks_a_file_is_told(tmp_path, lacking):
    folder = text_folder(tmp_path)
    (folder / lacking).unlink()
    with pytest.raises(DataError, match=r"holds no .*(config.json|pytorch_model.bin|tokenizer)"):
        registry.build("encoders", "smil-text", options={"model": str(folder)})


def test_a_model_that_is_not_here_is_answered_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=r"'config\.json' of the model 'DunnBC22/.*not on this machine") as refusal:
        registry.build("encoders", "smil-audio", options={"revision": "abc"})
    assert "mer models pull DunnBC22/wav2vec2-base-Speech_Emotion_Recognition@abc" in refusal.value.hint
    with pytest.raises(DataError, match="expected a folder, or the name"):
        registry.build("encoders", "smil-text", options={"model": "no/such/folder"})


def test_a_model_in_the_hub_s_cache_is_found_by_its_name(tmp_path, monkeypatch, build):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "0" * 40
    repo = tmp_path / "models--someone--speech"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    (repo / "snapshots").mkdir()
    audio_folder(repo / "snapshots" / commit)
    for revision in (None, commit):
        encoder = registry.build("encoders", "smil-audio", options={"model": "someone/speech", "revision": revision})
        alike(encoder.encode([sound(3)])[0], build("smil-audio").encode([sound(3)])[0])
        assert encoder.weights == build("smil-audio").weights


def test_position_ids_and_a_pooler_of_older_models_are_passed_over(tmp_path, build):
    folder = text_folder(tmp_path)
    tensors = torch.load(folder / "pytorch_model.bin", weights_only=True)
    tensors["roberta.embeddings.position_ids"] = torch.arange(26)[None]
    tensors["roberta.pooler.dense.weight"] = torch.zeros(16, 16)
    torch.save(tensors, folder / "pytorch_model.bin")
    encoder = registry.build("encoders", "smil-text", options={"model": str(folder)})
    alike(encoder.encode([said("good")])[0], build("smil-text").encode([said("good")])[0])


def test_the_text_network_is_transformers_own_classifier(models):
    from transformers import AutoModelForSequenceClassification

    folder = Path(models["smil-text"]["model"])
    theirs = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ours = smil_text_net.load(checkpoints.open_model(str(folder), None, None, ()))
    ids, mask = torch.tensor([[0, 7, 8, 2], [0, 9, 2, 1]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.inference_mode():
        torch.testing.assert_close(ours(ids, mask)[1], theirs(ids, mask).logits)


@pytest.mark.parametrize(("fps", "stride"), [(29.97, 5), (30, 6), (25, 5), (24, 4), (50, 10)])
def test_compat_looks_at_the_frames_that_the_published_code_takes(build, fps, stride):
    encoder = build("smil-face", compat=True, pooled=False)
    assert encoder.settings.face_fps >= 50, "all frames are needed to take every n-th"
    count = 4 * stride + 1
    every = faces(count, face_times=(np.arange(count) / fps).astype(np.float32))
    (found,), (expected,) = (
        encoder.encode([some])
        for some in (every, replace(faces_of(every, [*range(0, count, stride)]), face_times=None))
    )
    np.testing.assert_allclose(found.values, expected.values, atol=1e-6)
    hidden = np.ones(count, np.float32)
    hidden[stride] = 0
    shown = smil_face_net._shown(replace(every, face_confidence=hidden), True)
    assert [int(own[0]) for own in shown] == [0, 2 * stride, 3 * stride, 4 * stride]
