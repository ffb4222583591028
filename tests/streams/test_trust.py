from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mercli.streams.trust import Heard, is_doubtful, text_weight, trust_of, trust_of_all
from mercli.types import Transcript

logprobs = st.floats(-5, 0)
shares = st.floats(0, 1)
ratios = st.floats(0.1, 20)


def test_a_clear_sentence_is_trusted_and_a_loop_a_guess_and_a_silence_are_not():
    assert trust_of(-0.25, 0.02, 1.4) > 0.95
    assert trust_of(-0.25, 0.02, 8.0) < 0.01
    assert trust_of(-1.6, 0.02, 1.4) < 0.05
    assert trust_of(-1.1, 0.61, 1.4) == 0.0


def test_fluent_words_over_silence_are_below_the_mark():
    assert trust_of(-0.5, 0.95, 1.0) < 0.5


def test_measures_that_are_no_numbers_are_not_trusted():
    assert trust_of(math.nan, 0.0, 1.0) == 0.0
    assert trust_of(-0.1, 0.0, math.inf) == 0.0


@given(logprobs, shares, ratios, st.floats(0, 1))
def test_trust_is_a_share_and_falls_with_every_doubt(logprob, silent, ratio, step):
    trust = trust_of(logprob, silent, ratio)
    assert 0.0 <= trust <= 1.0
    assert trust_of(logprob - step, silent, ratio) <= trust
    assert trust_of(logprob, min(1.0, silent + step), ratio) <= trust
    assert trust_of(logprob, silent, ratio + step) <= trust


def test_a_transcript_is_as_trusted_as_its_words_on_average():
    good, bad = Heard(0, 1, "a b c", -0.2, 0.0, 1.0), Heard(1, 2, "d", -3.0, 0.0, 1.0)
    assert trust_of_all([good, bad]) == (3 * good.trust + bad.trust) / 4
    assert trust_of_all([]) is None


def test_words_given_by_a_person_weigh_in_full():
    given_text = Transcript("so glad", "sidecar")
    assert (text_weight(given_text), is_doubtful(given_text)) == (1.0, False)
    assert is_doubtful(Transcript("thank you", "whisper", trust=0.2))
