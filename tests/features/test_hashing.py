import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.features.hashing import Orders, bag, keys, normalise, signs, tokens

MASK = 2**64 - 1
MULTIPLIER = 0x9E3779B97F4A7C15
texts = st.text(max_size=60)


def mixed(state):
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def polynomial(numbers):
    state = 0
    for number in numbers:
        state = (state * MULTIPLIER + number) & MASK
    return state


def slow_keys(text, orders):
    """The same keys by Python's integers, one n-gram at a time."""
    words = tokens(normalise(text))
    if not words:
        return []
    hashed = [mixed(polynomial(ord(c) + 1 for c in word)) for word in words]
    if orders.edges:
        words = ["\x02", *words, "\x03"]
        hashed = [mixed(polynomial(ord(c) + 1 for c in word)) for word in words]
    characters = [ord(c) + 1 for c in f" {' '.join(tokens(normalise(text)))} "]
    found = []
    for kind, sequence, (first, last) in ((1, hashed, orders.words), (2, characters, orders.chars)):
        for order in range(max(first, 1), last + 1):
            for start in range(len(sequence) - order + 1):
                found.append(mixed(polynomial(sequence[start : start + order]) ^ (kind * 1000 + order)))
    return found


@given(
    texts,
    st.sampled_from(
        [Orders(), Orders((1, 3), (2, 5)), Orders((0, 0), (1, 4)), Orders((1, 2), (0, 0)), Orders((1, 2), (2, 4), True)]
    ),
)
def test_keys_equal_those_of_exact_integers(text, orders):
    assert sorted(keys(text, orders).tolist()) == sorted(slow_keys(text, orders))


def test_keys_never_change_between_versions_and_platforms():
    assert keys("Oh no!", Orders((1, 1), (0, 0))).tolist() == [
        11156332645538307207,
        9044154735983108759,
        4933675332189771719,
    ]


@given(texts)
def test_normalising_twice_changes_nothing_in_the_tokens(text):
    once = tokens(normalise(text))
    assert tokens(" ".join(once)) == once or any(ord(c) > 127 for c in text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("He’s   lost it", "he's lost it"),
        ("SOOOOOO good", "sooo good"),
        ("Ｗｏｗ", "wow"),
        ("Hey , you", "Hey, you"),
    ],
)
def test_spellings_of_one_text_have_the_same_keys(one, other):
    np.testing.assert_array_equal(keys(one, Orders()), keys(other, Orders()))


def test_punctuation_runs_and_apostrophes_are_tokens():
    assert tokens(normalise("Don't!! stop... 😂😂 _x")) == ["don't", "!!", "stop", "...", "😂😂", "_", "x"]


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_a_text_without_tokens_has_no_keys(text):
    assert keys(text, Orders()).shape == (0,)


def test_any_unicode_has_keys():
    for text in ("привет", "你好", "😂", "e\u0301", "\ud800", "a\x00b"):
        assert len(keys(text, Orders())) > 0


@given(st.lists(st.integers(0, MASK), max_size=50))
def test_a_bag_counts_every_key_once(numbers):
    found = np.array(numbers, np.uint64)
    index, count = bag(found, 64)
    assert count.sum() == len(numbers)
    assert (np.diff(index) > 0).all()
    assert ((index >= 0) & (index < 64)).all()


def test_signs_and_buckets_are_even():
    found = keys(" ".join(f"word{i}" for i in range(400)), Orders((1, 2), (3, 5)))
    distinct = np.unique(found)
    assert abs(signs(distinct).mean()) < 0.08
    filled = np.bincount((distinct % np.uint64(16)).astype(int), minlength=16) / len(distinct)
    assert abs(filled - 1 / 16).max() < 0.02
