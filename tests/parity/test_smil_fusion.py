"""SMIL's gated fusion, its class weights, its metrics and its training, step for step (seeds.md 1.3-1.6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.config import TrainConfig, resolve
from mercli.contracts import Batch
from mercli.fusion import loop
from mercli.fusion.heads import gated_import
from mercli.fusion.heads.gated_net import Gate
from mercli.fusion.losses import Objective, class_weights
from mercli.fusion.training import clone
from mercli.jobs.fits import planning
from mercli.results import seed_metrics
from mercli.types import LabelScheme

pytestmark = pytest.mark.parity

THEIRS = {"audio": "audio", "face": "video", "text": "text"}
ORDER = ("uar", "accuracy", "macro_f1", "weighted_f1")


def batch_of(vectors, targets=None, without=()):
    """One row a modality; a modality in ``without`` is absent, though its values are still there."""
    count = len(vectors["audio"])
    present = torch.tensor([[m not in without for m in THEIRS]]).repeat(count, 1)
    values = {m: vectors[name].unsqueeze(1) for m, name in THEIRS.items()}
    valid = {m: present[:, i : i + 1] for i, m in enumerate(THEIRS)}
    return Batch(tuple(THEIRS), values, valid, present, targets)


def head_of(state, **options):
    """Build the head of a seed's state dict the way an import does: every size is read from the weights."""
    found = gated_import.from_seed(state)
    scheme = LabelScheme("seed", "one-of", tuple(map(str, range(found.classes))))
    head = registry.build("heads", found.name, found.dims, scheme, options={**found.options, **options})
    head.load_state_dict(found.state)
    return head.eval()


def test_the_gated_unit_is_the_seeds(parity):
    reference = parity("smil_gfl")
    sizes = reference.facts["constructor"]
    unit = Gate(sizes["input_dim_F1"], sizes["input_dim_F2"], sizes["gated_dim"])
    unit.load_state_dict(gated_import.gate(reference.part("weights")))
    fused, gates = unit(*(reference.part("in")[name] for name in ("f1", "f2")))
    reference.agrees(fused, "out.h")
    reference.agrees(gates, "mid.z")


def test_the_head_gives_the_seeds_logits_gates_and_ablations(parity):
    reference = parity("smil_avt_small")
    head = head_of(reference.part("weights"))
    sizes = reference.facts["constructor"]
    assert head.classifier.weight.shape == (sizes["n_classes"], sizes["gated_dim"])
    names = sorted({name.split(".")[0] for name in reference.part("in")})
    assert names
    for name in names:
        vectors = reference.part(f"in.{name}")
        output = head(batch_of(vectors))
        reference.agrees(output.logits, f"out.{name}.logits")
        reference.agrees(output.logits.softmax(1), f"out.{name}.softmax")
        for place, pair in enumerate(("av", "vt", "ta")):
            reference.agrees(output.extras["gates"][:, place], f"mid.{name}.z_{pair}")
            reference.agrees(output.extras["fused"][:, place], f"mid.{name}.h_{pair}")
        for modality, theirs in THEIRS.items():
            reference.agrees(head.project[modality](vectors[theirs]), f"mid.{name}.fc_{theirs}")
            ablation = f"out.{name}.logits_without_{theirs[0]}"
            if ablation in reference.tensors:
                reference.agrees(head(batch_of(vectors, without=[modality])).logits, ablation)
        reference.agrees(head.join(output.extras["fused"].flatten(1).relu()), f"mid.{name}.fc_avt")
    assert any("logits_without" in name for name in reference.tensors)


def test_class_weights_and_weighted_cross_entropy_are_the_seeds(parity):
    reference = parity("smil_class_weights")
    labels, logits = reference.part("in")["labels"], reference.part("in")["logits"]
    weights = class_weights(labels, logits.shape[1])
    reference.agrees(weights, "out.class_weights")
    reference.agrees(Objective(weight=weights)(logits, labels), "out.weighted_ce")
    reference.agrees(Objective()(logits, labels), "out.plain_ce")


def test_an_absent_class_keeps_its_place_with_weight_zero_where_the_seeds_vector_is_short(parity):
    reference = parity("smil_class_weights")
    labels, logits = reference.part("in")["labels"], reference.part("in")["logits"]
    (name,) = [n for n in reference.part("out") if n.endswith("_absent")]
    gone = int(name.removesuffix("_absent").rsplit("class", 1)[1])
    others = torch.where(labels == gone, 0, labels)  # the reference gives the class's items to class 0
    weights = class_weights(others, logits.shape[1])
    assert weights[gone] == 0
    reference.agrees(weights[torch.arange(len(weights)) != gone], f"out.{name}")
    assert Objective(weight=weights)(logits, labels).isfinite()


def test_one_of_metrics_are_the_seeds(parity):
    reference = parity("smil_metrics")
    names = [n.removesuffix(".uar_acc_mf1_wf1") for n in reference.part("out") if n.endswith(".uar_acc_mf1_wf1")]
    assert names
    for name in names:
        told = reference.part(f"in.{name}")
        found = seed_metrics.VARIANTS["smil"](told["y"].numpy(), told["p"].numpy())
        reference.agrees(
            torch.tensor([found[key] for key in ORDER], dtype=torch.float64), f"out.{name}.uar_acc_mf1_wf1"
        )


def test_multi_label_metrics_are_the_seeds(parity):
    reference = parity("smil_metrics")
    told = reference.part("in.multi")
    found = seed_metrics.VARIANTS["smil-many-of"](told["Y"].numpy(), told["P"].numpy())
    for ours, theirs in (
        ("weighted_accuracy", "weighted_accuracy"),
        ("accuracy", "accuracy_jaccard"),
        ("macro_f1", "macro_f1_samples"),
        ("recall", "recall_pos"),
        ("weighted_f1", "f1_weighted_per_label_reference"),
    ):
        reference.agrees(torch.as_tensor(np.asarray(found[ours])), f"out.multi.{theirs}")


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", ["smil_train_adam", "smil_train_sgd"])
def test_training_goes_the_seeds_way_step_for_step(parity, name, fused):
    reference = parity(name)
    told = reference.facts["constructor"]
    given = reference.part("in")
    numbers = range(sum(key.endswith(".labels") for key in given))
    vectors = {m: torch.cat([given[f"batch{i}.{m}"] for i in numbers]) for m in THEIRS.values()}
    data = batch_of(vectors, torch.cat([given[f"batch{i}.labels"] for i in numbers]))
    head = head_of(reference.part("weights"), dropout=told["drop"])
    config = resolve(
        TrainConfig,
        {key: told[key] for key in ("lr", "weight_decay", "epochs")},
        preset="smil",
        sets=[
            'corpora=["seed"]',
            f"batch={len(given['batch0.labels'])}",
            f"optimizer.name={told['optimizer']}",
            f"optimizer.fused={str(fused).lower()}",
            "sampler=in-order",
        ],
    )
    assert (config.clip, config.modality_dropout, config.monitor) == (0, 0, "uar")
    scheme = LabelScheme("seed", "one-of", tuple(map(str, range(told["n_classes"]))))
    plan = planning.schedule(config, data.targets, scheme, config.seed)
    running: list[torch.Tensor] = []
    head.register_forward_hook(lambda net, _, output: running.append(output.logits.detach()) if net.training else None)
    rows, last = [], {}
    for epoch in loop.fit(head, data, data, replace(plan, objective=Objective(weight=given["class_weight"]))):
        seen = seed_metrics.smil(data.targets.numpy(), torch.cat(running).argmax(1).numpy())
        rows.append([epoch.loss, *(seen[key] for key in ORDER)])
        running.clear()
        # the loop goes back to its best epoch when it ends, the reference holds the last
        last = clone(head.state_dict())
        judged = seed_metrics.smil(data.targets.numpy(), loop.predict(head, data).argmax(1).numpy())
        told_last = [epoch.dev_loss, *(judged[key] for key in ORDER)]
    reference.agrees(torch.tensor(rows, dtype=torch.float64), "out.train_loss_uar_acc_mf1_wf1")
    reference.agrees(torch.tensor(told_last, dtype=torch.float64), "out.val_loss_uar_acc_mf1_wf1")
    for key, tensor in gated_import.from_seed(reference.part("out.final")).state.items():
        allowed = reference.facts["tolerance"]["rel_to_max"] * float(tensor.abs().max())
        assert float((last[key] - tensor).abs().max()) <= allowed, key
