"""``mer train --end-to-end``: encoders of the real formats, tiny and random, learn along with a head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli import config as configs  # noqa: E402
from mercli import registry  # noqa: E402
from mercli.contracts import TrainedOn  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.fusion import bundle as bundles  # noqa: E402
from mercli.fusion import readout  # noqa: E402
from mercli.fusion.batch import Examples, Statistics, collate  # noqa: E402
from mercli.jobs import end_to_end as job  # noqa: E402
from mercli.jobs.extract import extract  # noqa: E402
from mercli.jobs.features import encoding, nearby, tuned  # noqa: E402
from mercli.jobs.fits import dataset, resuming  # noqa: E402
from mercli.jobs.tuned import joining, learners  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.rundir import read_lines  # noqa: E402
from mercli.tuning import joint, joint_tuner  # noqa: E402
from mercli.types import Feature, FeatureBundle  # noqa: E402
from tests.features.test_avtca_encoders import faces, lively, saved_trunk  # noqa: E402
from tests.features.test_foalnet_encoders import saved_clip  # noqa: E402
from tests.tuning.parts import PARTS, joined, learn, part  # noqa: E402

PLAIN = ("recipe.encoders.face.options.fps=1", "batch=8", "epochs=2", "lr=0.003")


@pytest.fixture(scope="module")
def world(made):
    """The made corpus with stored features of tiny random WavLM and CLIP, as Foal-Net's preset has them."""
    saved_clip(made / "clip")
    shared = {"corpora": ["meld"], "data": str(made / "data"), "runs": str(made / "runs"), "device": "cpu"}
    models = {f"recipe.encoders.{m}.options.model": str(made / n) for m, n in (("audio", "wavlm"), ("face", "clip"))}
    extract(configs.resolve(configs.ExtractConfig, {**shared, **models}, preset="foalnet", sets=PLAIN[:1]))
    return partial(resolved, {**shared, **models})


def resolved(flags, *sets, preset="foalnet", **more):
    flags = {**flags, "end_to_end.on": True, **more}
    return configs.resolve(configs.TrainConfig, flags, preset=preset, sets=(*PLAIN, *sets))


@pytest.fixture(scope="module")
def run(world):
    """A run in which sound and faces learn, with its trainer."""
    held = []

    class Kept(joint_tuner.JointTuner):
        def __init__(self, *given):
            super().__init__(*given)
            held.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_tuner, "JointTuner", Kept)
        trained = job.train(world('end_to_end.tune=["audio", "face"]', "end_to_end.lr=0.003"))
    return trained.run, held[0]


def tensors(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.slow
def test_the_encoders_are_trained_but_for_what_stays_fixed(run, made):
    audio, face = (tensors(run[0] / "encoders" / modality) for modality in ("audio", "face"))
    before = tensors(made / "wavlm")
    fixed = {name for name in audio if torch.equal(audio[name], before[name])}
    assert {name for name in audio if name.startswith("feature_extractor.")} <= fixed
    assert fixed <= {name for name in audio if name.startswith("feature_extractor.")} | {"masked_spec_embed"}
    whole = tensors(made / "clip")
    assert all(not torch.equal(face[name], whole[name]) for name in face if name.endswith(("weight", "bias")))


@pytest.mark.slow
def test_the_bundle_answers_what_was_trained(run):
    """From stored features of the encoders that were saved, and from streams through those that learned."""
    folder, tuner = run
    bundle = bundles.load(folder / "bundle")
    own = {f"./encoders/{modality}" for modality in ("audio", "face")}  # the run's folder may be moved as a whole
    assert {one["options"]["model"] for one in bundle.card.recipe["encoders"].values() if one["options"]} == own
    assert all(not table.any() for table in bundle.stats.mean.values())
    told = {row["id"]: row["scores"] for row in read_lines(folder / "predictions.jsonl")}
    recipe = nearby.recipe(bundle.card, folder / "bundle")
    config = configs.validate(configs.TrainConfig, {**_written(folder), "recipe": recipe}, "bundle")
    data = dataset.load(config)
    tests = joining.examples(config, data, [("meld", "test")], ("audio", "face"), encoding.build(
        config.recipe, config.modalities).settings)  # fmt: skip
    found = tuner.answers(tests)
    scores = np.exp(readout.calibrated(
        found.logits.double().numpy(), bundle.card.scheme, bundle.card.temperature, bundle.card.held_prior
    ))  # fmt: skip
    assert {example.id for example in found.examples} == set(told)
    for example, row in zip(found.examples, scores, strict=True):
        assert row == pytest.approx(list(told[example.id].values()), abs=1e-4)


def _written(folder):
    import yaml

    return yaml.safe_load((folder / "config.yaml").read_text())


@pytest.mark.slow
def test_an_encoder_that_learned_knows_what_it_has_seen_and_is_one_for_extract(run, world):
    flags = tuned.flags([str(run[0] / "encoders" / "audio")])
    name, model = (flags[f"recipe.encoders.audio.{key}"] for key in ("name", "options.model"))
    encoder = registry.build("encoders", name, options={"model": model})
    assert {(use.corpus, use.split) for use in encoder.trained_on} == {("made:meld", "train"), ("made:meld", "dev")}
    assert all(isinstance(use, TrainedOn) and use.speakers for use in encoder.trained_on)
    card = json.loads((run[0] / "encoders" / "audio" / "card.json").read_text())
    score = json.loads((run[0] / "scores.json").read_text())["meld"]
    assert card["figures"]["meld test"]["uar"]["value"] == pytest.approx(score["uar"], abs=1e-4)
    assert (card["audit"]["leaks"], card["figures"]["meld test"]["leaks"]) == ([], [])
    assert [row["epoch"] if "epoch" in row else row["number"] for row in read_lines(run[0] / "metrics.jsonl")] == [1, 2]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(world, monkeypatch, made):
    sets = ("epochs=5", "patience=2", "end_to_end.lr=0.003", "modality_dropout=0.2", "mixup=0.2")
    whole = job.train(world(*sets)).run
    real, saved = joint_tuner.JointTuner._save_checkpoint, []

    def stop(self, *given):
        real(self, *given)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(joint_tuner.JointTuner, "_save_checkpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        job.train(world(*sets, runs=str(made / "stopped")))
    monkeypatch.undo()
    (stopped,) = (made / "stopped").iterdir()
    config, resumed = resuming.resolve(configs.TrainConfig, {"runs": str(made / "stopped")}, None, (), stopped.name)
    assert job.train(config, resumed).run == stopped
    for name in ("encoders/audio/model.safetensors", "encoders/head.safetensors", "metrics.jsonl", "scores.json"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes(), name
    with pytest.raises(DataError, match="is complete"):
        resuming.resolve(configs.TrainConfig, {"runs": str(made / "stopped")}, None, (), stopped.name)


@pytest.mark.slow
def test_two_processes_contrast_what_one_with_both_batches_contrasts(made, tmp_path):
    torch.multiprocessing.spawn(part, (str(made / "wavlm"), str(tmp_path), 29523), nprocs=2)
    both = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for (penalty, first, last), (one, mine), (other, theirs) in zip(PARTS, *both, strict=True):
        whole = joined(str(made / "wavlm"), penalty)
        loss, gradients = learn(whole, whole, slice(first[0], last[1]))
        assert (one + other) / 2 == pytest.approx(loss, rel=1e-5)
        assert {"network.head.temperature", "network.head.face_matches.weight"} <= gradients.keys() <= mine.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(mine[name], gradient, rtol=1e-3, atol=1e-6, msg=name)
            torch.testing.assert_close(theirs[name], mine[name], rtol=0, atol=0)


@pytest.mark.slow
def test_the_command_works_under_torchrun_and_answers_once(made, world):
    words = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29519",
        "-m", "mercli", "train", "--corpora", "meld", "--preset", "foalnet", "--end-to-end", "--json",
        "--data", str(made / "data"), "--runs", str(made / "two"), "--device", "cpu",
        "--set", f"recipe.encoders.audio.options.model={made / 'wavlm'}",
        "--set", f"recipe.encoders.face.options.model={made / 'clip'}",
        *(word for one in (*PLAIN, "batch=4", "epochs=1") for word in ("--set", one)),
    ]  # fmt: skip
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    told = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, env=alone)
    assert told.returncode == 0, told.stderr[-2000:]
    answer = json.loads(told.stdout)
    assert (Path(answer["run"]) / "bundle" / "checksums.json").is_file()
    assert (Path(answer["run"]) / "encoders" / "audio" / "card.json").is_file()


def test_a_gradient_comes_to_all_that_learns_and_to_nothing_else(made):
    whole = joined(str(made / "wavlm"))
    _, gradients = learn(whole, whole, slice(0, 8))
    encoder = whole.network["encoders"]["audio"]
    free = {name for name, p in encoder.named_parameters() if not name.startswith("feature_extractor.")}
    got = {name.removeprefix("network.encoders.audio.") for name in gradients if ".encoders." in name}
    assert got == free - {"masked_spec_embed"}
    assert all(gradient.abs().sum() > 0 for name, gradient in gradients.items() if ".encoders." in name)


def test_the_trunk_of_avtca_learns_beside_its_fusion_and_is_extracted_as_it_learned(tmp_path):
    flags = {"corpora": ["meld"], "end_to_end.on": True}
    config = configs.resolve(configs.TrainConfig, flags, preset="avtca")
    draw = np.random.default_rng(0)
    sound = Feature(draw.normal(size=(156, 10)).astype(np.float32), np.zeros((156, 2), np.float32), np.ones(156, bool))
    pieces = [_beside(sound, faces(np.arange(8) / 5, seed=seed)) for seed in range(2)]
    face = registry.build("encoders", "avtca-face", options={"weights": saved_trunk(tmp_path, lively())})
    dims = {"audio": 10, "face": 1024}
    body = joint.JointBody({"face": face}, registry.build("heads", "avtca", dims, CANONICAL), dims, CANONICAL.names)
    labels = [SimpleNamespace(label=label) for label in (0, 1)]
    whole = joint.Joint(body, joining.penalty(config, SimpleNamespace(scheme=CANONICAL), labels)).train()
    torch.manual_seed(0)
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    optimiser = joining.plan(config).optimiser(joint_tuner.rated(body, joining.tuning(config, "face")))
    whole(torch.arange(2), labels=torch.tensor([0, 1]), **body.inputs(pieces)).backward()
    optimiser.step()
    learned = {name for name, tensor in whole.state_dict().items() if not torch.equal(tensor, before[name])}
    assert all(parameter.grad is not None for parameter in body.network["encoders"].parameters())
    assert learned >= {
        name for name in before if ".face." in name and name.endswith(("running_mean", "conv1.0.weight"))
    }
    whole.eval()
    (tmp_path / "tuned").mkdir()
    face.save(tmp_path / "tuned")
    again = registry.build("encoders", "avtca-face", options={"weights": str(tmp_path / "tuned")})
    bundle = [FeatureBundle("", {"audio": sound, "face": feature}) for feature in again.encode(pieces)]
    stored = collate(Examples(bundle, tuple(dims), np.zeros(2, np.int64)), Statistics.unchanging(dims), dims)
    with torch.no_grad():
        expected = body.network["head"](stored).logits
        torch.testing.assert_close(body.logits(body.inputs(pieces)), expected, rtol=1e-3, atol=1e-3)


def _beside(sound: Feature, seen) -> joint.Given:
    return joint.Given(
        faces=seen.faces, face_times=seen.face_times, face_confidence=seen.face_confidence, features={"audio": sound}
    )


def test_an_encoder_learns_at_its_own_rate_and_slower_further_down(made):
    flags = {"corpora": ["meld"], "end_to_end.on": True}
    own = configs.resolve(configs.TrainConfig, flags, preset="foalnet", sets=["end_to_end.decay=0.5", "lr=0.01"])
    whole = joined(str(made / "wavlm"))
    rates = {
        id(p): group["lr"]
        for group in joint_tuner.rated(whole.body, joining.tuning(own, "audio"))
        for p in group["params"]
    }
    named = dict(whole.named_parameters())
    assert rates[id(named["network.head.classifier.weight"])] == 0.01
    layer = "network.encoders.audio.encoder.layers.{}.attention.out_proj.weight"
    assert rates[id(named[layer.format(1)])] == pytest.approx(2 * rates[id(named[layer.format(0)])])
    assert not any(id(p) in rates for name, p in named.items() if ".feature_extractor." in name)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["standardise=true"], "'standardise' is true"),
        (["seeds=2"], "'seeds' is 2"),
        (["folds=session"], "'folds' is session"),
        (["sampler=oversample"], "'sampler' is oversample"),
        (["schedule.name=plateau"], "'schedule.name' is plateau"),
        (["monitor=macro_f1"], "'monitor' is macro_f1"),
        (["curriculum.pilot=2"], "'curriculum.pilot' is set"),
        (["reduce.audio=4"], "'reduce' is set"),
        (["distill.teacher=x"], "'distill.teacher' is set"),
    ],
)
def test_what_is_no_part_of_it_is_refused(sets, said):
    flags = {"corpora": ["meld"], "end_to_end.on": True}
    own = configs.resolve(configs.TrainConfig, flags, preset="foalnet", sets=sets)
    with pytest.raises(ConfigError, match=said):
        learners.check(own, SimpleNamespace(scheme=CANONICAL), torch.nn.Identity())


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            (),
            "none of logmel-stats, face-geometry, hashed-ngrams can learn along with a head, expected some of",
        ),
        (('end_to_end.tune=["audio"]',), "encoder 'logmel-stats' cannot learn"),
    ],
)
def test_encoders_that_cannot_learn_are_refused(sets, said):
    flags = {"corpora": ["meld"], "end_to_end.on": True}
    own = configs.resolve(configs.TrainConfig, flags, preset="weightless", sets=sets)
    with pytest.raises(ConfigError, match=said):
        learners.of(own, encoding.build(own.recipe, own.modalities))
