"""Bundles: what is written comes back, and what cannot be used is refused by its name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from mercli import config, registry
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion.batch import Statistics
from mercli.jobs.answers import deciding
from mercli.types import Feature, FeatureBundle, LabelScheme

DIMS = {"audio": 3, "text": 2}
SCHEME = LabelScheme("mine", "one-of", ("up", "down"))


def card(**changes):
    made = bundles.BundleCard(
        name="mine",
        scheme=SCHEME,
        policy="mine/1",
        recipe=config.Recipe(encoders=config.EMBEDDED).model_dump(),
        keys={"audio": "a" * 12, "text": "b" * 12},
        dims=DIMS,
        head={"name": "late", "version": "1", "options": {"hidden": 4}},
        temperature=1.5,
        priors={"train": [0.25, 0.75]},
        trained_on=[{"corpus": "c", "split": "train"}],
    )
    return replace(made, **changes)


@pytest.fixture
def folder(tmp_path):
    stats = Statistics({m: np.full(d, 0.5, np.float32) for m, d in DIMS.items()}, {m: np.ones(d, np.float32) for m, d in DIMS.items()})  # fmt: skip # noqa: E501
    head = registry.build("heads", "late", DIMS, SCHEME, options={"hidden": 4})
    bundles.save(tmp_path / "made", card(), head, stats, "# mine\n")
    return tmp_path / "made"


def seal(folder):
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in bundles.NAMED}
    (folder / "checksums.json").write_text(json.dumps(sums))


def change(folder, **changes):
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    seal(folder)


def test_what_is_saved_comes_back_with_every_option_of_its_head(folder):
    loaded = bundles.load(folder)
    assert loaded.card == card(head={"name": "late", "version": "1", "options": {"hidden": 4, "dropout": 0.2}})
    values = np.ones((2, 3), np.float32)
    feature = Feature(values, np.zeros((2, 2), np.float32), np.ones(2, bool))
    log_p = loaded.log_probabilities([FeatureBundle("x", {"audio": feature, "text": None})])
    np.testing.assert_allclose(np.exp(log_p).sum(), 1, atol=1e-9)


def test_options_that_the_head_does_not_have_are_not_written(tmp_path):
    head = registry.build("heads", "late", DIMS, SCHEME)
    wrong = card(head={"name": "late", "version": "1", "options": {"hiden": 4}})
    with pytest.raises(ConfigError, match="did you mean 'hidden'"):
        bundles.save(tmp_path / "made", wrong, head, Statistics({}, {}), "")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", ""])
@pytest.mark.parametrize("name", ["checksums.json", "bundle.json"])
def test_json_that_cannot_be_read_is_told_with_the_bundle(folder, name, text):
    (folder / name).write_bytes(text.encode("latin-1"))
    if name == "bundle.json":
        seal(folder)
    with pytest.raises(DataError, match=name) as fault:
        bundles.load(folder)
    assert str(folder) in fault.value.message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "format 2, expected 1"),
        ({"sparkle": 1}, "'sparkle', which this version"),
        ({"recipe": {**config.Recipe(encoders=config.EMBEDDED).model_dump(), "lips": True}}, "'lips'"),
        ({"recipe": {}}, "'encoders'"),
        ({"temperature": "warm"}, "'temperature'"),
        ({"scheme": {"name": "mine"}}, "'scheme.kind'"),
        ({"head": {"name": "late"}}, "name, version and options"),
        ({"head": {"name": "late", "version": "9", "options": {}}}, "version 9 of the head 'late'"),
        ({"head": {"name": "late", "version": "1", "options": {"hiden": 1}}}, "did you mean 'hidden'"),
        ({"head": {"name": "late", "version": "1", "options": {"hidden": 5}}}, "weights do not fit"),
        ({"dims": {"audio": 3, "text": 9}}, "weights do not fit"),
        ({"dims": {"audio": 3, "text": 2, "face": 4}}, "weights do not fit"),
    ],
)
def test_a_card_that_cannot_be_used_is_told_with_the_bundle(folder, changes, said):
    change(folder, **changes)
    with pytest.raises(DataError) as fault:
        bundles.load(folder)
    assert str(folder) in fault.value.message
    assert said in fault.value.message


def test_missing_keys_of_a_card_are_told(folder):
    path = folder / "bundle.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "dims"}))
    seal(folder)
    with pytest.raises(DataError, match="'dims': Field required"):
        bundles.load(folder)


@pytest.mark.parametrize("drop", ["mean.text", "head.log_weight"])
def test_missing_tensors_are_told(folder, drop):
    from safetensors.numpy import load_file, save_file

    path = folder / "head.safetensors"
    save_file({name: value for name, value in load_file(path).items() if name != drop}, path)
    seal(folder)
    with pytest.raises(DataError, match="weights do not fit"):
        bundles.load(folder)


def test_statistics_of_another_width_and_no_weights_at_all_are_told(folder):
    from safetensors.numpy import load_file, save_file

    path = folder / "head.safetensors"
    save_file({**load_file(path), "std.text": np.ones(5, np.float32)}, path)
    seal(folder)
    with pytest.raises(DataError, match="statistics of text"):
        bundles.load(folder)
    path.write_bytes(b"nothing")
    seal(folder)
    with pytest.raises(DataError, match="weights do not fit"):
        bundles.load(folder)


def test_a_changed_file_is_told(folder):
    (folder / "README.md").write_text("other")
    with pytest.raises(DataError, match=r"'README\.md' is not the file"):
        bundles.load(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", "{"), ("p.json", "[1]"), ("p.json", '"up"'), ("p.json", "\xff"), ("p.yaml", "up: ["),
        ("p.yaml", "up: 1\n"), ("p.yaml", "up: 1\ndown: many\n"), ("p.yaml", "up: 1\ndown: 0\n"),
        ("p.yaml", "up: 1\ndown: true\n"), ("p.yaml", "up: 1\ndown: .nan\n"), ("p.yaml", "up: 1\ndown: 1\n3: 1\n"),
        ("p.yaml", "up: 1\ndown: [1]\n"), ("p.yaml", "\xff"),
    ],
)  # fmt: skip
def test_a_prior_file_that_cannot_be_used_is_refused(folder, tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="p\\."):
        deciding.prior(bundles.load(folder), str(tmp_path / name))


def test_a_prior_file_is_normalised(folder, tmp_path):
    (tmp_path / "p.yaml").write_text("down: 3\nup: 1\n")
    np.testing.assert_allclose(np.exp(deciding.prior(bundles.load(folder), str(tmp_path / "p.yaml"))), [0.25, 0.75])
