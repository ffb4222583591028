from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.streams.align import NO_TIMES, NO_WORDS, cut_words, why_no_words
from mercli.streams.trust import Heard, HeardTranscript
from mercli.types import Transcript, Word

times = st.floats(0, 100, allow_nan=False)
borders = st.lists(times, min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def transcripts(draw):
    spans = draw(st.lists(st.tuples(times, st.floats(0, 5)), min_size=1, max_size=20))
    words = tuple(Word(f"w{i}", start, start + length) for i, (start, length) in enumerate(spans))
    return Transcript(" ".join(w.text for w in words), "sidecar", words)


@given(transcripts(), borders)
def test_windows_that_tile_a_clip_share_out_its_words(transcript, inner):
    edges = [0.0, *(b for b in inner if b > 0), None]
    cuts = [cut_words(transcript, a, b) for a, b in pairwise(edges)]
    words = [word.text for cut in cuts if cut is not None for word in cut.words]
    assert sorted(words) == sorted(word.text for word in transcript.words)


def test_a_word_belongs_where_its_midpoint_lies():
    transcript = Transcript("a b", "sidecar", (Word("a", 0.0, 1.9), Word("b", 1.5, 2.5)))
    assert cut_words(transcript, 0.0, 2.0).text == "a"
    assert cut_words(transcript, 2.0, 4.0).text == "b"
    assert cut_words(transcript, 4.0, 8.0) is None
    assert why_no_words(transcript) == NO_WORDS


def test_a_transcript_without_times_belongs_to_the_whole_clip_only():
    transcript = Transcript("so glad", "sidecar")
    assert cut_words(transcript, 0.0, None) is transcript
    assert cut_words(transcript, 0.0, 5.0, duration=5.0) is transcript
    assert cut_words(transcript, 0.0, 4.0, duration=5.0) is None
    assert cut_words(transcript, 1.0, None) is None
    assert why_no_words(transcript) == NO_TIMES


def test_a_cut_has_the_trust_of_the_windows_it_lies_in():
    good, bad = Heard(0, 2, "a b", -0.2, 0.0, 1.0), Heard(2, 4, "c", -3.0, 0.0, 1.0)
    words = (Word("a", 0.0, 1.0), Word("b", 1.0, 2.0), Word("c", 2.0, 3.0))
    transcript = HeardTranscript("a b c", "whisper", words, "en", 0.7, (good, bad))
    assert cut_words(transcript, 0.0, 2.0).trust == pytest.approx(good.trust)
    assert cut_words(transcript, 2.0, 4.0).trust == pytest.approx(bad.trust)
    assert cut_words(transcript, 1.0, 4.0).trust == pytest.approx((good.trust + bad.trust) / 2)
