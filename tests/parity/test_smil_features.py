"""Raw material to features, as SMIL MER's own code computes them."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from mercli.features.seeds import checkpoints, smil_audio_net, smil_face_net, smil_text_net  # noqa: E402
from mercli.features.seeds.smil import smil_audio, smil_face  # noqa: E402
from mercli.features.windows import Summary, functionals, window_spans  # noqa: E402
from mercli.types import Streams  # noqa: E402

pytestmark = pytest.mark.parity


def saved(reference, folder, **preprocessor):
    """Write a reference's config and weights as the Hugging Face hub has them."""
    (folder / "config.json").write_text(json.dumps(reference.facts["constructor"]))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    save_file(reference.part("weights"), folder / "model.safetensors")
    return folder


def names(reference, prefix, leaf):
    """Return the middles X of the tensors called prefix.X.leaf."""
    return [key.split(".")[0] for key in reference.part(prefix) if key.endswith(f".{leaf}")]


def test_wav2vec2_frames_and_logits(parity, tmp_path):
    reference = parity("smil_audio_tiny")
    network = smil_audio_net.load(checkpoints.open_model(str(saved(reference, tmp_path)), None, None, ()))
    for case in names(reference, "in", "wave"):
        with torch.inference_mode():
            frames, logits = network(reference.tensors[f"in.{case}.wave"])
        reference.agrees(frames, f"out.{case}.projected")
        reference.agrees(logits, f"out.{case}.logits")


def test_the_audio_encoder_s_row_of_one_window_is_the_mean_of_its_frames(parity, tmp_path):
    reference = parity("smil_audio_tiny")
    saved(reference, tmp_path, do_normalize=False)
    tolerance = reference.facts["tolerance"]["rel_to_max"]
    for case in names(reference, "in", "wave"):
        waves = reference.tensors[f"in.{case}.wave"].numpy()
        seconds = waves.shape[1] / 16_000
        encoder = smil_audio(model=str(tmp_path), window=seconds, step=seconds, pooled=False, batch=2)
        features = encoder.encode([Streams(audio=wave) for wave in waves])
        expected = reference.tensors[f"out.{case}.projected"].mean(1).numpy()
        found = np.concatenate([feature.values[:1] for feature in features])
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def test_audio_windows_are_cut_tiled_normalised_and_summarised(parity):
    reference = parity("smil_audio_stats")
    made = reference.facts["constructor"]
    width, step = made["window_s"] * made["sampling_rate"], made["step_s"] * made["sampling_rate"]
    cases = reference.tensors["in.cases"].tolist()
    assert cases
    for n in cases:
        wave = reference.tensors[f"in.n{n}.wave"].numpy()
        raw = smil_audio_net.segments(wave, window_spans(len(wave), width, step), width)
        reference.agrees(torch.from_numpy(raw), f"mid.n{n}.segments_raw")
        reference.agrees(torch.from_numpy(smil_audio_net.normalised(raw)), f"mid.n{n}.segments")
        rows = reference.tensors[f"mid.n{n}.frame_features"].mean(1).numpy()
        reference.agrees(torch.from_numpy(functionals(rows))[None], f"out.n{n}.stats")


def test_how_many_windows_a_sound_has_at_16_khz(parity):
    reference = parity("smil_audio_stats")
    made = reference.facts["constructor"]
    for n, count in reference.tensors["out.real_rate_counts"].tolist():
        assert len(window_spans(n, made["window_s"] * 16_000, made["step_s"] * 16_000)) == count, n


def test_face_windows_are_not_tiled(parity):
    reference = parity("smil_video_stats")
    made = reference.facts["constructor"]
    width, step = (made[key] * made["frames_per_second"] for key in ("window_s", "step_s"))
    for n in reference.tensors["in.cases"].tolist():
        rows = reference.tensors[f"in.n{n}.frame_features"].numpy()
        means = [functionals(rows[start:end], ("mean",)) for start, end in window_spans(len(rows), width, step)]
        reference.agrees(torch.from_numpy(functionals(np.stack(means)))[None], f"out.n{n}.stats")


def crops(reference):
    """Return the RGB crops of the frames that the reference looked at, and the frame of each."""
    frames = reference.tensors["in.frames_bgr"].numpy()
    found = []
    for frame in reference.tensors["mid.frames_looked_at"].tolist():
        boxes = reference.tensors.get(f"in.boxes_frame{frame}", torch.zeros(0, 4))
        image = np.ascontiguousarray(frames[frame][..., ::-1])
        found += [(smil_face_net.cropped(image, tuple(box)), frame) for box in boxes.tolist()]
    return np.stack([crop for crop, _ in found]), torch.tensor([frame for _, frame in found])


def test_one_face_is_prepared(parity):
    reference = parity("smil_faces")
    resized = smil_face_net.resized(reference.tensors["in.image_rgb"].numpy())
    reference.agrees(smil_face_net.prepared(torch.from_numpy(resized)[None]), "out.tensor")


def test_boxes_are_cropped_and_the_faces_of_a_frame_averaged(parity):
    reference = parity("smil_faces")
    cut, frames = crops(reference)
    faces = smil_face_net.averaged(smil_face_net.prepared(torch.from_numpy(cut)), frames)
    reference.agrees(faces, "mid.faces")


def test_frames_without_a_face_are_dropped_and_the_rest_summarised(parity):
    reference = parity("smil_faces")
    cut, frames = crops(reference)
    faces = smil_face_net.averaged(smil_face_net.prepared(torch.from_numpy(cut)), frames)
    # the reference's stand-in for the network
    rows = torch.nn.functional.adaptive_avg_pool2d(faces, 2).flatten(1).numpy()
    means = np.stack([functionals(rows[start:end], ("mean",)) for start, end in window_spans(len(rows), 20, 10)])
    feature = Summary().feature(means, np.zeros((len(means), 2), np.float32), np.ones(len(means), bool))
    reference.agrees(torch.from_numpy(feature.values), "out.stats")


def test_frames_are_looked_at_in_rounded_strides(parity):
    reference = parity("smil_faces")
    of = int(re.search(r"looked at of (\d+)", reference.facts["notes"])[1])
    for fps, stride, count in reference.tensors["out.strides"].tolist():
        frames = smil_face_net.looked_at(of, fps)
        assert (frames.step, len(frames)) == (stride, count), fps


def resnet_file(reference, folder):
    path = folder / "resnet.pt"
    torch.save({f"module.{name}": tensor for name, tensor in reference.part("weights").items()}, path)
    return path


def test_resnet_features_and_logits(parity, tmp_path):
    reference = parity("smil_resnet")
    network = smil_face_net.load(checkpoints.read(resnet_file(reference, tmp_path)))
    for case in names(reference, "in", "u8"):
        rgb = reference.tensors[f"in.{case}.u8"].flip(1).permute(0, 2, 3, 1)  # the reference stores BGR planes
        with torch.inference_mode():
            feature, logits = network(smil_face_net.prepared(rgb))
        reference.agrees(feature, f"out.{case}.fc1")
        reference.agrees(logits, f"out.{case}.logits")


def test_the_face_encoder_s_row_of_one_frame_is_the_feature_of_its_crop(parity, tmp_path):
    reference = parity("smil_resnet")
    encoder = smil_face(weights=str(resnet_file(reference, tmp_path)), pooled=False)
    whole = [
        case for case in names(reference, "in", "u8") if reference.tensors[f"in.{case}.u8"].shape[2:] == (224, 224)
    ]
    if not whole:
        pytest.skip("this reference shows no picture at the encoder's own size")
    for case in whole:
        rgb = reference.tensors[f"in.{case}.u8"].flip(1).permute(0, 2, 3, 1).numpy()
        features = encoder.encode([Streams(faces=face[None]) for face in np.ascontiguousarray(rgb)])
        reference.agrees(torch.from_numpy(np.concatenate([f.values for f in features])), f"out.{case}.fc1")


def test_roberta_s_dense_layer_and_logits(parity, tmp_path):
    reference = parity("smil_text_tiny")
    network = smil_text_net.load(checkpoints.open_model(str(saved(reference, tmp_path)), None, None, ()))
    with torch.inference_mode():
        dense, logits = network(reference.tensors["in.input_ids"], reference.tensors["in.attention_mask"])
    reference.agrees(dense, "out.dense")
    reference.agrees(logits, "out.logits")
