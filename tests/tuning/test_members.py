"""Networks that are asked together: how each is trained, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli.features.embedded.audio_net import CORPORA, LOOKS, STATES, SUMMARIES, AudioNet  # noqa: E402
from mercli.features.embedded.face_net import MEMBERS, FaceNet  # noqa: E402
from mercli.features.embedded.functionals import functionals  # noqa: E402
from mercli.features.embedded.registers import corrected  # noqa: E402
from mercli.features.embedded.spectrogram import VIEWS, log_mel, stacked  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.tuning.embedded import voices  # noqa: E402
from mercli.tuning.embedded.recipes import AudioRecipe  # noqa: E402
from mercli.tuning.embedded.speech import Utterance  # noqa: E402
from mercli.tuning.embedded.voices import AudioTask, Versions  # noqa: E402

HAPPY, SURPRISE = CANONICAL.names.index("happy"), CANONICAL.names.index("surprise")


def spoken(corpus: str, number: int, label: int, split: str = "train") -> Utterance:
    wave = torch.randn(8000, generator=torch.Generator().manual_seed(number))
    return Utterance(f"{corpus}/{number}", wave, label, f"{corpus}/{number % 3:02d}", split)


def task(**recipe) -> AudioTask:
    items = [spoken(corpus, number, number % 3) for corpus in CORPORA for number in range(9)]
    items += [spoken("ravdess", number, SURPRISE) for number in range(10, 14)]
    made, held = AudioRecipe(**recipe), ("ravdess/02",)
    return AudioTask(made, [*items, spoken("ravdess", 20, HAPPY, "dev")], held, versions=Versions(made))


def heard_of(item: Utterance) -> tuple[torch.Tensor, torch.Tensor]:
    return stacked([log_mel(item.wave)])


@pytest.mark.parametrize(("modality", "network"), [("audio", AudioNet()), ("face", FaceNet())])
def test_members_are_averaged_and_stand_side_by_side(modality, network):
    network.eval()
    draw = torch.Generator().manual_seed(0)
    waves = [log_mel(torch.randn(9000, generator=draw)), log_mel(torch.randn(5000, generator=draw))]
    heard, faces = stacked(waves), torch.randn(2, 1, 48, 48, generator=draw)
    inputs = {"audio": heard, "face": (faces,)}[modality]
    views = [(heard[0][:, look], heard[1]) for look in LOOKS] + [(functionals(*heard),)] * SUMMARIES
    own = {"audio": views, "face": [(faces,)] * MEMBERS}[modality]
    with torch.inference_mode():
        logits, embedding = network(*inputs)
        alone = [member(*seen) for member, seen in zip(network.members, own, strict=True)]
    torch.testing.assert_close(logits, sum(one for one, _ in alone) / len(alone))
    torch.testing.assert_close(embedding, torch.cat([part for _, part in alone], 1))


@pytest.mark.parametrize("view", range(len(VIEWS)))
def test_a_member_hears_its_own_views_alone(view):
    network = AudioNet().eval()
    mel, frames = stacked([log_mel(torch.randn(9000, generator=torch.Generator().manual_seed(0)))])
    other = mel.clone()
    other[:, view] += 1
    assert mel.shape[1] == len(VIEWS)
    widths = [STATES + len(CORPORA)] * len(LOOKS)
    with torch.inference_mode():
        one, two = (network(given, frames)[1][:, : sum(widths)].split(widths, 1) for given in (mel, other))
    assert [not torch.equal(a, b) for a, b in zip(one, two, strict=True)] == [view in look for look in LOOKS]


def test_each_member_is_trained_with_a_seed_and_views_of_its_own_or_with_functionals():
    whole = task(seed=4)
    members = [whole.member(number) for number in range(len(LOOKS) + SUMMARIES)]
    assert [member.recipe.seed for member in members] == [4, 5, 6, 7, 8, 9]
    assert [member.network().stem[0].in_channels for member in members[:3]] == [len(look) for look in LOOKS]
    assert [len(member.train) for member in members] == [len(members[0].train)] * len(members)
    net = AudioNet()
    for number, member in enumerate(members):
        net.members[number].load_state_dict(member.network().state_dict())


def test_functionals_are_taken_of_changed_versions_once_and_the_same_each_time(monkeypatch):
    calls, whole = [], task(versions=2)
    monkeypatch.setattr(voices, "log_mel", lambda *given: calls.append(1) or log_mel(*given))
    rows = whole.member(3).rows
    assert len(calls) == 3 * len(rows)
    assert torch.equal(whole.member(4).rows, rows)
    assert len(calls) == 3 * len(rows)
    assert rows.shape == (len(whole.train), 3, functionals(*heard_of(whole.train[0])).shape[1])
    torch.testing.assert_close(rows[:1, 0], functionals(*heard_of(whole.train[0])))
    assert not torch.equal(rows[:, 0], rows[:, 1])
    assert not torch.equal(rows[:, 1], rows[:, 2])
    torch.testing.assert_close(task(versions=2).member(4).rows, rows)


def test_functionals_count_by_how_far_they_lie_from_what_is_usual_in_training_speech():
    summary = task(versions=1).member(3)
    network = summary.network().eval()
    rows = summary.rows.reshape(-1, summary.rows.shape[2]).numpy()
    np.testing.assert_allclose(network.centre, rows.mean(0), atol=1e-4)
    np.testing.assert_allclose(network.spread, np.maximum(rows.std(0), 1e-3), rtol=1e-3, atol=1e-5)
    far = network.centre + 100 * network.spread
    torch.testing.assert_close(network(found=far[None])[0], network(found=(far + 900 * network.spread)[None])[0])


def test_a_correction_counts_as_much_as_its_register_is_heard():
    shared, corrections = torch.zeros(2, 3), torch.tensor([[1.0, 2, 3, 10, 20, 30]]).repeat(2, 1)
    registers = torch.tensor([[50.0, 0.0], [0.0, 0.0]], requires_grad=True)
    logits, told = corrected(shared, corrections, registers)
    torch.testing.assert_close(logits[0], torch.tensor([1.0, 2, 3]))
    torch.testing.assert_close(logits[1], torch.tensor([5.5, 11, 16.5]))
    torch.testing.assert_close(told.exp().sum(1), torch.ones(2))
    assert not logits.requires_grad  # emotions do not teach registers


def test_a_corpus_s_prior_is_that_of_what_is_drawn_and_counts_a_class_that_it_lacks_as_usual():
    drawn = task(balance=0.0)
    counts = torch.bincount(drawn.labels[drawn.corpus == 0]).double()
    ravdess, emodb = drawn.priors.double().exp()
    torch.testing.assert_close(ravdess.sum(), torch.tensor(1.0, dtype=torch.double), atol=1e-5, rtol=0)
    torch.testing.assert_close(ravdess[0] / ravdess[SURPRISE], counts[0] / counts[SURPRISE], atol=1e-5, rtol=0)
    torch.testing.assert_close(emodb[SURPRISE], emodb[:3].mean(), atol=1e-5, rtol=0)


def test_a_batch_tells_each_example_s_corpus_by_its_prior_and_by_the_loss_of_registers():
    own = task(mixup=0.0, balance=0.0).member(0)
    rows = torch.tensor([0, len(own.train) - 5, 1])
    batch = own.batch(rows, 0.5, torch.Generator().manual_seed(0))
    assert batch.inputs["mel"].shape[:3] == (3, len(LOOKS[0]), 64)
    torch.testing.assert_close(batch.log_prior, own.priors[own.corpus[rows]])
    told = torch.log_softmax(torch.randn(3, len(CORPORA)), 1)
    expected = own.recipe.register * torch.nn.functional.nll_loss(told, own.corpus[rows])
    torch.testing.assert_close(batch.side(torch.cat((torch.randn(3, 4), told), 1)), expected)
