"""Words in their order: which pieces a word has, and what a member that reads them makes of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mercli.features.embedded.word_net import BUCKETS, PIECES, WordMember, pieces, spelled  # noqa: E402
from mercli.features.hashing import normalise, tokens  # noqa: E402


def words_of(text: str) -> tuple[str, ...]:
    return tuple(tokens(normalise(text)))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return WordMember(classes=7, corpora=5).eval()


def answers(network, *texts):
    with torch.inference_mode():
        return network(**spelled([words_of(text) for text in texts]))


def test_a_word_is_itself_and_its_n_grams_within_its_ends():
    for word, count in (("no", 1 + 2 + 1), ("a", 1 + 1), ("gone", 1 + 4 + 3), ("!", 1 + 1)):  # " no ": 2 of 3, 1 of 4
        assert (pieces(word) >= 0).sum() == count, word
    longest = pieces("incomprehensibilities")
    assert longest.shape == (PIECES,)
    assert longest.min() >= 0
    assert longest.max() < BUCKETS
    assert len(set(pieces("goner")) & set(pieces("gone")) - {-1}) >= 4


def test_texts_name_each_distinct_word_once_and_where_it_stands():
    given = spelled([("no", "no", "way"), (), ("way",)])
    assert given["pieces"].shape == (3, PIECES)  # nothing, no, way
    assert given["words"].tolist() == [[1, 1, 2], [0, 0, 0], [2, 0, 0]]
    assert given["lengths"].tolist() == [3, 0, 1]
    np.testing.assert_array_equal(given["pieces"][1], pieces("no"))


def test_a_word_s_vector_is_the_mean_of_those_of_its_pieces(network):
    given = spelled([("wonderful",)])
    own = pieces("wonderful")
    expected = network.table.weight.detach().numpy()[own[own >= 0]].mean(0)
    np.testing.assert_allclose(network._vectors(given["pieces"])[1].detach(), expected, atol=1e-6)
    assert not network._vectors(given["pieces"])[0].any()


def test_texts_beside_it_change_nothing_and_one_without_words_is_finite(network):
    together = answers(network, "that was fun", "", "oh no no no no not again please")
    for row, text in enumerate(("that was fun", "", "oh no no no no not again please")):
        for whole, alone in zip(together, answers(network, text), strict=True):
            torch.testing.assert_close(whole[row], alone[0], atol=1e-5, rtol=1e-4)
            assert bool(torch.isfinite(alone).all())
    assert answers(network)[0].shape == (0, 7)


def test_the_order_of_words_is_read(network):
    one, other = (answers(network, text)[0] for text in ("not good , bad", "not bad , good"))
    assert not torch.allclose(one, other, atol=1e-5)


def test_the_end_of_a_long_text_is_read(network):
    long = "well , " * 200
    one, other = (answers(network, long + end)[0] for end in ("lovely", "awful"))
    assert not torch.allclose(one, other, atol=1e-6)


def test_words_are_hidden_in_training_alone(network):
    given = spelled([words_of("i think that this is all of it")])
    first, second = (network(**given)[0] for _ in range(2))
    assert torch.equal(first, second)
    network.train()
    network.dropout.p = 0.0
    torch.manual_seed(1)
    assert len({tuple(network(**given)[0].flatten().tolist()) for _ in range(5)}) > 1
