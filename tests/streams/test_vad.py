from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mercli.streams import speech_windows as windows
from mercli.streams.speech_windows import speech_windows
from mercli.streams.vad import FRAME_SECONDS, Frame, spans, speech_frames, speech_segments
from tests.streams.voices import RATE, silence, voice


def probabilities(*chunks: np.ndarray) -> np.ndarray:
    return np.array([frame.probability for frame in speech_frames(chunks)])


def test_probabilities_are_those_of_the_package_s_own_model():
    silero_vad = pytest.importorskip("silero_vad")
    threads = torch.get_num_threads()
    audio = np.concatenate([silence(0.5), voice(5.0), silence(0.5)])
    padded = torch.from_numpy(np.pad(audio, (0, -len(audio) % 512)))
    model = silero_vad.load_silero_vad()
    with torch.no_grad():
        theirs = [model(frame, RATE).item() for frame in padded.split(512)]
    torch.set_num_threads(threads)
    assert probabilities(audio) == pytest.approx(theirs, abs=1e-4)


def test_the_voice_is_found_between_the_silences():
    ((start, end),) = speech_segments([silence(1.0), voice(3.0), silence(1.0)])
    assert start == pytest.approx(1.0, abs=0.15)
    assert end == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("sound", [silence(3.0), np.full(3 * RATE, 0.2, np.float32), np.zeros(0, np.float32)])
def test_nobody_speaks_in_silence(sound):
    assert list(speech_segments([sound])) == []
    assert list(speech_windows([sound])) == []


def test_no_audio_at_all_has_no_speech():
    assert list(speech_segments([])) == []


def test_the_end_of_speech_is_not_after_the_end_of_the_audio():
    audio = voice(2.0)[: int(1.9 * RATE) + 7]
    *_, (_, end) = speech_segments([audio])
    assert end == pytest.approx(len(audio) / RATE)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
def test_the_cuts_of_the_stream_do_not_matter(lengths):
    audio = np.concatenate([silence(0.4), voice(4.0)])
    pieces = np.split(audio, np.minimum(np.cumsum(lengths), len(audio)))
    assert probabilities(*pieces) == pytest.approx(probabilities(audio), abs=1e-4)


@example([(0.7, 17), (0.2, 14), (0.0, 1), (0.4, 1)], 0.5, 0.0, 1.0)
@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.7, 1.0]), st.integers(1, 60)), max_size=30),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from([1.0, 3.0, 15.0]),
)
def test_stretches_are_ordered_disjoint_and_bounded(runs, min_silence, min_speech, max_len):
    shares = [share for share, count in runs for _ in range(count)]
    frames = [Frame(share, (index + 1) * FRAME_SECONDS) for index, share in enumerate(shares)]
    found = list(spans(frames, min_speech=min_speech, min_silence=min_silence, max_len=max_len))
    edges = [0.0, *(edge for span in found for edge in span), len(shares) * FRAME_SECONDS]
    assert all(a <= b + 1e-9 for a, b in pairwise(edges))
    assert all(end - start <= max_len + 1e-9 for start, end in found)
    if min_speech == 0.0:
        spoken = [frame.end - FRAME_SECONDS / 2 for frame in frames if frame.probability >= 0.5]
        assert all(any(start <= time <= end for start, end in found) for time in spoken)


def test_short_pauses_are_bridged_and_short_sounds_dropped():
    shares = [0] * 20 + [1] * 30 + [0] * 10 + [1] * 30 + [0] * 40 + [1] * 3 + [0] * 40
    frames = [Frame(float(share), (index + 1) * FRAME_SECONDS) for index, share in enumerate(shares)]
    ((start, end),) = spans(frames, min_speech=0.25, min_silence=0.5, max_len=15.0)
    assert (start, end) == pytest.approx((19 * FRAME_SECONDS, 91 * FRAME_SECONDS))


def test_a_long_stretch_is_cut_where_speech_is_least_likely():
    shares = [0.9] * 100
    shares[70] = 0.4
    frames = [Frame(share, (index + 1) * FRAME_SECONDS) for index, share in enumerate(shares)]
    first, second = spans(frames, min_speech=0.25, min_silence=0.5, max_len=82 * FRAME_SECONDS)
    assert first[1] == second[0] == pytest.approx(71 * FRAME_SECONDS)


def test_windows_hold_the_samples_at_their_times_and_leave_long_pauses_out():
    audio = np.concatenate(
        [silence(1), voice(2), silence(1), voice(2, seed=1), silence(6), voice(2, seed=2), silence(1)]
    )
    found = list(speech_windows(np.array_split(audio, 11)))
    assert len(found) == 2
    for start, samples in found:
        first = round(start * RATE)
        assert np.array_equal(samples, audio[first : first + len(samples)])
    assert found[0][0] == pytest.approx(1.0, abs=0.2)
    assert len(found[0][1]) / RATE == pytest.approx(5.0, abs=0.4)
    assert found[1][0] == pytest.approx(12.0, abs=0.2)


def test_windows_are_no_longer_than_the_recogniser_takes():
    said = [sound for seed in range(14) for sound in (voice(2.5, seed), silence(0.7))]
    found = list(speech_windows(said))
    assert len(found) >= 2
    assert sum(len(samples) for _, samples in found) > 14 * 2 * RATE
    assert all(len(samples) <= 30 * RATE for _, samples in found)


def test_the_tape_does_not_grow_with_the_clip():
    tape = windows._Tape(silence(1.0) for _ in range(200))
    held = [sum(map(len, tape._held)) for _ in tape]
    assert max(held) <= windows._KEPT + RATE
