"""Foal-Net's inputs, masks, sampler weights and hidden states against the seed's own numbers."""

from __future__ import annotations

import pytest
import torch

from mercli.features.seeds.foalnet_net import fitted, hidden, prefix_mask
from mercli.fusion.sampling import class_weights_per_item

pytestmark = pytest.mark.parity


def test_items_are_cut_and_padded_as_in_the_seed(parity):
    reference = parity("foalnet_data")
    items = {name.split(".")[0] for name in reference.part("in") if name.endswith(".wave")}
    assert items
    for item in items:
        audio, video, longest = reference.tensors[f"out.{item}.lens"].tolist()
        wave, samples = fitted(reference.tensors[f"in.{item}.wave"], longest)
        expected = reference.tensors[f"out.{item}.video"]
        crops, frames = fitted(reference.tensors[f"in.{item}.video"], len(expected))
        assert (samples, frames, len(wave)) == (audio, video, longest)
        reference.agrees(crops, f"out.{item}.video")
        reference.agrees(wave.double().sum(), f"out.{item}.wave_sum")


def test_masks_are_the_seeds_and_nothing_is_real_where_there_is_nothing(parity):
    reference = parity("foalnet_data")
    video, audio = reference.tensors["in.vlen"], reference.tensors["in.alen"]
    expected = reference.tensors["out.vattention_mask"]
    reference.agrees(prefix_mask(video, expected.shape[1], zero_is_all=True), "out.vattention_mask")
    longest = max(int(reference.tensors["out.item_a.lens"][2]), int(audio.max()))
    reference.agrees(prefix_mask(audio, longest, zero_is_all=True).sum(1), "out.attention_mask_sums")
    assert prefix_mask(video, expected.shape[1]).sum(1).tolist() == video.tolist()


def test_an_item_is_drawn_as_its_class_is_rare(parity):
    reference = parity("foalnet_data")
    labels = reference.tensors["in.labels"]
    weights = class_weights_per_item(labels)
    reference.agrees(weights.float(), "out.sampler_weights")
    by_class = torch.stack([weights[labels == k][0] for k in range(int(labels.max()) + 1)])
    reference.agrees(by_class.float(), "out.class_weight_v")
    reference.agrees((by_class / by_class.sum()).float(), "out.class_weight_q")


def test_hidden_states_and_their_mask_are_the_seeds(parity):
    from transformers import WavLMConfig, WavLMModel

    reference = parity("foalnet_small_wavlm")
    model = WavLMModel(WavLMConfig(**reference.facts["constructor"]["wavlm_config"])).eval()
    model.load_state_dict(reference.part("weights.wavlm"))
    batches = [name.split(".")[0] for name in reference.part("in") if name.endswith(".input_values")]
    assert batches
    for batch in batches:
        waves, real = (reference.tensors[f"in.{batch}.{name}"] for name in ("input_values", "attention_mask"))
        with torch.inference_mode():
            states, frames = hidden(model, waves, real.bool())
        reference.agrees(states, f"mid.{batch}.audio_hidden")
        reference.agrees(frames, f"mid.{batch}.audio_mask")
