"""Foal-Net: logits, both auxiliary losses, negatives and streams, against the seed's own computations."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.contracts import Batch
from mercli.fusion.heads import foalnet_import
from mercli.fusion.heads.foalnet_losses import hard_negatives, similarity
from mercli.fusion.heads.foalnet_net import CrossLayer, Projection
from mercli.types import LabelScheme

pytestmark = pytest.mark.parity
HEADS = ("foalnet_head_small", "foalnet_small_wavlm")


def built(reference, prefix="", **changes):
    seed = foalnet_import.from_seed({prefix + name: tensor for name, tensor in reference.part("weights").items()})
    scheme = LabelScheme("seed", "one-of", tuple(map(str, range(seed.classes))))
    head = registry.build("heads", seed.name, seed.dims, scheme, options={**seed.options, **changes})
    head.load_state_dict(seed.state)
    return head.eval(), seed


def cases(reference):
    """Yield each case's name and batch; the speech encoder's output stands for it where there is one."""
    names = sorted({n.split(".")[1] for n in reference.tensors if n.startswith("in.")})
    for case in names:
        given = {n: t for part in ("mid", "in") for n, t in reference.part(f"{part}.{case}").items()}
        values = {"audio": given["audio_hidden"], "face": given.get("video", given.get("vinput_values"))}
        valid = {"audio": given["audio_mask"], "face": given.get("video_mask", given.get("vattention_mask"))}
        targets = given.get("labels", given.get("emo_label"))
        present = torch.ones(len(targets), 2).bool()
        yield case, Batch(("audio", "face"), values, valid, present, targets)


@torch.no_grad()
def outputs(head, batch, seed):
    """Return what the head computes, by the reference's names."""
    torch.manual_seed(seed)
    caught = {}
    parts = {
        "audio_project": head.audio_projection,
        "video_project": head.face_projection,
        "a2v_logits": head.audio_matches,
        "v2a_logits": head.face_matches,
    }
    pooled = {"a2v_pooled": head.audio_matches, "v2a_pooled": head.face_matches, "fused": head.classifier}
    hooks = [m.register_forward_hook(lambda _m, _g, r, n=n: caught.update({n: r})) for n, m in parts.items()]
    hooks += [m.register_forward_hook(lambda _m, g, _r, n=n: caught.update({n: g[0]})) for n, m in pooled.items()]
    output = head(batch)
    aligned, matched = head.auxiliary(output, batch)
    for hook in hooks:
        hook.remove()
    out = {"cls_logits": output.logits, "loss_avel": aligned, "loss_mem": matched}
    return {**{f"mid.{n}": t for n, t in caught.items()}, **{f"out.{n}": t for n, t in out.items()}}


@pytest.mark.parametrize("name", HEADS)
def test_a_checkpoint_gives_the_seeds_logits_losses_and_streams(parity, name):
    reference = parity(name)
    head, _ = built(reference)
    seen = 0
    for case, batch in cases(reference):
        for place, found in outputs(head, batch, reference.facts["rng_seed_before_forward"]).items():
            kind, tensor = place.split(".")
            reference.agrees(found, f"{kind}.{case}.{tensor}")
            seen += 1
    not_compared = ("audio_hidden", "audio_mask", "neg_audio_for_video", "neg_video_for_audio")
    wanted = [n for n in reference.tensors if n.startswith(("mid.", "out.")) and not n.endswith(not_compared)]
    assert seen == len(wanted)


@pytest.mark.parametrize("name", HEADS)
def test_the_training_loss_is_the_weighted_sum(parity, name):
    reference = parity(name)
    head, _ = built(reference)
    for case, batch in cases(reference):
        torch.manual_seed(reference.facts["rng_seed_before_forward"])
        with torch.no_grad():
            found = head.loss(head(batch), batch)
        out = reference.part(f"out.{case}")
        entropy = torch.nn.functional.cross_entropy(out["cls_logits"], batch.targets)
        torch.testing.assert_close(found, entropy + out["loss_avel"] + 0.1 * out["loss_mem"], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", HEADS)
def test_negatives_are_drawn_in_the_seeds_order(parity, name):
    reference = parity(name)
    temperature = reference.tensors["weights.temp"]
    for case, batch in cases(reference):
        mid = reference.part(f"mid.{case}")
        likeness = similarity(mid["audio_project"], mid["video_project"], temperature)
        torch.manual_seed(reference.facts["rng_seed_before_forward"])
        face, audio = hard_negatives(likeness, batch.targets, false=True)
        reference.agrees(face, f"mid.{case}.neg_video_for_audio")
        reference.agrees(audio, f"mid.{case}.neg_audio_for_video")


@pytest.mark.parametrize("name", HEADS)
def test_without_compat_logits_are_the_seeds_and_alignment_is_averaged(parity, name):
    reference = parity(name)
    head, _ = built(reference, compat=False)
    for case, batch in cases(reference):
        found = outputs(head, batch, reference.facts["rng_seed_before_forward"])
        reference.agrees(found["out.cls_logits"], f"out.{case}.cls_logits")
        partners = (batch.targets[:, None] == batch.targets).sum(1)
        summed = reference.tensors[f"out.{case}.loss_avel"]
        if (partners == partners[0]).all():
            torch.testing.assert_close(found["out.loss_avel"], summed / partners[0], rtol=2e-5, atol=1e-6)
        else:
            assert found["out.loss_avel"] < summed
        if (partners == len(partners)).all():
            assert found["out.loss_mem"] == 0


@pytest.mark.parametrize("name", HEADS)
def test_sizes_are_read_from_the_weights_with_or_without_the_data_parallel_prefix(parity, name):
    reference = parity(name)
    _, seed = built(reference, "module.")
    given = reference.facts["constructor"]
    assert dict(seed.dims) == {"audio": given["audio_dim"], "face": given["video_dim"]}
    assert seed.classes == given["n_classes"]
    assert (seed.options["projection"], seed.options["layers"]) == (given["proj_dim"], given["n_layers"])


@torch.no_grad()
def test_from_the_waveform_the_checkpoints_own_encoder_leads_to_its_logits(parity):
    from transformers import WavLMConfig, WavLMModel

    reference = parity("foalnet_small_wavlm")
    speech = WavLMModel(WavLMConfig(**reference.facts["constructor"]["wavlm_config"])).eval()
    speech.load_state_dict(foalnet_import.encoder(reference.part("weights")))
    head, _ = built(reference)
    for case, batch in cases(reference):
        given = reference.part(f"in.{case}")
        hidden = speech(given["input_values"], attention_mask=given["attention_mask"]).last_hidden_state
        reference.agrees(hidden, f"mid.{case}.audio_hidden")
        heard = Batch(batch.modalities, {**batch.values, "audio": hidden}, batch.valid, batch.present)
        reference.agrees(head(heard).logits, f"out.{case}.cls_logits")


@torch.no_grad()
@pytest.mark.parametrize("unit", ["res", "nores"])
def test_cross_attention_adds_its_queries_only_where_they_are_as_wide(parity, unit):
    reference = parity("foalnet_units")
    given, expected = reference.part(f"in.{unit}"), reference.tensors[f"out.{unit}.masked"]
    layer = CrossLayer(given["q"].shape[-1], given["k"].shape[-1], expected.shape[-1], 4, 0.1).eval()
    layer.load_state_dict(foalnet_import.layer(reference.part(f"weights.{unit}")))
    reference.agrees(layer(given["q"], given["k"], given["v"], given["key_mask"])[0], f"out.{unit}.masked")
    reference.agrees(layer(given["q"], given["k"], given["v"])[0], f"out.{unit}.unmasked")


@torch.no_grad()
def test_projection(parity):
    reference = parity("foalnet_units")
    given = reference.tensors["in.projection.x"]
    projection = Projection(given.shape[-1], reference.tensors["out.projection"].shape[-1]).eval()
    projection.load_state_dict(foalnet_import.projection(reference.part("weights.projection")))
    reference.agrees(projection(given), "out.projection")
