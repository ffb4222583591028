"""The ``foalnet`` head beyond parity: subsets, the auxiliary losses, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.fusion.heads import foalnet_import
from mercli.fusion.heads.foalnet_losses import alignment_loss, hard_negatives, similarity
from mercli.fusion.losses import cross_entropy

from .sequences import SCHEME, batch_of, every_subset, keeps_the_rules_of_heads, taken

DIMS = {"audio": 7, "face": 8}
LENGTHS = {"audio": [9, 3, 1, 5], "face": [4, 1, 6, 2]}


def built(**options):
    torch.manual_seed(0)
    return registry.build("heads", "foalnet", DIMS, SCHEME, options={"projection": 6, **options})


@pytest.mark.parametrize("compat", [False, True])
def test_padding_company_and_order_change_nothing_and_every_row_is_learned_from(compat):
    keeps_the_rules_of_heads(built(dropout=0.0, compat=compat), DIMS, LENGTHS)


def test_absent_modalities_are_finite_alike():
    lengths = {"audio": [9, 0, 1, 5, 0], "face": [0, 3, 6, 0, 1]}
    keeps_the_rules_of_heads(built(dropout=0.0), DIMS, lengths)


def test_the_classifier_sees_zeros_for_an_absent_stream():
    extras = built().eval()(batch_of(DIMS, {"audio": [4, 0], "face": [0, 3]})).extras
    assert not extras["face"][0].any()
    assert not extras["audio"][1].any()
    assert extras["audio"][0].any()
    assert extras["face"][1].any()


def test_attention_of_each_layer_is_named_and_gives_padding_nothing():
    batch = batch_of(DIMS, LENGTHS)
    extras = built(layers=3).eval()(batch).extras
    for name, keys in (("audio_from_face", "face"), ("face_from_audio", "audio")):
        for layer in range(3):
            weights = extras[f"{name}.{layer}"]
            assert weights.shape[1:] == (4, *[max(LENGTHS[m]) for m in (name.split("_")[0], keys)])
            assert weights.transpose(1, 3)[~batch.valid[keys]].abs().max() == 0


def test_prediction_needs_no_labels_and_training_does():
    head, batch = built().eval(), batch_of(DIMS, LENGTHS, targets=False)
    output = head(batch)
    assert output.logits.isfinite().all()
    with pytest.raises(ValueError, match="needs targets"):
        head.loss(output, batch)


def test_the_batch_is_not_written_into():
    batch = batch_of(DIMS, LENGTHS, extra=2, behind=5.0)
    before = {m: v.clone() for m, v in batch.values.items()}
    head = built().train()
    head.loss(head(batch), batch).backward()
    assert all(torch.equal(before[m], batch.values[m]) for m in DIMS)


def test_items_without_both_modalities_take_no_part_in_alignment_and_matching():
    head = built().eval()
    both = batch_of(DIMS, LENGTHS)
    more = batch_of(DIMS, {m: [*counts, 3 * (m == "audio"), 3 * (m == "face")] for m, counts in LENGTHS.items()})
    for modality in DIMS:
        more.values[modality][:4, : both.values[modality].shape[1]] = both.values[modality]
    found = []
    for batch in (both, more):
        torch.manual_seed(3)
        found.append(torch.stack(head.auxiliary(head(batch), batch)))
    torch.testing.assert_close(found[0], found[1])
    alone = batch_of(DIMS, {"audio": [3, 3], "face": [0, 0]})
    assert [float(part) for part in head.auxiliary(head(alone), alone)] == [0, 0]


def test_weights_of_zero_leave_the_cross_entropy():
    head, batch = built(alignment=0.0, matching=0.0).eval(), batch_of(DIMS, LENGTHS)
    output = head(batch)
    torch.testing.assert_close(head.loss(output, batch), cross_entropy(output.logits, batch))
    heavy = built(alignment=2.0, matching=0.0).eval()
    aligned, _ = heavy.auxiliary(output, batch)
    torch.testing.assert_close(heavy.loss(output, batch), cross_entropy(output.logits, batch) + 2 * aligned)


def test_averaged_alignment_does_not_grow_with_the_items_of_a_class_and_the_seeds_does():
    torch.manual_seed(0)
    audio, face = torch.randn(6, 5), torch.randn(6, 5)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    for average, factor in ((True, 1.0), (False, 3.0)):
        loss = alignment_loss(similarity(audio, face, 1.0), labels, average=average)
        torch.testing.assert_close(loss, factor * alignment_loss(similarity(audio, face, 1.0), labels))
    apart = torch.arange(6)
    likeness = similarity(audio, face, 1.0)
    diagonal = -(likeness.log_softmax(1).diag() + likeness.T.log_softmax(1).diag()).mean() / 2
    torch.testing.assert_close(alignment_loss(likeness, apart), diagonal)


def test_alignment_is_least_where_partners_are_alike():
    labels = torch.tensor([0, 1, 0, 1])
    alike = torch.eye(2)[labels]
    assert alignment_loss(similarity(alike, alike, 0.1), labels) < alignment_loss(
        similarity(alike, alike.flip(1), 0.1), labels
    )


def test_negatives_have_another_label_and_the_most_alike_is_drawn():
    labels = torch.tensor([0, 0, 1, 1, 2])
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        for drawn in hard_negatives(torch.zeros(5, 5), labels, draw=draw):
            assert (labels[drawn] != labels).all()
    likeness = torch.zeros(5, 5)
    likeness[0, 3] = likeness[4, 1] = 100.0
    face, audio = hard_negatives(likeness, labels)
    assert face[0] == 3
    assert audio[1] == 4


def test_a_batch_of_one_class_has_no_negatives_unless_as_in_the_seed():
    labels = torch.ones(4).long()
    assert all((drawn == -1).all() for drawn in hard_negatives(torch.zeros(4, 4), labels))
    assert all((drawn >= 0).all() for drawn in hard_negatives(torch.zeros(4, 4), labels, false=True))
    batch = batch_of(DIMS, LENGTHS)
    batch.targets = labels
    for compat, zero in ((False, True), (True, False)):
        head = built(compat=compat).eval()
        _, matched = head.auxiliary(head(batch), batch)
        assert (float(matched) == 0) == zero


@pytest.mark.parametrize("learned", [0.0, -0.5])
def test_a_temperature_that_is_learned_down_to_nothing_counts_as_a_hundredth(learned):
    head, batch = built().eval(), batch_of(DIMS, LENGTHS)
    found = []
    for temperature in (learned, 0.01):
        with torch.no_grad():
            head.temperature.fill_(temperature)
        aligned, _ = head.auxiliary(head(batch), batch)
        aligned.backward()
        found.append(aligned)
    assert found[0].isfinite()
    torch.testing.assert_close(*found)
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in head.parameters())


def test_training_on_every_subset_and_on_one_item_is_finite():
    head = built().train()
    for batch in (batch_of(DIMS, every_subset(DIMS)), taken(batch_of(DIMS, LENGTHS), [0])):
        loss = head.loss(head(batch), batch)
        loss.backward()
        assert loss.isfinite()


@pytest.mark.parametrize("dims", [{**DIMS, "text": 3}, {"face": 4}, {"text": 4}])
def test_other_modalities_are_refused_with_the_flag_to_give(dims):
    with pytest.raises(ConfigError, match="takes audio, face") as refusal:
        registry.build("heads", "foalnet", dims, SCHEME)
    assert "--modalities audio face" in refusal.value.hint


@pytest.mark.parametrize("option", ["layers", "heads", "projection"])
def test_no_layer_head_or_projection_is_refused(option):
    with pytest.raises(ConfigError, match="expected 1 or more"):
        built(**{option: 0})


def test_what_is_no_checkpoint_of_the_seed_is_refused_by_name():
    with pytest.raises(DataError, match=r"no 'audio_project\.linear1\.weight'"):
        foalnet_import.from_seed({})
    state = {
        "audio_project.linear1.weight": torch.zeros(6, 7),
        "video_project.linear1.weight": torch.zeros(6, 8),
        "cls_head.bias": torch.zeros(4),
        "soft.weight": torch.zeros(1),
    }
    with pytest.raises(DataError, match=r"'soft\.weight' is no weight of Foal-Net"):
        foalnet_import.from_seed(state)
