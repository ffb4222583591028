"""AVT-CA: the fusion, its attention and its modality dropout, against the seed's own computations."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.contracts import Batch
from mercli.fusion import dropout
from mercli.fusion.heads import avtca_import
from mercli.fusion.heads.avtca_joins import Block, CrossAttention
from mercli.types import LabelScheme

pytestmark = pytest.mark.parity
FUSIONS = ("avtca_it_fusion", "avtca_lt_fusion", "avtca_ia_fusion")


def built(reference, prefix=""):
    """Return the head that users get, with the weights of a checkpoint, and what it was read from."""
    seed = avtca_import.from_seed({prefix + name: tensor for name, tensor in reference.part("weights").items()})
    scheme = LabelScheme("seed", "one-of", tuple(map(str, range(seed.classes))))
    head = registry.build("heads", seed.name, seed.dims, scheme, options=seed.options)
    head.load_state_dict(seed.state)
    return head.eval(), seed


def batches(reference):
    """Yield each input's name and batch: MFCC in time order, the frames' features of each clip."""
    given = reference.part("in")
    for case in sorted({name.split(".")[0] for name in given}):
        audio = given[f"{case}.mfcc"].transpose(1, 2)
        face = given[f"{case}.frame_features"].unflatten(0, (len(audio), -1))
        valid = {"audio": torch.ones(audio.shape[:2]).bool(), "face": torch.ones(face.shape[:2]).bool()}
        values = {"audio": audio, "face": face}
        yield case, Batch(("audio", "face"), values, valid, torch.ones(len(audio), 2).bool())


@torch.no_grad()
def outputs(head, batch):
    """Return the head's logits by the reference's names, with what its parts gave on the way."""
    caught = {}

    def catch(name, channels_first=False, first=True):
        def keep(module, given, result):
            rows = result[0] if first else given[0]
            caught[name] = rows.transpose(1, 2) if channels_first else rows

        return keep

    hooks = [
        part.register_forward_hook(catch(f"{stream}_stage{number}", channels_first=True))
        for stream, stages in (("audio", head.audio), ("video", head.face))
        for number, part in enumerate(stages, 1)
    ]
    hooks.append(head.classifier.register_forward_hook(catch("pooled", first=False)))
    join, number = (head.after, "") if head.between is None else (head.between, "1")
    if isinstance(getattr(join, "to_audio", None), Block):
        hooks.append(join.to_audio.register_forward_hook(catch(f"av{number}")))
        hooks.append(join.to_face.register_forward_hook(catch(f"va{number}")))
    output = head(batch)
    for hook in hooks:
        hook.remove()
    maps = {
        f"av{number}_attn": output.extras["audio_from_face"],
        f"va{number}_attn": output.extras["face_from_audio"],
    }
    return {**{f"mid.{name}": tensor for name, tensor in (caught | maps).items()}, "out.logits": output.logits}


@pytest.mark.parametrize("name", FUSIONS)
def test_a_checkpoint_gives_the_seeds_logits_attention_and_streams(parity, name):
    reference = parity(name)
    head, _ = built(reference)
    compared = set()
    for case, batch in batches(reference):
        for place, found in outputs(head, batch).items():
            kind, tensor = place.split(".")
            reference.agrees(found, f"{kind}.{case}.{tensor}")
            compared.add(f"{kind}.{case}.{tensor}")
    assert compared == {name for name in reference.tensors if name.startswith(("mid.", "out."))}


@pytest.mark.parametrize("name", FUSIONS)
def test_padding_leaves_the_seeds_logits(parity, name):
    reference = parity(name)
    head, _ = built(reference)
    for case, batch in batches(reference):
        values, valid = {}, {}
        for modality, rows in batch.values.items():
            noise = torch.full((len(rows), 7, rows.shape[2]), 3.0)
            values[modality] = torch.cat([rows, noise], 1)
            valid[modality] = torch.cat([batch.valid[modality], torch.zeros(len(rows), 7).bool()], 1)
        with torch.no_grad():
            found = head(Batch(batch.modalities, values, valid, batch.present)).logits
        reference.agrees(found, f"out.{case}.logits")


@pytest.mark.parametrize("name", FUSIONS)
def test_sizes_and_fusion_are_read_from_the_weights_with_or_without_the_data_parallel_prefix(parity, name):
    reference = parity(name)
    _, seed = built(reference, "module.")
    given = reference.facts["constructor"]
    assert (seed.options["fusion"], seed.classes) == (given["fusion"], given["num_classes"])
    assert seed.dims["audio"] == reference.tensors["weights.audio_model.conv1d_0.0.weight"].shape[1]
    assert seed.dims["face"] == reference.tensors["weights.visual_model.conv1d_0.0.weight"].shape[1]


@pytest.mark.parametrize("unit", ["wide", "narrow", "one_head"])
def test_attention_and_its_block_alone(parity, unit):
    reference = parity("avtca_units")
    heads = reference.tensors[f"out.{unit}.attn.map"].shape[1]
    for kind, make, named in (("attn", CrossAttention, avtca_import.attention), ("block", Block, avtca_import.block)):
        x_kv, x_q = reference.tensors[f"in.{unit}.{kind}.x_kv"], reference.tensors[f"in.{unit}.{kind}.x_q"]
        expected = reference.tensors[f"out.{unit}.{kind}.y"]
        module = make(x_kv.shape[-1], x_q.shape[-1], expected.shape[-1], heads)
        module.load_state_dict(named(reference.part(f"weights.{unit}.{kind}")))
        with torch.no_grad():
            answer, weights = module(x_kv, x_q)
        reference.agrees(answer, f"out.{unit}.{kind}.y")
        if kind == "attn":
            reference.agrees(weights, f"out.{unit}.attn.map")


@pytest.mark.parametrize("kind", ["softhard", "noise"])
def test_modality_dropout_draws_as_the_seed_does(parity, kind):
    reference = parity("avtca_modality_dropout")
    audio, video = reference.tensors["in.audio"], reference.tensors["in.video"]
    draw = torch.Generator().manual_seed(reference.facts["rng_seed"])
    one, two, order = dropout.VARIANTS[kind](audio, video, draw)
    reference.agrees(order, f"out.{kind}.permutation")
    reference.agrees(one, f"out.{kind}.audio")
    reference.agrees(two.transpose(1, 2).flatten(0, 1), f"out.{kind}.video")
    reference.agrees(reference.tensors["in.targets"][order % len(audio)], f"out.{kind}.targets")


def test_the_global_generator_draws_the_same(parity):
    reference = parity("avtca_modality_dropout")
    torch.manual_seed(reference.facts["rng_seed"])
    audio, _, _ = dropout.softhard(reference.tensors["in.audio"], reference.tensors["in.video"])
    reference.agrees(audio, "out.softhard.audio")


def test_a_batch_grows_as_the_seeds_does(parity):
    """The same clips as a batch of rows: what the seed fills with zeros is absent, and zeros."""
    reference = parity("avtca_modality_dropout")
    audio, video = reference.tensors["in.audio"].transpose(1, 2), reference.tensors["in.video"].transpose(1, 2)
    values = {"audio": audio, "face": video.flatten(2)}
    valid = {m: torch.ones(v.shape[:2]).bool() for m, v in values.items()}
    batch = Batch(
        ("audio", "face"), values, valid, torch.ones(len(audio), 2).bool(), reference.tensors["in.targets"]
    )  # fmt: skip
    grown = dropout.grow(batch, "softhard", torch.Generator().manual_seed(reference.facts["rng_seed"]))
    reference.agrees(grown.values["audio"].transpose(1, 2), "out.softhard.audio")
    reference.agrees(grown.values["face"].unflatten(2, video.shape[2:]).flatten(0, 1), "out.softhard.video")
    reference.agrees(grown.targets, "out.softhard.targets")
    copy = reference.tensors["out.softhard.permutation"] // len(audio)
    assert torch.equal(grown.present[:, 0], copy != 2)
    assert torch.equal(grown.present[:, 1], copy != 3)
