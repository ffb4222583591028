"""``mer finetune --corpora``: tiny networks in every real form learn from a made corpus, and extraction uses them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from mercli import registry  # noqa: E402
from mercli.config_tune import Augment, Rates, TuningLoss  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from mercli.jobs.features import tuned as tuned_encoders  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402


def losses(run: Path) -> list[float]:
    rows = [json.loads(line) for line in (run / "checkpoints" / "metrics.jsonl").read_text().splitlines()]
    return [row["dev_loss"] for row in rows]


def smil_face(folder: Path) -> Path:
    from safetensors.torch import save_file

    from mercli.features.seeds.smil_face_net import FaceNet

    torch.manual_seed(0)
    path = folder / "face.safetensors"
    save_file(FaceNet((1, 1, 1, 1), (4, 4, 4, 4), 8, 7).state_dict(), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "encoder", "more"),
    [
        ("audio", "wav2vec2", {"augment": Augment(pace=0.1, noise=0.5, room=0.5, band=0.5, specaugment=0.05)}),
        ("audio", "wavlm", {"loss": TuningLoss(name="focal", class_weights="balanced"), "sampler": "balanced"}),
        ("audio", "smil-audio:wav2vec2", {}),
        ("face", "vit", {"augment": Augment(flip=0.5, crop=0.2, colour=0.5, cutout=0.5, frames=0.5)}),
        ("face", "smil-face:face.safetensors", {"reset_classifier": True, "faces": 2}),
        ("text", "bert", {"augment": Augment(tokens=0.1, asr=0.5), "rates": Rates(lr=1e-3, schedule="plateau")}),
    ],
)  # fmt: skip
def test_what_is_tuned_is_an_encoder_that_knows_what_it_has_seen(made, modality, encoder, more):
    smil_face(made)
    name, colon, model = encoder.rpartition(":")
    tuned = job.finetune(config(made, modality, f"{name}{colon}{made / model}", **more))
    assert len(losses(tuned.run)) == 2
    flags = tuned_encoders.flags([str(tuned.run)])
    plugin = flags[f"recipe.encoders.{modality}.name"]
    options = {key.rpartition(".")[2]: value for key, value in flags.items() if ".options." in key}
    built = registry.build("encoders", plugin, options=options)
    assert (built.modality, built.dim > 0) == (modality, True)
    assert {(one.corpus, one.split) for one in built.trained_on} >= {("made:meld", "train"), ("made:meld", "dev")}
    card = json.loads((tuned.encoder / "card.json").read_text())
    assert set(card["figures"]) == {"meld test"}  # none for dev, which chose the epoch
    assert card["segments"]["train"]["happy"] > 0


@pytest.mark.slow
def test_a_tuned_classifier_is_one_of_transformers_with_our_labels(made):
    from transformers import AutoModelForSequenceClassification

    tuned = job.finetune(config(made, "text", str(made / "bert"), epochs=1))
    network = AutoModelForSequenceClassification.from_pretrained(tuned.encoder)
    assert [network.config.id2label[i] for i in range(7)] == tuned.card["classes"]
    again = job.finetune(config(made, "text", str(tuned.run), epochs=1))  # its own labels need no reset
    assert again.card["base"]["model"] == str(tuned.encoder)
    with pytest.raises(DataError, match="the corpora have neutral, happy") as refused:
        job.finetune(config(made, "text", str(tuned.encoder), classes=("neutral", "happy")))
    assert "--reset-classifier" in str(refused.value.hint)


@pytest.mark.slow
def test_two_processes_learn_what_one_with_the_doubled_batch_learns(made):
    one = job.finetune(config(made, "audio", str(made / "wavlm"), epochs=3))
    words = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517",
        "-m", "mercli", "finetune", "audio", "--corpora", "meld", "--encoder", str(made / "wavlm"),
        "--data", str(made / "data"), "--runs", str(made / "two"), "--device", "cpu", "--precision", "fp32", "--json",
        "--set", "epochs=3", "--set", "batch=4", "--set", "rates.lr=1e-3",
    ]  # fmt: skip
    told = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert told.returncode == 0, told.stderr[-2000:]
    answer = json.loads(told.stdout)  # one answer, of one process
    assert losses(Path(answer["run"])) == pytest.approx(losses(one.run), rel=1e-4)
    assert answer["card"]["figures"] == one.card["figures"]


@pytest.mark.slow
def test_a_killed_tuning_goes_on_to_the_same_bits(made):
    """Killed after its first checkpoint, for real; with one thread everywhere, since sums depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    own = config(made, "text", str(made / "bert"), epochs=4, runs=str(made / "killed"))
    whole = job.finetune(own.model_copy(update={"runs": str(made / "whole")}))
    words = [sys.executable, "-m", "mercli", "finetune", "text", "--corpora", "meld", "--encoder", own.encoder]
    words += ["--data", own.data, "--runs", own.runs, "--device", "cpu", "--precision", "fp32"]
    words += ["--set", "epochs=4", "--set", "batch=8", "--set", "rates.lr=1e-3"]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(words, env=alone, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((made / "killed").glob("*/checkpoints/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = next((made / "killed").iterdir())
    assert not (run / "encoder").exists()
    again = job.resumed(str(run), made / "killed")
    assert losses(again.run) == losses(whole.run)
    for name in ("model.safetensors", "config.json"):
        assert (again.encoder / name).read_bytes() == (whole.encoder / name).read_bytes()
    torch.set_num_threads(threads)


def test_a_torn_checkpoint_is_not_gone_on_from(tmp_path):
    from mercli.tuning.saved import last_whole

    for step, state in ((10, '{"global_step": 10}'), (20, None), (30, ""), (40, '{"glob'), (9, '{"global_step": 9}')):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_whole(tmp_path) == str(tmp_path / "checkpoint-10")


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_leaves_the_checkpoint_before_whole(made, monkeypatch):
    from mercli.tuning import tuner

    saved = tuner.Trainer._save_rng_state
    calls = []

    def full(self, folder):
        calls.append(folder)
        if len(calls) == 2:
            raise OSError(28, "No space left on device", folder)
        saved(self, folder)

    monkeypatch.setattr(tuner.Trainer, "_save_rng_state", full)
    with pytest.raises(DataError, match="No space left"):
        job.finetune(config(made, "text", str(made / "bert"), epochs=3, runs=str(made / "full")))
    run = next((made / "full").iterdir())
    assert len(list((run / "checkpoints").glob("checkpoint-*"))) == 1
    monkeypatch.undo()
    assert len(losses(job.resumed(str(run), made / "full").run)) == 3


@pytest.mark.slow
def test_memory_that_runs_out_halves_the_batch_and_doubles_the_accumulation(made, monkeypatch, caplog):
    from mercli.tuning import tuner

    real = tuner.Tuner.compute_loss
    own = config(made, "text", str(made / "bert"), epochs=1)
    expected = job.finetune(own.model_copy(update={"batch": 4, "accumulate": 2})).encoder / "model.safetensors"

    def small(self, model, inputs, *more, **named):
        if len(inputs["labels"]) > 4:
            with torch.no_grad():
                next(model.parameters()).add_(1.0)  # as steps before it would have
            raise MemoryError
        return real(self, model, inputs, *more, **named)

    monkeypatch.setattr(tuner.Tuner, "compute_loss", small)
    tuned = job.finetune(own)
    assert "batches of 4, accumulated 2 times" in caplog.text
    assert (tuned.card["recipe"]["batch"], tuned.card["recipe"]["accumulate"]) == (4, 2)
    assert len(losses(tuned.run)) == 1
    assert (tuned.encoder / "model.safetensors").read_bytes() == expected.read_bytes()


@pytest.mark.slow
def test_a_loss_that_is_no_number_names_its_segments(made):
    with pytest.raises(DataError, match=r"the loss of a batch is (nan|inf) at step \d+: meld/"):
        job.finetune(config(made, "text", str(made / "bert"), rates=Rates(lr=1e30, clip=0.0, schedule="constant")))


@pytest.mark.slow
def test_streams_torn_after_preparing_are_skipped_and_counted(made, caplog):
    first = job.finetune(config(made, "audio", str(made / "wav2vec2"), epochs=1))
    sounds = sorted((made / "data" / "meld" / "streams").rglob("*.flac"))
    held = {path: path.read_bytes() for path in sounds}
    for path in sounds[::5]:
        path.write_bytes(b"torn")
    try:
        again = job.finetune(config(made, "audio", str(made / "wav2vec2"), epochs=1))
        skipped = again.card["left_out"]["could not be read in training"]
        assert skipped
        assert not first.card["left_out"]["could not be read in training"]
        with pytest.raises(DataError, match="cannot be read"):
            job.finetune(config(made, "audio", str(made / "wav2vec2"), epochs=1, strict=True))
    finally:
        for path, content in held.items():
            path.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("torn", [1, 25])
def test_segments_that_cannot_be_read_from_the_third_epoch_on_stop_nothing_unless_all_are(made, monkeypatch, torn):
    """One segment a batch, so that a torn one has nobody to stand beside."""
    from mercli.jobs.tuned import examples
    from mercli.tuning.examples import Batches

    said, batches = examples._said, []
    begun = Batches.__init__
    monkeypatch.setattr(Batches, "__init__", lambda self, *more: batches.append(self) or begun(self, *more))
    first: list[str] = []

    def failing(words):
        if len(first) < torn and words.text not in first:
            first.append(words.text)
        if batches[0].epoch >= 2 and words.text in first:
            raise DataError("torn")
        return said(words)

    monkeypatch.setattr(examples, "_said", failing)
    own = config(made, "text", str(made / "bert"), epochs=4, batch=1)
    if torn == 1:
        tuned = job.finetune(own)
        assert list(tuned.card["left_out"]["could not be read in training"].values()) == ["torn"]
        assert len(losses(tuned.run)) == 4
    else:
        with pytest.raises(DataError, match="no training segment can be read"):
            job.finetune(own)


def test_a_class_that_no_training_segment_has_is_refused_with_the_classes_that_are_there(made, tmp_path):
    held = made / "data" / "meld"
    (tmp_path / "meld").mkdir()
    (tmp_path / "meld" / "corpus.yaml").write_bytes((held / "corpus.yaml").read_bytes())
    (tmp_path / "meld" / "clips.jsonl").write_bytes((held / "clips.jsonl").read_bytes())
    rows = [json.loads(line) for line in (held / "segments.jsonl").read_text().splitlines()]
    kept = [row for row in rows if row["split"] != "train" or "disgust" not in row["labels"].values()]
    (tmp_path / "meld" / "segments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    with pytest.raises(DataError, match="class 'disgust' has no training segment") as refused:
        job.finetune(config(made, "text", str(made / "bert"), data=str(tmp_path), runs=str(tmp_path / "runs")))
    assert refused.value.hint == "--classes neutral happy sad angry surprise fear"
    assert not (tmp_path / "runs").exists()


def test_layers_further_down_learn_slower_and_frozen_ones_not_at_all(made):
    from mercli.jobs.tuned.bodies import body_of
    from mercli.tuning.parameters import depths, freeze, groups

    own = config(made, "text", str(made / "bert"), rates=Rates(lr=1.0, decay=0.5, head=2.0), freeze="none")
    body = body_of(own, ("a", "b"))
    places = depths(body)
    assert places["bert.embeddings.word_embeddings.weight"] == 0
    assert places["bert.encoder.layer.0.attention.self.query.weight"] == 1
    assert places["bert.encoder.layer.1.attention.self.query.weight"] == 2
    assert places["classifier.weight"] == 3
    found = {id(p): group["lr"] for group in groups(body, own) for p in group["params"]}
    named = dict(body.network.named_parameters())
    assert found[id(named["classifier.weight"])] == 2.0
    assert found[id(named["bert.encoder.layer.1.output.dense.weight"])] == 0.5
    assert found[id(named["bert.embeddings.word_embeddings.weight"])] == 0.125
    for how, fixed in ((1, {0, 1}), ("head", {0, 1, 2}), ("none", set())):
        freeze(body, own.model_copy(update={"freeze": how}))
        frozen = {places[name] for name, p in body.network.named_parameters() if not p.requires_grad}
        assert frozen >= fixed, how
        assert named["classifier.weight"].requires_grad
    with pytest.raises(ConfigError, match="the network has 2 layers"):
        freeze(body, own.model_copy(update={"freeze": 9}))
    flat = SimpleNamespace(network=torch.nn.Linear(2, 2), heads=("head",))
    with pytest.raises(ConfigError, match="the network has 0 layers") as refused:
        freeze(flat, own.model_copy(update={"freeze": 1}))
    assert refused.value.hint == "--set freeze=none"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exclude": ("meld",)}, "is excluded, and named to learn from"),
        ({"encoder": "smil-face"}, "is not for text"),
        ({"encoder": "embedded-text", "exclude": ("goemotions",)}, "begins with was trained on 'goemotions'"),
        ({"weights": "x.safetensors"}, "brings its own"),
        ({"precision": "fp16"}, "on a CPU"),
        ({"checkpointing": True, "modality": "face", "encoder": "smil-face:face.safetensors"}, "checkpointing"),
    ],
)
def test_what_cannot_be_is_refused_before_a_run_is_made(made, change, said):
    face = smil_face(made)
    if change.get("modality") == "face":
        change = {**change, "encoder": f"smil-face:{face}", "reset_classifier": True}
    own = {"modality": "text", "encoder": str(made / "bert"), "runs": str(made / "none"), **change}
    with pytest.raises(ConfigError, match=said):
        job.finetune(config(made, **own))
    assert not (made / "none").exists()


@pytest.mark.parametrize(
    ("name", "expected"), [("hf-text", "{run}/encoder"), ("embedded-text", "embedded-text:{run}/encoder")]
)
def test_a_tuning_goes_on_from_a_run_as_from_the_encoder_in_it(tmp_path, name, expected):
    (tmp_path / "encoder").mkdir()
    card = {"modality": "text", "encoder": {"name": name, "option": "model"}, "trained_on": []}
    (tmp_path / "encoder" / "card.json").write_text(json.dumps(card))
    for given in (tmp_path, tmp_path / "encoder"):
        assert tuned_encoders.begun(str(given), "text") == expected.format(run=tmp_path)
    with pytest.raises(ConfigError, match="encodes text"):
        tuned_encoders.begun(str(tmp_path), "audio")
    for other in ("roberta-base", "resnet18:x.pth", str(tmp_path / "nothing")):
        assert tuned_encoders.begun(other, "face") == other


def test_no_tuned_encoder_in_a_folder_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no tuned encoder"):
        tuned_encoders.flags([str(tmp_path)])


def test_an_excluded_name_that_no_corpus_has_is_told_with_the_nearest(made, caplog):
    from mercli.jobs.tuned import examples

    examples.load(config(made, "text", str(made / "bert"), exclude=("afwe", "afew")))
    (said,) = (record.message for record in caplog.records if record.levelname == "WARNING")
    assert said == "no corpus is called 'afwe', so nothing is kept out by that name; did you mean 'afew'?"
