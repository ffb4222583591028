"""Soft labels of a teacher: the loss is Hinton's, its card goes on, and what it has seen is marked or refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.special import log_softmax, softmax  # noqa: E402

from mercli import config as configs  # noqa: E402
from mercli import registry, rundir  # noqa: E402
from mercli.cli.commands.train import _show as show  # noqa: E402
from mercli.config_fit import Distill  # noqa: E402
from mercli.distilling import distilled  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.fusion.mixup import mixed_loss, mixtures  # noqa: E402
from mercli.fusion.source import source, take  # noqa: E402
from mercli.jobs import extract, train  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from mercli.jobs.fits import dataset, fitting, lessons  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from tests.fusion.test_source import DIMS  # noqa: E402
from tests.fusion.test_source import made as examples_of  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402

HOW = Distill(teacher="t", weight=0.3, temperature=4.0)


@given(st.integers(0, 999), st.floats(0.05, 1), st.floats(0.5, 8))
def test_the_loss_is_that_of_the_labels_and_the_divergence_from_the_teacher(seed, weight, temperature):
    draw = np.random.default_rng(seed)
    logits, soft = draw.normal(size=(2, 6, 4)) * 3
    p, log_q = softmax(soft / temperature, 1), log_softmax(logits / temperature, 1)
    kl = (p * (np.log(p) - log_q)).sum(1).mean()
    how = Distill(weight=weight, temperature=temperature)
    found = distilled(torch.tensor(2.0), torch.tensor(logits), torch.tensor(soft), how)
    assert float(found) == pytest.approx((1 - weight) * 2 + weight * temperature**2 * kl, rel=1e-4, abs=1e-6)


def test_segments_that_the_teacher_cannot_answer_learn_from_their_labels_alone():
    logits, soft = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3)
    soft[1:] = torch.nan
    hard = torch.tensor(1.0)
    known = float(distilled(hard, logits[:1], soft[:1], HOW))
    found = distilled(hard, logits, soft, HOW)
    assert float(found) == pytest.approx((known + 3) / 4, rel=1e-5)
    found.backward()
    assert torch.isfinite(logits.grad).all()
    assert not logits.grad[1:].any()
    assert distilled(hard, logits, None, HOW) is hard


def test_soft_labels_go_with_their_segments_into_batches_and_mixtures():
    examples = examples_of(12, 0, 5)
    examples = replace(examples, soft=np.random.default_rng(1).normal(size=(12, 7)).astype(np.float32))
    learned = fitting.statistics(examples)
    order = torch.tensor([7, 2, 9, 4])
    for resident in (True, False):
        batch = take(source(examples, learned, DIMS, resident=resident), order)
        assert torch.equal(batch.soft, torch.from_numpy(examples.soft)[order])
    torch.manual_seed(0)
    head = registry.build("heads", "late", DIMS, CANONICAL).eval()
    plain = mixed_loss(head, replace(batch, soft=None), 0.0, torch.Generator())
    taught = mixed_loss(head, batch, 0.0, torch.Generator(), HOW)
    assert torch.equal(taught, distilled(plain, head(batch).logits, batch.soft, HOW))
    own, other, share = mixtures(batch, 0.5, torch.Generator().manual_seed(3))
    parts = [distilled(head.loss(head(own), each), head(own).logits, each.soft, HOW) for each in (own, other)]
    mixed = mixed_loss(head, batch, 0.5, torch.Generator().manual_seed(3), HOW)
    assert torch.allclose(mixed, share * parts[0] + (1 - share) * parts[1])
    assert not torch.equal(own.soft, other.soft)


def fit(made, **more):
    flags = {
        "corpora": ["meld"],
        "data": str(made / "data"),
        "runs": str(made / "runs"),
        "modalities": ["text"],
        **more,
    }
    return configs.resolve(configs.TrainConfig, flags, preset="weightless", sets=["epochs=2", "lr=0.01"])


@pytest.fixture(scope="module")
def teachers(made):
    """A bundle and a tuned encoder that learned from the made corpus."""
    own = fit(made)
    flags = {"corpora": ["meld"], "data": own.data, "modalities": ["text"]}
    extract.extract(configs.resolve(configs.ExtractConfig, flags, preset="weightless"))
    bundle = train.train(own).run
    return {"bundle": bundle, "encoder": job.finetune(config(made, "text", str(made / "bert"), epochs=1)).run}


def scores(run):
    return (run / "metrics.jsonl").read_text(), json.loads((run / "bundle" / "bundle.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bundle", "encoder"])
def test_a_head_learns_from_a_teacher_that_its_bundle_names(made, teachers, kind):
    alone = scores(teachers["bundle"])[0]
    runs = [train.train(fit(made, **{"distill.teacher": str(teachers[kind])})) for _ in range(2)]
    (metrics, card), (again, _) = (scores(made.run) for made in runs)
    assert metrics == again != alone
    assert {"corpus": "made:meld", "split": "train"}.items() <= card["trained_on"][1].items()
    assert {use["corpus"] for use in card["trained_on"]} == {"made:meld"}  # none of them as it is called here
    assert runs[0].scores["meld"]["seen_by"] == []
    told = lessons.read(runs[0].run, Distill(teacher=str(teachers[kind])))
    held = dataset.load(fit(made)).corpora["meld"]
    assert set(told.answers) == {held.segments[row].id for row in held.rows("train")}
    assert np.exp(np.logaddexp.reduce(next(iter(told.answers.values())))) == pytest.approx(1, abs=1e-4) or (
        kind == "encoder"
    )


@pytest.mark.slow
def test_what_a_teacher_has_seen_carries_a_dagger(made, teachers, capsys):
    card = teachers["encoder"] / "encoder" / "card.json"
    held = card.read_text()
    folded = train.train(fit(made, folds="speaker:3", **{"distill.teacher": str(teachers["encoder"])}))
    assert folded.scores["meld"]["seen_by"] == ["teacher"]  # each fold tests what the teacher learned from
    show(folded)
    assert sum("†" in line for line in capsys.readouterr().out.splitlines()) == 1 + len(folded.folds) == 4
    assert {use["split"] for use in scores_of_fold(folded.run)["trained_on"]} == {"all", "train", "dev"}
    told = json.loads(held)
    told["trained_on"].append({"corpus": "made:meld", "split": "test", "speakers": []})
    card.write_text(json.dumps(told))
    try:
        student = train.train(fit(made, **{"distill.teacher": str(teachers["encoder"])}))
        assert student.scores["meld"]["seen_by"] == ["teacher"]
    finally:
        card.write_text(held)


def scores_of_fold(run):
    return json.loads((run / "bundle" / "fold-1" / "bundle.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bundle", "encoder"])
def test_an_encoder_learns_from_a_teacher_and_its_card_goes_on_with_it(made, teachers, kind):
    how = Distill(teacher=str(teachers[kind]))
    alone = job.finetune(config(made, "text", str(made / "bert"), epochs=1))
    student = job.finetune(config(made, "text", str(made / "bert"), epochs=1, distill=how))
    assert (student.encoder / "model.safetensors").read_bytes() != (alone.encoder / "model.safetensors").read_bytes()
    assert student.card["figures"]["meld test"]["seen_by"] == []
    uses = [(use["corpus"], use["split"]) for use in student.card["trained_on"]]
    assert ("made:meld", "dev") in uses
    encoder = registry.build("encoders", "hf-text", options={"model": str(student.encoder)})
    data = replace(dataset.load(fit(made)), trained_on={"text": encoder.trained_on})
    assert fitting.seen(data, "meld", None) == ["text"]  # what loco asks of a held-out corpus


@pytest.mark.slow
def test_a_teacher_of_other_labels_or_of_an_excluded_corpus_is_refused(made, teachers):
    how = Distill(teacher=str(teachers["encoder"]))
    own = config(made, "text", str(made / "bert"), runs=str(made / "refused"))
    with pytest.raises(DataError, match="tells neutral, happy") as refused:
        job.finetune(own.model_copy(update={"distill": how, "classes": ("happy", "sad")}))
    assert "--classes neutral" in str(refused.value.hint)
    with pytest.raises(DataError, match="tells neutral, happy"):
        train.train(fit(made, classes=["happy", "sad"], runs=str(made / "refused"), **{"distill.teacher": how.teacher}))
    with pytest.raises(DataError, match="is no bundle"):
        train.train(fit(made, runs=str(made / "refused"), **{"distill.teacher": str(made)}))
    card = teachers["encoder"] / "encoder" / "card.json"
    held = card.read_text()
    card.write_text(held.replace('"made:meld"', '"afew"'))
    try:
        with pytest.raises(ConfigError, match="was trained on 'afew', which is excluded"):
            job.finetune(own.model_copy(update={"distill": how, "exclude": ("afew",)}))
    finally:
        card.write_text(held)
    assert not (made / "refused").exists()


@pytest.mark.slow
def test_a_bundle_is_refused_as_a_teacher_for_what_it_has_seen_under_another_name(made, teachers, tmp_path):
    for name in ("meld", "own"):
        shutil.copytree(made / "data" / "meld", tmp_path / name)
    card = tmp_path / "own" / "corpus.yaml"
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), "made": False, "identity": "msp"}))
    how = Distill(teacher=str(train.train(fit(made, corpora=["own"], data=str(tmp_path))).run))
    shutil.rmtree(tmp_path / "own")
    own = config(made, "text", str(made / "bert"), data=str(tmp_path), exclude=("msp",), distill=how)
    with pytest.raises(ConfigError, match="was trained on 'msp', which is excluded"):
        job.finetune(own)


@pytest.mark.slow
def test_a_resumed_run_reads_what_the_teacher_said(made, teachers, monkeypatch):
    own = fit(made, runs=str(made / "taught"), **{"distill.teacher": str(teachers["bundle"])})
    whole = train.train(own).run
    run = rundir.create(made / "taught", "train-late", own.model_dump())
    (run / lessons.FILE).write_bytes((whole / lessons.FILE).read_bytes())
    monkeypatch.setattr(train.teaching, "opened", None)  # it may be gone
    assert train.teaching.to_finetune(own, None, run) is None
    assert (train.train(own, run).run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
