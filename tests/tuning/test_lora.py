"""Low-rank changes: few parameters learn, all of them do, and the merged network is one of transformers again."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from mercli.config_tune import Lora  # noqa: E402
from mercli.errors import ConfigError, MissingExtra  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from mercli.jobs.tuned.bodies import begin, body_of  # noqa: E402
from mercli.tuning.parameters import depths  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402

CLASSES = ("happy", "sad")
GIVEN = {
    "wav2vec2": ("audio", lambda: {"input_values": torch.randn(2, 8000)}),
    "wavlm": ("audio", lambda: {"input_values": torch.randn(2, 8000)}),
    "vit": ("face", lambda: {"pixel_values": torch.randn(2, 3, 32, 32)}),
    "bert": ("text", lambda: {"input_ids": torch.randint(5, 20, (2, 9)), "attention_mask": torch.ones(2, 9)}),
}


@pytest.mark.parametrize("model", sorted(GIVEN))
def test_every_change_learns_and_merging_changes_no_answer(made, model):
    modality, inputs = GIVEN[model]
    own = config(made, modality, str(made / model), lora=Lora(rank=2))
    begun = begin(own, CLASSES)
    plain = body_of(own, CLASSES).network.state_dict()
    learning = {name: p for name, p in begun.body.network.named_parameters() if p.requires_grad}
    changes = {name for name in learning if "lora_" in name}
    assert changes
    assert sum(p.numel() for p in learning.values()) == begun.tuned < begun.whole / 1.5
    assert {name.split(".")[0] for name in learning.keys() - changes} <= set(begun.body.heads)
    for name in changes:
        torch.nn.init.normal_(learning[name])
    given = inputs()
    begun.body.network.eval()
    logits = begun.body.logits(given)
    logits.sum().backward()
    assert [name for name, p in learning.items() if p.grad is None] == []
    begun.finish()
    state = begun.body.network.state_dict()
    assert list(state) == list(plain)
    assert any(not torch.equal(state[name], plain[name]) for name in state)
    assert torch.allclose(begun.body.logits(given), logits, atol=1e-4)


def test_changes_go_into_the_layers_above_those_that_are_frozen(made):
    begun = begin(config(made, "text", str(made / "bert"), lora=Lora(rank=2), freeze=1), CLASSES)
    places = depths(begun.body)
    assert {places[name] for name in places if "lora_" in name} == {2}


@pytest.mark.parametrize(("encoder", "freeze"), [("embedded-face", "none"), ("resnet18", "none"), ("vit", "head")])
def test_a_network_without_such_layers_is_refused(made, encoder, freeze):
    name = str(made / encoder) if encoder == "vit" else encoder
    with pytest.raises(ConfigError, match="lora is for the layers of transformers"):
        begin(config(made, "face", name, lora=Lora(rank=2), freeze=freeze), CLASSES)


def test_without_peft_the_extra_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtra) as refused:
        job.finetune(config(made, "text", str(made / "bert"), lora=Lora(rank=2), runs=str(made / "none")))
    assert refused.value.hint == "pip install 'mercli[lora]'"
    assert not (made / "none").exists()


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_bits_and_its_folder_needs_no_peft(made, monkeypatch):
    from transformers import AutoModelForSequenceClassification

    from mercli.tuning import tuner

    own = config(made, "text", str(made / "bert"), lora=Lora(rank=2), runs=str(made / "changes"))
    whole = job.finetune(own)

    def stop(self, args, state, control, **_):
        if state.epoch >= 1:
            raise KeyboardInterrupt
        self.batches.epoch = 0

    monkeypatch.setattr(tuner._Epochs, "on_epoch_begin", stop)
    with pytest.raises(KeyboardInterrupt):
        job.finetune(own)
    monkeypatch.undo()
    stopped = max((made / "changes").iterdir(), key=lambda path: path.name)
    again = job.resumed(str(stopped), made / "changes")
    weights = (again.encoder / "model.safetensors").read_bytes()
    assert weights == (whole.encoder / "model.safetensors").read_bytes()
    assert b"lora" not in weights
    assert AutoModelForSequenceClassification.from_pretrained(again.encoder).config.num_labels == 7
    assert again.card["parameters"]["tuned"] < again.card["parameters"]["all"]
