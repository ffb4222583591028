from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mercli import registry
from mercli.errors import DataError
from mercli.labels import CANONICAL
from mercli.types import Streams, Transcript, Word

torch = pytest.importorskip("torch")

from mercli.features.embedded.text import DIM, embedded_text  # noqa: E402
from mercli.features.embedded.text_net import CORPORA, READERS, SPEECH, TextNet, bagged, reading, stacked  # noqa: E402
from mercli.features.embedded.weights import ASSETS  # noqa: E402
from mercli.tuning.embedded.export import write  # noqa: E402

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def filled(seed: int = 0) -> TextNet:
    torch.manual_seed(seed)
    network = TextNet().eval()
    torch.nn.init.normal_(network.members[0].table.weight)
    network.members[0].idf.uniform_(1, 3)
    return network


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    card = {"trained_on": [{"corpus": "made", "split": "train"}]}
    path = write(tmp_path_factory.mktemp("w"), "text", filled().state_dict(), card)
    return embedded_text(weights=str(path))


def said(text: str, **facts) -> Streams:
    return Streams(transcript=Transcript(text, "sidecar", **facts))


def encoded(encoder, text: str, **facts):
    return encoder.encode([said(text, **facts)])[0]


@settings(max_examples=60)
@given(text=st.text(max_size=100))
def test_any_text_is_one_finite_row(encoder, text):
    feature = encoded(encoder, text)
    assert feature.values.shape == (1, DIM)
    assert feature.values.dtype == np.float32
    assert np.isfinite(feature.values).all()
    assert feature.times.shape == (1, 2)
    assert feature.valid.tolist() == [len(reading(text).ids) > 0]


@pytest.mark.parametrize("streams", [Streams(), said(""), said(" \n ")])
def test_without_words_there_is_no_valid_row(encoder, streams):
    assert not encoder.encode([streams])[0].valid.any()


@pytest.mark.parametrize(("language", "valid"), [("en", True), ("en-GB", True), (None, True), ("de", False)])
def test_other_languages_than_english_have_no_valid_row(encoder, language, valid):
    feature = encoded(encoder, "Das ist ja wunderbar, so happy", language=language)
    assert feature.valid.tolist() == [valid]
    assert valid or not feature.values.any()


def test_a_text_does_not_depend_on_its_batch(encoder):
    texts = ["I hate you!", "", "okay", "Oh my god, that is wonderful news. " * 20, "你好"]
    together = encoder.encode([said(text) for text in texts])
    for text, feature in zip(texts, together, strict=True):
        np.testing.assert_allclose(feature.values, encoded(encoder, text).values, atol=1e-5)
    assert encoder.encode([]) == []


def test_times_are_those_of_the_words(encoder):
    words = (Word("oh", 1.0, 1.5), Word("no", 1.6, 2.25))
    np.testing.assert_allclose(encoded(encoder, "oh no", words=words).times, [[1.0, 2.25]])
    np.testing.assert_allclose(encoded(encoder, "oh no").times, [[0.0, 0.0]])


def test_saying_it_twice_hardly_changes_the_direction(encoder):
    once, twice = (encoded(encoder, text).values[0, :7] for text in ("I am so sad", "I am so sad. I am so sad."))
    assert np.corrcoef(once, twice)[0, 1] > 0.8


def test_what_n_grams_say_is_shared_scores_and_corrections_by_register():
    network = filled().members[0]
    found = reading("well, that was unexpected")
    with torch.inference_mode():
        logits, embedding = network(**bagged([found]))
        weights = (1 + np.log(found.counts)) * network.idf.numpy()[found.ids]
        table = network.table.weight.numpy()[found.ids]
        sums = (weights / np.linalg.norm(weights)) @ table + network.bias.numpy()
    experts, register = 0.6 * sums[7:42].reshape(5, 7), np.exp(sums[42:] - sums[42:].max())
    np.testing.assert_allclose(logits[0], sums[:7] + register / register.sum() @ experts, atol=1e-4)
    np.testing.assert_allclose(embedding[0, :35], experts.ravel(), atol=1e-4)
    assert embedding[0, 35:].exp().sum() == pytest.approx(1, abs=1e-5)
    assert len(CORPORA) == 5


def test_members_are_averaged_then_sharpened_and_stand_side_by_side():
    network = filled()
    network.sharpness.fill_(1.7)
    network.trust.fill_(3.0)
    given = stacked([reading("that is not good at all"), reading("")])
    bag = {name: given[name] for name in ("ids", "counts", "offsets")}
    words = {name: given[name] for name in ("pieces", "words", "lengths")}
    with torch.inference_mode():
        logits, embedding = network(**given)
        alone = [network.members[0](**bag, trust=3.0), *(member(**words) for member in network.members[1:])]
    assert len(alone) == 1 + READERS
    torch.testing.assert_close(logits, 1.7 * sum(one for one, _ in alone) / len(alone))
    torch.testing.assert_close(embedding, torch.cat([part for _, part in alone], 1))


def test_corrections_by_n_grams_count_as_much_as_they_are_trusted():
    member = filled().members[0]
    given = bagged([reading("well, that was unexpected")])
    with torch.inference_mode():
        (once, plain), (thrice, trusted) = member(**given), member(**given, trust=3.0)
    register = plain[:, 35:].exp()
    torch.testing.assert_close(trusted, torch.cat((3 * plain[:, :35], plain[:, 35:]), 1))
    moved = 2 * (register[:, :, None] * plain[:, :35].unflatten(1, (5, 7))).sum(1)
    torch.testing.assert_close(thrice, once + moved, atol=1e-4, rtol=1e-4)


def test_where_speech_is_expected_its_registers_have_that_much_higher_log_odds():
    given = stacked([reading("well, that was unexpected"), reading("")])
    as_trained, used = filled(), TextNet(spoken=2)
    used.load_state_dict({**as_trained.state_dict(), "expected": used.expected})
    with torch.inference_mode():
        (logits, before), (moved, after) = as_trained(**given), used.eval()(**given)
    raised = torch.tensor([np.exp(2.0) if corpus in SPEECH else 1.0 for corpus in CORPORA]).float()
    for start in range(0, before.shape[1], 40):
        corrections, told = before[:, start : start + 35], before[:, start + 35 : start + 40].exp()
        wanted = told * raised / (told * raised).sum(1, keepdim=True)
        torch.testing.assert_close(after[:, start + 35 : start + 40].exp(), wanted, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(after[:, start : start + 35], corrections)
        change = ((wanted - told)[:, :, None] * corrections.unflatten(1, (5, 7))).sum(1)
        logits = logits + change / (1 + READERS)
    torch.testing.assert_close(moved, logits, atol=1e-4, rtol=1e-4)


def test_weights_that_another_version_trained_are_refused_by_what_they_lack(tmp_path):
    state = {key: value for key, value in filled().state_dict().items() if key != "expected"}
    older = write(tmp_path, "text", state, {"trained_on": []})
    with pytest.raises(DataError, match="it lacks 'expected'; what another version of mer trained"):
        embedded_text(weights=str(older))


def test_a_file_that_is_no_text_network_is_refused(tmp_path):
    wrong = write(tmp_path, "text", {"other": torch.zeros(3)}, {"trained_on": []})
    with pytest.raises(DataError, match="does not fit TextNet"):
        embedded_text(weights=str(wrong))


def test_the_shipped_encoder_is_what_its_card_says():
    spec = registry.get("encoders", "embedded-text")
    encoder = registry.build("encoders", "embedded-text")
    card = json.loads((ASSETS / "text.json").read_text(encoding="utf-8"))
    assert tuple(encoder.trained_on) == tuple(spec.facts["trained_on"])
    assert encoder.dim == spec.facts["dim"]
    assert card["classes"] == list(CANONICAL.names)
    for setting in ("sharpness", "trust"):
        assert float(encoder.network.get_buffer(setting)) == pytest.approx(card["recipe"][setting], rel=1e-3)
    assert float(encoder.network.expected.max()) == card["recipe"]["spoken"]
    assert set(card["log_prior"]) == set(CORPORA)
    for prior in card["log_prior"].values():
        assert np.exp(prior).sum() == pytest.approx(1, abs=1e-3)
    assert 0.1 < card["temperature"] < 10
    assert all(f["interval"][0] <= f["value"] <= f["interval"][1] for f in card["figures"].values())
    assert (ASSETS / "text.safetensors").stat().st_size <= 9_000_000


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I'm so happy for you, that's wonderful!", "happy"),
        ("I hate you, you stupid idiot!", "angry"),
        ("I'm so sorry, I miss him so much, I can't stop crying.", "sad"),
        ("Oh my God! I can't believe it! Really?!", "surprise"),
        ("I'm scared, I'm really afraid of this.", "fear"),
        ("Ew, that is disgusting, gross.", "disgust"),
    ],
)
def test_the_shipped_encoder_reads_plain_emotions(text, label):
    feature = encoded(registry.build("encoders", "embedded-text"), text)
    assert CANONICAL.names[feature.values[0, :7].argmax()] == label


def test_meld_dev_is_recognised_as_the_card_says():
    if not (DATA / "meld/dev.csv").is_file():
        pytest.skip("../shared/data/meld is not there")
    from mercli.results.metrics import weighted_f1
    from mercli.tuning.embedded.text_data import read_texts

    dev = read_texts(DATA).unseen["meld/dev"]
    features = registry.build("encoders", "embedded-text").encode([said(sentence.text) for sentence in dev])
    card = json.loads((ASSETS / "text.json").read_text(encoding="utf-8"))
    logits = np.concatenate([feature.values[:, :7] for feature in features]) + np.array(card["log_prior"]["meld"])
    told = card["figures"]["meld/dev weighted F1, prior of train"]["value"]
    labels = np.array([sentence.label for sentence in dev])
    assert weighted_f1(labels, logits.argmax(1), 7) == pytest.approx(told, abs=2e-3)
