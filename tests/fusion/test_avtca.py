"""The ``avtca`` head beyond parity: any length, any subset, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mercli import config, registry
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion.batch import Statistics
from mercli.fusion.heads import avtca_import
from mercli.fusion.heads.avtca_joins import FrameWeights
from mercli.fusion.heads.avtca_net import sound_rows
from mercli.fusion.masked import batch_norm

from .sequences import SCHEME, batch_of, every_subset, keeps_the_rules_of_heads

DIMS = {"audio": 6, "face": 5}
SMALL = {"heads": 2, "audio_widths": (4, 8, 6, 8), "face_widths": (4, 4, 8, 8)}
FUSIONS = ("it", "lt", "ia")


def built(**options):
    torch.manual_seed(0)
    return registry.build("heads", "avtca", DIMS, SCHEME, options={**SMALL, **options})


@pytest.mark.parametrize("fusion", FUSIONS)
def test_padding_company_and_order_change_nothing_and_every_row_is_learned_from(fusion):
    keeps_the_rules_of_heads(built(fusion=fusion), DIMS, {"audio": [30, 17, 14, 22], "face": [15, 4, 9, 1]})


@pytest.mark.parametrize("fusion", FUSIONS)
def test_sounds_shorter_than_the_convolutions_and_absent_modalities_are_finite_alike(fusion):
    keeps_the_rules_of_heads(built(fusion=fusion), DIMS, {"audio": [1, 5, 12, 13, 0, 20], "face": [2, 1, 3, 0, 4, 1]})


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_subset_trains(fusion):
    head = built(fusion=fusion).train()
    batch = batch_of(DIMS, every_subset(DIMS))
    head.loss(head(batch), batch).backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in head.parameters())


def test_an_item_alone_can_be_trained_on():
    head = built().train()
    batch = batch_of(DIMS, {"audio": [1], "face": [1]})
    head.loss(head(batch), batch).backward()
    assert head(batch).logits.isfinite().all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_absent_modality_is_as_many_zeros_as_the_seeds_clips_have_rows(fusion):
    head = built(fusion=fusion, compat=True).eval()
    for absent, rows in (("audio", 156), ("face", 15)):
        lengths = {m: [0 if m == absent else 20] for m in DIMS}
        batch = batch_of(DIMS, lengths)
        zeros = batch_of(DIMS, {**lengths, absent: [rows]})
        zeros.values = {m: batch.values[m] if m != absent else torch.zeros(1, rows, d) for m, d in DIMS.items()}
        torch.testing.assert_close(head(batch).logits, head(zeros).logits)


def test_a_sound_counts_up_to_its_last_valid_row_and_at_least_as_far_as_the_convolutions_reach():
    valid = torch.zeros(4, 20).bool()
    valid[0, :5] = valid[1, :13] = valid[2, [2, 15]] = True
    values, real = sound_rows(torch.ones(4, 20, 3), valid)
    assert real.sum(1).tolist() == [13, 13, 16, 156]
    assert values.shape == (4, 156, 3)
    assert values.sum((1, 2)).tolist() == [15, 39, 6, 0]


def test_face_frames_that_are_not_valid_have_no_say():
    head = built().eval()
    batch = batch_of(DIMS, {"audio": [20], "face": [10]})
    before = head(batch).extras["audio_from_face"]
    batch.valid["face"][0, 3] = False
    first = head(batch)
    batch.values["face"][0, 3] = 99.0
    torch.testing.assert_close(head(batch).logits, first.logits)
    assert first.extras["audio_from_face"][..., 3].abs().max() == 0
    assert before[..., 3].min() > 0


def test_attention_maps_are_named_and_sum_to_one():
    for fusion in FUSIONS:
        extras = built(fusion=fusion).eval()(batch_of(DIMS, {"audio": [20, 9], "face": [6, 3]})).extras
        assert set(extras) == {"audio_from_face", "face_from_audio"}
        for weights in extras.values():
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_frame_weights_average_one_unless_they_are_summed_as_in_the_seed():
    torch.manual_seed(0)
    audio, face = torch.randn(1, 40, 8), torch.randn(1, 10, 4)
    real = torch.ones(1, 40).bool(), torch.ones(1, 10).bool()
    for summed, mean_audio, mean_face in ((False, 1.0, 1.0), (True, 10 / 40, 40 / 10)):
        join = FrameWeights(8, 4, 2, summed=summed)
        heard, seen, _ = join(audio, face, *real)
        assert (heard / audio).mean().item() == pytest.approx(mean_audio, rel=1e-4)
        assert (seen / face).mean().item() == pytest.approx(mean_face, rel=1e-4)


def test_padding_does_not_enter_the_statistics_of_normalisation():
    lengths = {"audio": [30, 14], "face": [9, 2]}
    states = []
    for extra in (0, 20):
        head = built().train()
        head(batch_of(DIMS, lengths, extra=extra, behind=50.0))
        states.append({name: value for name, value in head.state_dict().items() if "running" in name})
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name])
        assert value.isfinite().all()


def test_normalisation_of_fewer_than_two_rows_keeps_its_statistics():
    norm = torch.nn.BatchNorm1d(3).train()
    for count in (0, 1):
        real = torch.arange(4)[None] < count
        found = batch_norm(norm, torch.randn(1, 4, 3), real)
        assert found.isfinite().all()
        assert (found[~real] == 0).all()
    assert torch.equal(norm.running_mean, torch.zeros(3))


@pytest.mark.parametrize(
    ("dims", "told"),
    [
        ({**DIMS, "text": 3}, "takes audio, face, and the features are audio, face, text"),
        ({"audio": 6}, "takes audio, face, and the features are audio"),
    ],
)
def test_other_modalities_are_refused_with_the_flag_to_give(dims, told):
    with pytest.raises(ConfigError, match=told) as refusal:
        registry.build("heads", "avtca", dims, SCHEME)
    assert "--modalities audio face" in refusal.value.hint


def test_widths_that_cannot_be_joined_are_refused():
    with pytest.raises(ConfigError, match="'heads' is 3"):
        built(heads=3)
    with pytest.raises(ConfigError, match="one attention for both"):
        built(face_widths=(4, 4, 8, 6))
    assert built(fusion="lt", face_widths=(4, 4, 8, 6)).eval()(batch_of(DIMS, every_subset(DIMS))).logits.shape[1] == 3


def test_a_bundle_brings_it_back_with_its_widths(tmp_path):
    head = built(fusion="lt").eval()
    stats = Statistics(
        {m: np.zeros(d, np.float32) for m, d in DIMS.items()}, {m: np.ones(d, np.float32) for m, d in DIMS.items()}
    )
    card = bundles.BundleCard(
        name="mine",
        scheme=SCHEME,
        policy="mine/1",
        recipe=config.Recipe(encoders=config.EMBEDDED).model_dump(),
        keys=dict.fromkeys(DIMS, "a" * 12),
        dims=DIMS,
        head={"name": "avtca", "version": "1", "options": {**SMALL, "fusion": "lt"}},
        temperature=1.0,
        priors={"train": [1 / 3] * 3},
        trained_on=[{"corpus": "c", "split": "train"}],
    )
    bundles.save(tmp_path / "made", card, head, stats, "# mine\n")
    assert json.loads((tmp_path / "made" / "bundle.json").read_text())["head"]["options"]["audio_widths"] == [
        4,
        8,
        6,
        8,
    ]
    batch = batch_of(DIMS, every_subset(DIMS))
    loaded = bundles.load(tmp_path / "made").head.eval()
    torch.testing.assert_close(loaded(batch).logits, head(batch).logits)


@pytest.mark.parametrize(
    ("name", "told"), [("visual_model.stage2.0.weight", None), ("fc.weight", "'fc.weight' is no weight of AVT-CA")]
)
def test_a_checkpoint_may_hold_the_trunk_and_nothing_else_unknown(name, told):
    state = seed_state() | {name: torch.zeros(1)}
    if told is None:
        assert avtca_import.from_seed(state).dims == DIMS
        return
    with pytest.raises(DataError, match=told):
        avtca_import.from_seed(state)


@pytest.mark.parametrize("lost", ["visual_model.conv1d_2.0.weight", "classifier_1.0.bias", "av.attn.q.weight"])
def test_a_checkpoint_that_lacks_a_weight_is_refused_by_its_name(lost):
    state = {name: tensor for name, tensor in seed_state().items() if name != lost}
    with pytest.raises(DataError, match=f"no '{lost}'"):
        avtca_import.from_seed(state)


def seed_state():
    """Return the names and shapes of a checkpoint's weights that its sizes are read from (fusion ``lt``)."""
    state = {"classifier_1.0.weight": torch.zeros(3, 16), "classifier_1.0.bias": torch.zeros(3)}
    for stream, dim, widths in (("audio_model", 6, (4, 8, 6, 8)), ("visual_model", 5, (4, 4, 8, 8))):
        for k, (inside, outside) in enumerate(zip((dim, *widths), widths, strict=False)):
            state[f"{stream}.conv1d_{k}.0.weight"] = torch.zeros(outside, inside, 3)
    return {**state, "av.attn.q.weight": torch.zeros(8, 8)}
