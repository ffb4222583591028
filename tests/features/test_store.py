import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from mercli.errors import DataError
from mercli.features.store import Store, feature_key
from mercli.types import Feature


def feature(rows: int, dim: int = 3, seed: int = 0) -> Feature:
    draw = np.random.default_rng(seed)
    times = np.stack([np.arange(rows), np.arange(rows) + 1], 1).astype(np.float32)
    return Feature(draw.normal(size=(rows, dim)).astype(np.float32), times, draw.random(rows) > 0.3)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
@settings(max_examples=25)
def test_what_is_appended_is_read_back_bit_for_bit(tmp_path_factory, lengths):
    folder = tmp_path_factory.mktemp("store")
    written = {f"c/clip{i}/0": feature(rows, seed=i) for i, rows in enumerate(lengths)}
    Store(folder).append(written, {"c/none/0": "no face"})
    store = Store(folder)
    assert len(store) == len(written)
    for identity, one in written.items():
        found = store.get(identity)
        for name in ("values", "times", "valid"):
            np.testing.assert_array_equal(getattr(found, name), getattr(one, name))
    assert store.missing("c/none/0") == "no face"
    assert "c/none/0" in store
    assert store.get("c/none/0") is None


def test_two_writers_add_without_knowing_each_other(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.append({"a": feature(2)}, {})
    second.append({"b": feature(3)}, {})
    first.refresh()
    assert sorted(first.ids()) == ["a", "b"]


def test_segments_are_plain_safetensors(tmp_path):
    Store(tmp_path).append({"a": feature(2)}, {})
    (path,) = tmp_path.glob("*.safetensors")
    assert set(load_file(path)) == {"values", "times", "valid", "offsets"}


def test_a_part_of_a_killed_writer_is_not_read(tmp_path):
    Store(tmp_path).append({"a": feature(2)}, {})
    (path,) = tmp_path.glob("*.safetensors")
    (tmp_path / f".{path.name}.99.part").write_bytes(path.read_bytes()[:40])
    assert sorted(Store(tmp_path).ids()) == ["a"]


@pytest.mark.parametrize("cut", [0, 5, 60, -4])
def test_a_damaged_segment_is_named(tmp_path, cut):
    Store(tmp_path).append({"a": feature(2)}, {})
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=path.name):
        Store(tmp_path)


def test_the_key_changes_with_everything_that_changes_the_numbers():
    made = ("enc", "1", {"a": 1}, {"fps": 5}, "none", "fp32")
    base = feature_key(*made)
    assert len(base) == 12
    assert base == feature_key("enc", "1", {"a": 1}, {"fps": 5}, "none", "fp32")
    changed = [
        ("enc2", *made[1:]),
        ("enc", "2", *made[2:]),
        ("enc", "1", {"a": 2}, *made[3:]),
        (*made[:3], {"fps": 4}, *made[4:]),
        (*made[:4], "abc", "fp32"),
        (*made[:5], "bf16"),
    ]
    assert len({feature_key(*one) for one in changed} | {base}) == 7


def test_the_key_is_frozen():
    # a change here makes every store on every disk unreadable by name: it needs a new version, not a new number
    assert feature_key("enc", "1", {"b": 1, "a": "x"}, {"fps": 5}, "none", "fp32") == "b7c552954065"


def test_spec_is_written_once(tmp_path):
    store = Store(tmp_path)
    store.describe({"encoder": "one"})
    store.describe({"encoder": "two"})
    assert json.loads((tmp_path / "spec.json").read_text()) == {"encoder": "one"}
    assert os.listdir(tmp_path) == ["spec.json"]


def test_what_was_made_of_a_segment_that_has_changed_since_is_passed_over(tmp_path):
    Store(tmp_path, {"a": "1", "b": "1"}).append({"a": feature(2, seed=1)}, {"b": "no face"})
    changed = Store(tmp_path, {"a": "2", "b": "1"})
    assert "a" not in changed
    assert changed.missing("b") == "no face"
    changed.append({"a": feature(2, seed=2)}, {})
    for prints, seed in (({"a": "1"}, 1), ({"a": "2"}, 2)):
        np.testing.assert_array_equal(Store(tmp_path, prints).get("a").values, feature(2, seed=seed).values)


def test_the_trust_of_a_transcript_is_kept_beside_its_feature(tmp_path):
    Store(tmp_path).append({"a": feature(1), "b": feature(1)}, {}, {"a": 0.25})
    assert (Store(tmp_path).trust("a"), Store(tmp_path).trust("b")) == (0.25, None)


def test_the_trust_of_a_transcript_that_has_changed_since_is_passed_over(tmp_path):
    for number in range(8):  # whichever file is read last
        folder = tmp_path / str(number)
        Store(folder, {"a": "old"}).append({"a": feature(1, seed=number)}, {}, {"a": 0.25 + number / 100})
        Store(folder, {"a": "new"}).append({"a": feature(1, seed=number)}, {})
        assert Store(folder, {"a": "new"}).trust("a") is None
