"""AVT-CA's inputs and the gates of its face trunk against the seed's own numbers."""

from __future__ import annotations

import re

import pytest
import torch

from mercli.features.seeds.avtca_frontend import SAMPLES, fit, frame_indices, mfcc, span
from mercli.features.seeds.avtca_trunk import Modulator

pytestmark = pytest.mark.parity


def test_mfcc_are_those_of_the_seed(parity):
    reference = parity("avtca_frontend")
    waves = sorted(name for name in reference.tensors if name.startswith("in.wave"))
    assert waves
    for name in waves:
        reference.agrees(mfcc(reference.tensors[name]), name.replace("in.wave", "out.mfcc"))


def test_a_clip_is_cut_and_padded_as_in_the_seed_save_the_length_that_it_empties(parity):
    rows = parity("avtca_frontend").tensors["out.croppad_n_start_len_padright"].tolist()
    assert len(rows) > 1
    for length, first, kept, zeros in rows:
        expected = (0, length, 0) if first < 0 else (first, kept, zeros)
        assert span(length) == expected, length
        wave = fit(torch.arange(1, length + 1))
        assert len(wave) == SAMPLES
        assert wave[0] == expected[0] + 1
        assert int((wave == 0).sum()) == expected[2]


def test_the_same_frames_are_looked_at(parity):
    found = 0
    for name, expected in parity("avtca_frontend").part("out").items():
        counts = re.fullmatch(r"frames_(\d+)_of_(\d+)", name)
        if counts:
            found += 1
            assert frame_indices(int(counts[2]), int(counts[1])) == expected.tolist()
    assert found > 1


def test_the_modulator_gates_as_in_the_seed(parity):
    reference = parity("avtca_units")
    weights = reference.part("weights.modulator")
    modulator = Modulator(reference.tensors["in.modulator"].shape[1]).eval()
    modulator.load_state_dict(weights)
    with torch.inference_mode():
        reference.agrees(modulator(reference.tensors["in.modulator"]), "out.modulator")
