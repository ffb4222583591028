"""Principal components: scikit-learn's, of the training part alone, and in the bundle."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mercli import config as configs
from mercli.errors import ConfigError, DataError
from mercli.fusion import batch as batches
from mercli.fusion import bundle as bundles
from mercli.fusion.batch import Examples, collate, statistics
from mercli.types import Feature, FeatureBundle


def examples(count: int = 60, width: int = 9, seed: int = 0, stretch: float = 1.0) -> Examples:
    """Return segments of two modalities, some rows not valid, with directions of very different variance."""
    draw = np.random.default_rng(seed)
    mix = draw.normal(size=(width, width)) * np.linspace(3, 0.1, width)
    made = []
    for number in range(count):
        rows = int(draw.integers(1, 4))
        text = (draw.normal(size=(rows, width)) @ mix + 5).astype(np.float32) * np.float32(stretch)
        valid = np.arange(rows) < max(1, rows - 1)
        audio = draw.normal(size=(1, 4)).astype(np.float32)
        times = np.zeros((rows, 2), np.float32)
        features = {"audio": Feature(audio, times[:1], valid[:1]), "text": Feature(text, times, valid)}
        made.append(FeatureBundle(str(number), features))
    return Examples(made, ("audio", "text"), np.arange(count) % 3)


def rows(some: Examples) -> np.ndarray:
    return np.concatenate([f.values[f.valid] for b in some.bundles if (f := b.features["text"])]).astype(np.float64)


@pytest.mark.parametrize("piece", [1, 1 << 24])
def test_components_are_scikit_learns(piece, monkeypatch):
    from sklearn.decomposition import PCA

    monkeypatch.setattr(batches, "PIECE", piece)
    some = examples()
    found = statistics(some, {"text": 4})
    known = PCA(4, svd_solver="full").fit(rows(some))
    np.testing.assert_allclose(found.axes["text"], known.components_.T, atol=1e-5)
    projected = rows(some) @ found.axes["text"] - found.mean["text"]
    np.testing.assert_allclose(projected, known.transform(rows(some)), atol=1e-3)
    np.testing.assert_allclose(found.std["text"], known.transform(rows(some)).std(0), rtol=1e-5)
    assert found.widths({"audio": 4, "text": 9}) == {"audio": 4, "text": 4}


def test_a_batch_holds_standardised_components_and_zeros_behind_masks():
    some = examples()
    found = statistics(some, {"text": 3})
    made = collate(some, found, {"audio": 4, "text": 9})
    values, valid = made.values["text"].numpy(), made.valid["text"].numpy()
    assert values.shape[2] == 3
    assert not values[~valid].any()
    np.testing.assert_allclose(values[valid].mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(values[valid].std(0), 1, atol=1e-4)


def test_more_components_than_rows_or_numbers_are_refused():
    with pytest.raises(DataError, match="no 10 principal components"):
        statistics(examples(), {"text": 10})
    with pytest.raises(DataError, match="2 training rows"):
        statistics(examples(count=60).subset([0, 3]), {"audio": 3})


@pytest.fixture(scope="module")
def trained(world, tmp_path_factory):
    from mercli.jobs.train import train

    runs = tmp_path_factory.mktemp("runs")
    config = configs.resolve(
        configs.TrainConfig,
        {"corpora": ["one"], "data": str(world.data), "runs": str(runs)},
        preset="weightless",
        sets=["reduce.text=6", "reduce.audio=5", "epochs=3"],
    )
    return config, train(config).run


def test_the_bundle_reduces_as_the_run_did(trained):
    from mercli.jobs.fits import dataset

    config, run = trained
    bundle = bundles.load(run / "bundle")
    assert bundle.stats.axes["text"].shape == (bundle.card.dims["text"], 6)
    found = dataset.load(config).examples([("one", "test")])
    log_p = bundle.log_probabilities(found.bundles)
    told = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    names = bundle.card.scheme.names
    np.testing.assert_allclose(np.exp(log_p), [[row["scores"][name] for name in names] for row in told], atol=1e-5)


def test_nothing_outside_the_training_part_enters_the_components(trained):
    """Poison: whatever dev and test features are made of, the components stay the same to the bit."""
    from mercli.jobs.fits import dataset, fitting

    config, run = trained
    data = dataset.load(config)
    corpus = data.corpora["one"]

    def poisoned(segment, bundle):
        if segment.split == "train":
            return bundle
        far = {m: f and replace(f, values=f.values * 0 + 1e3) for m, f in bundle.features.items()}
        return replace(bundle, features=far)

    spoilt = [poisoned(*pair) for pair in zip(corpus.segments, corpus.bundles, strict=True)]
    other = replace(data, corpora={"one": replace(corpus, bundles=spoilt)})
    fitted = fitting.fit(config, other, [("one", "train")], [("one", "dev")], 0)
    for modality, axes in bundles.load(run / "bundle").stats.axes.items():
        np.testing.assert_array_equal(fitted.stats.axes[modality], axes)


def test_a_modality_that_is_not_trained_on_cannot_be_reduced(trained):
    from mercli.jobs.fits import dataset, fitting

    config, _ = trained
    data = dataset.load(config.model_copy(update={"modalities": ("audio",)}))
    with pytest.raises(ConfigError, match=r"reduce\.text"):
        fitting.fit(config, data, [("one", "train")], [("one", "dev")], 0)


def test_axes_that_do_not_fit_the_card_are_refused(trained, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    _, run = trained
    made = shutil.copytree(run / "bundle", tmp_path / "bundle")
    tensors = load_file(made / "head.safetensors")
    tensors["axes.text"] = tensors["axes.text"][1:].contiguous()
    save_file(tensors, made / "head.safetensors")
    sums = json.loads((made / "checksums.json").read_text())
    sums["head.safetensors"] = bundles.sha256((made / "head.safetensors").read_bytes())
    (made / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(DataError, match="statistics of text"):
        bundles.load(made)
