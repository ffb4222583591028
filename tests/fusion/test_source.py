"""Where batches come from: the same bits from memory and from disk, and no more memory than a batch needs."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.features.store import Store
from mercli.fusion import batch as batches
from mercli.fusion import loop
from mercli.fusion import source as sources
from mercli.fusion.batch import Examples, collate, select, statistics
from mercli.labels import CANONICAL
from mercli.types import Feature, FeatureBundle

DIMS = {"audio": 5, "face": 4, "text": 3}
PLAN = loop.Schedule(3, 10, 8, 1e-2, 1e-2, 0.3, 3, accumulate=2)


def feature(draw, rows, dim):
    valid = draw.random(rows) < 0.8
    valid[draw.integers(rows)] = True
    values = draw.normal(2, 3, (rows, dim)).astype(np.float32)
    values[~valid] = np.nan  # what is not valid must reach nothing
    return Feature(values, np.zeros((rows, 2), np.float32), valid)


def made(count=50, seed=0, longest=9, prior=True):
    """Segments of uneven lengths; every subset of the modalities occurs."""
    draw = np.random.default_rng(seed)
    bundles = []
    for index in range(count):
        here = [(index % 7 + 1) >> place & 1 for place in range(3)]
        features = {
            m: feature(draw, int(draw.integers(1, longest + 1)), dim) if there else None
            for (m, dim), there in zip(DIMS.items(), here, strict=True)
        }
        bundles.append(FeatureBundle(str(index), features))
    targets = draw.integers(0, 7, count)
    table = np.log(draw.dirichlet(np.ones(7), count)).astype(np.float32) if prior else None
    return Examples(bundles, tuple(DIMS), targets, ["a"] * count, table)


def on_disk(examples, folder):
    """The same segments as the feature store gives them: views of mapped files."""
    stores = {m: Store(folder / m) for m in DIMS}
    for m, store in stores.items():
        store.append({b.segment_id: f for b in examples.bundles if (f := b.features[m])}, {})
    bundles = [
        FeatureBundle(b.segment_id, {m: s.get(b.segment_id) for m, s in stores.items()}) for b in examples.bundles
    ]
    return Examples(bundles, examples.modalities, examples.targets, examples.corpora, examples.log_prior)


def held(examples, resident):
    return sources.source(examples, statistics(examples), DIMS, resident=resident)


@pytest.mark.parametrize("name", ["late", "concat", "gated", "transformer"])
@pytest.mark.parametrize("longest", [1, 9])
def test_training_gives_the_same_bits_from_memory_and_from_disk(name, longest, tmp_path):
    runs = []
    for resident in (True, False):
        train, dev = made(longest=longest), made(20, seed=1, longest=longest)
        if not resident:
            train, dev = on_disk(train, tmp_path / "train"), on_disk(dev, tmp_path / "dev")
        torch.manual_seed(0)
        head = registry.build("heads", name, DIMS, CANONICAL)
        learn, choose = held(train, resident), held(dev, resident)
        epochs = list(loop.fit(head, learn, choose, PLAN))
        runs.append((epochs, head.state_dict(), loop.predict(head, choose)))
    (epochs, state, logits), (others, other, theirs) = runs
    assert epochs == others
    assert torch.equal(logits, theirs)
    for key, tensor in state.items():
        assert torch.equal(tensor, other[key]), key


def test_with_one_row_each_a_source_is_the_batch_that_collate_makes():
    examples = made(longest=1)
    whole = collate(examples, statistics(examples), DIMS)
    heads = []
    for data in (whole, held(examples, True), held(examples, False)):
        torch.manual_seed(0)
        head = registry.build("heads", "concat", DIMS, CANONICAL)
        list(loop.fit(head, data, whole, PLAN))
        heads.append(head.state_dict())
    for other in heads[1:]:
        for key, tensor in heads[0].items():
            assert torch.equal(tensor, other[key]), key


@pytest.mark.parametrize("resident", [True, False])
def test_a_batch_is_as_long_as_its_own_longest_and_holds_what_collate_gives(resident):
    examples = made()
    data = held(examples, resident)
    whole = collate(examples, statistics(examples), DIMS)
    for index in torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).split(7):
        drop = torch.rand((len(index), 3), generator=torch.Generator().manual_seed(1)) < 0.4
        found, expected = sources.take(data, index, drop), select(whole, index, drop)
        assert torch.equal(found.present, expected.present)
        assert torch.equal(found.targets, expected.targets)
        assert torch.equal(found.log_prior, expected.log_prior)
        for place, m in enumerate(DIMS):
            end = max(1, int(data.lengths[index.numpy(), place].max()))
            assert found.values[m].shape == (len(index), end, DIMS[m])
            assert torch.equal(found.values[m], expected.values[m][:, :end])
            assert torch.equal(found.valid[m], expected.valid[m][:, :end])
            assert not expected.valid[m][:, end:].any()


def test_what_is_small_when_padded_is_resident_and_the_rest_stays_on_disk(monkeypatch):
    stats = statistics(made())
    assert sources.source(made(), stats, DIMS).resident is not None
    monkeypatch.setattr(sources, "RESIDENT", 4 * 50 * 9 * sum(DIMS.values()) - 1)
    assert sources.source(made(), stats, DIMS).resident is None
    assert sources.source(made(49), stats, DIMS).resident is not None


def test_one_long_segment_costs_its_own_length_and_not_that_of_all(monkeypatch):
    monkeypatch.setattr(sources, "RESIDENT", 1 << 20)
    monkeypatch.setattr(sources, "NUMBERS", 400_000)
    examples = made(400, prior=False)
    draw = np.random.default_rng(0)
    long = feature(draw, 20_000, DIMS["audio"])
    examples.bundles[0] = FeatureBundle("0", {"audio": long, "face": None, "text": None})
    padded = 4 * 400 * 20_000 * DIMS["audio"]
    head = registry.build("heads", "late", DIMS, CANONICAL)
    tracemalloc.start()
    stats = statistics(examples)
    data = sources.source(examples, stats, DIMS)
    list(loop.fit(head, data, data, PLAN))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert padded > 100 << 20
    assert peak < padded / 10


@pytest.mark.parametrize("resident", [True, False])
def test_predictions_are_made_in_order_and_no_part_is_larger_than_allowed(resident, monkeypatch):
    data = held(made(), resident)
    head = registry.build("heads", "late", DIMS, CANONICAL).eval()
    expected = loop.predict(head, data)
    monkeypatch.setattr(sources, "NUMBERS", 300)
    chosen = list(sources.parts(data))
    assert torch.cat(chosen).tolist() == list(range(50))
    sizes = [sum(v.numel() for v in sources.take(data, index).values.values()) for index in chosen]
    assert len(chosen) > 5
    assert all(size <= 300 or len(index) == 1 for size, index in zip(sizes, chosen, strict=True))
    for index, following in pairwise(chosen):  # one more would not have fitted
        more = torch.cat([index, following[:1]])
        assert sum(v.numel() for v in sources.take(data, more).values.values()) > 300
    torch.testing.assert_close(loop.predict(head, data), expected)
    monkeypatch.setattr(sources, "ROWS", 3)
    assert max(len(index) for index in sources.parts(data)) == 3


def test_a_batch_and_nothing_at_all_are_predicted_in_parts_too(monkeypatch):
    whole = collate(made(), statistics(made()), DIMS)
    head = registry.build("heads", "late", DIMS, CANONICAL).eval()
    expected = loop.predict(head, whole)
    monkeypatch.setattr(sources, "NUMBERS", 5 * sum(whole.values[m][0].numel() for m in DIMS))
    assert [len(index) for index in sources.parts(whole)] == [5] * 10
    torch.testing.assert_close(loop.predict(head, whole), expected)
    for resident in (True, False):
        none = sources.source(made().subset(np.arange(0)), statistics(made()), DIMS, resident=resident)
        assert loop.predict(head, none).shape == (0, 7)


def test_statistics_are_those_of_all_rows_at_once_however_they_are_read(monkeypatch):
    examples = made()
    for piece in (1, 700, 1 << 30):
        monkeypatch.setattr(batches, "PIECE", piece)
        found = statistics(examples)
        for m in DIMS:
            rows = np.concatenate([f.values[f.valid] for b in examples.bundles if (f := b.features[m])])
            rows = rows.astype(np.float64)
            assert np.array_equal(found.mean[m], rows.mean(0).astype(np.float32))
            assert np.array_equal(found.std[m], rows.std(0).astype(np.float32))


def test_what_is_padded_does_not_depend_on_how_many_are_standardised_together(monkeypatch):
    examples = made()
    stats = statistics(examples)
    whole = collate(examples, stats, DIMS)
    monkeypatch.setattr(batches, "BLOCK", 3)
    again = collate(examples, stats, DIMS)
    for m in DIMS:
        assert torch.equal(whole.values[m], again.values[m])
        assert whole.values[m].isfinite().all()
        first = next(i for i, b in enumerate(examples.bundles) if b.features[m])
        one = examples.bundles[first].features[m]
        expected = np.where(one.valid[:, None], (one.values - stats.mean[m]) / stats.std[m], 0)
        assert np.array_equal(whole.values[m][first, : len(one.values)], expected)
