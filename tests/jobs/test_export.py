"""``mer bundle export``: an ONNX twin answers as its bundle does, tells where it comes from, and is refused if torn."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

import torch

from mercli import registry
from mercli.config import Recipe
from mercli.errors import ConfigError, DataError
from mercli.fusion import bundle as bundles
from mercli.fusion.batch import Statistics
from mercli.jobs import bundling, export
from mercli.jobs.features import encoding
from mercli.jobs.predict import bundle_folder
from mercli.labels import CANONICAL
from tests.contracts.models import MADE

HELLO = export.EXAMPLE
LARGE = {"audio": "smil-audio", "face": "hf-vision", "text": "smil-text"}


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "fp32"
    return export.export("embedded", folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin") / "int8"
    return export.export("embedded", folder, shrink=True)


@pytest.fixture
def copy(twin, tmp_path):
    return Path(shutil.copytree(twin.bundle, tmp_path / "copy"))


def answers(mer, *words):
    answer = mer("predict", *words, "--format", "jsonl")
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


def seal(folder, **changes):
    """Change the card, and write checksums as if it had been so."""
    card = {**json.loads((folder / "bundle.json").read_text()), **changes}
    (folder / "bundle.json").write_text(json.dumps(card))
    names = [path.name for path in folder.iterdir() if path.name != "checksums.json"]
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "checksums.json").write_text(json.dumps(sums))


def test_the_twin_of_the_shipped_bundle_gives_the_same_lines(mer, twin):
    one, other = (answers(mer, HELLO, "--windows", "2/1", "--explain", "--model", m) for m in ("embedded", twin.bundle))
    assert len(one) == len(other) > 1
    for mine, theirs in zip(one, other, strict=True):
        assert theirs.pop("run") == f"{mine.pop('run')}-onnx"
        for numbers in ("scores", "shares"):
            assert theirs.pop(numbers) == pytest.approx(mine.pop(numbers), abs=1e-4)
        assert mine == theirs


def test_the_twin_tells_how_near_it_comes_and_what_it_was_made_of(mer, twin):
    assert {name: part.precision for name, part in twin.parts.items()} == dict.fromkeys(
        ("audio", "face", "text", "head"), "fp32"
    )
    assert all(part.cosine > 0.99999 and part.difference < 1e-4 for part in twin.parts.values())
    assert twin.same == twin.windows > 5
    card = bundles.load(twin.bundle).card
    sums = (bundle_folder("embedded") / "checksums.json").read_bytes()
    assert card.facts["exported"]["from"] == "embedded"
    assert card.facts["exported"]["from_sha256"] == hashlib.sha256(sums).hexdigest()
    assert set(json.loads((twin.bundle / "checksums.json").read_text())) == {
        path.name for path in twin.bundle.iterdir()
    } - {"checksums.json"}
    shown = mer("bundle", "show", twin.bundle).out
    assert "ONNX graphs\taudio=fp32 face=fp32 text=fp32 head=fp32" in shown
    assert "CHANGED" not in shown


def test_8_bits_are_smaller_and_change_scores_by_a_hundredth_at_most_on_made_clips(mer, twin, small, world):
    sizes = {name: (small.parts[name].bytes, twin.parts[name].bytes) for name in ("audio", "face")}
    assert all(less < 0.65 * more for less, more in sizes.values())
    assert small.parts["text"].bytes < twin.parts["text"].bytes  # its table of n-grams is in 8 bits in both
    assert {small.parts[name].precision for name in ("audio", "face", "text")} == {"int8"}
    assert min(part.cosine for part in small.parts.values()) > 0.99
    assert small.same == small.windows
    clips = sorted((world.folder / "raw" / "one").rglob("*.mp4"))[:4]
    assert len(clips) == 4
    both = (answers(mer, *clips, "--model", model) for model in ("embedded", small.bundle))
    for whole, rounded in zip(*both, strict=True):
        assert rounded["scores"] == pytest.approx(whole["scores"], abs=0.01)


def test_a_trained_bundle_whose_encoders_have_no_network_has_a_graph_of_its_head_alone(mer, gated, tmp_path):
    source = next(path.parent for path in sorted((gated / "bundle").rglob("checksums.json")))
    answer = mer("bundle", "export", source, "-o", tmp_path / "made", "--json")
    assert answer.code == 0, answer.err
    parts = json.loads(answer.out)["parts"]
    assert parts.pop("head")["precision"] == "fp32"
    assert {part["why"] for part in parts.values()} == {"it has no torch network"}
    one, other = (answers(mer, HELLO, "--model", model)[0] for model in (source, tmp_path / "made"))
    assert other["scores"] == pytest.approx(one["scores"], abs=1e-4)
    assert (tmp_path / "made" / "head.onnx").is_file()
    assert bundling.verify(str(tmp_path / "made")).obstacles == ()


@pytest.fixture
def large(tmp_path):
    """A bundle over tiny networks in the forms of large ones: a transformer for each modality, and a random head."""
    choices = {m: {"name": name, "options": MADE[name](tmp_path)} for m, name in LARGE.items()}
    recipe = Recipe.model_validate({"encoders": choices})
    built = encoding.build(recipe, LARGE)
    dims = {m: encoder.dim for m, encoder in built.encoders.items()}
    torch.manual_seed(0)
    head = registry.build("heads", "concat", dims, CANONICAL)
    card = bundles.BundleCard(
        name="large", scheme=CANONICAL, policy="canonical-7/1", recipe=recipe.model_dump(), keys=dict(built.keys),
        dims=dims, head={"name": "concat", "version": "1", "options": {}}, temperature=1.0, priors={}, trained_on=[],
    )  # fmt: skip
    bundles.save(tmp_path / "large", card, head, Statistics.unchanging(dims), "# large\n")
    return tmp_path / "large"


def test_transformers_are_shrunk_and_bundles_of_one_recipe_keep_their_own_networks(mer, large, tmp_path):
    found = {shrink: export.export(str(large), tmp_path / f"{shrink}", shrink=shrink).parts for shrink in (False, True)}
    for modality, name in LARGE.items():
        assert found[False][modality].name == name
        assert (found[False][modality].precision, found[True][modality].precision) == ("fp32", "int8")
    words = [word for folder in (large, tmp_path / "False", tmp_path / "True") for word in ("--model", folder)]
    torch_, fp32, int8 = (a["scores"] for a in answers(mer, HELLO, *words))
    assert fp32 == pytest.approx(torch_, abs=1e-4)
    assert int8 == pytest.approx(torch_, abs=0.05)
    assert int8 != pytest.approx(torch_, abs=1e-5)


def test_packed_it_answers_alike(mer, twin, tmp_path):
    packed = bundling.pack(str(twin.bundle), tmp_path / "one.mer")
    one, other = (answers(mer, HELLO, "--model", model) for model in (twin.bundle, packed))
    assert one == other


def test_a_whole_twin_is_verified_and_a_torn_or_missing_graph_is_told(mer, copy):
    assert mer("bundle", "verify", copy).code == 0
    graph = copy / "face.onnx"
    content = graph.read_bytes()
    graph.write_bytes(content[: len(content) // 2])
    answer = mer("bundle", "verify", copy)
    assert answer.code == 4
    assert "'face.onnx' is not the file that was written" in answer.err
    assert mer("predict", HELLO, "--model", copy).code == 4
    seal(copy)  # torn before it was written: its checksum is right
    answer = mer("bundle", "verify", copy)
    assert answer.code == 4
    assert "face: the graph 'face.onnx' cannot be read" in answer.err
    graph.unlink()
    seal(copy)
    with pytest.raises(DataError, match=r"tells of a graph 'face\.onnx', which is not there"):
        bundles.load(copy)


def test_without_the_extra_predict_says_so_and_verify_calls_it_an_obstacle(mer, copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    answer = mer("predict", HELLO, "--model", copy)
    assert answer.code == 5
    assert "extra 'onnx'" in answer.err
    assert "pip install 'mercli[onnx]'" in answer.err
    found = bundling.verify(str(copy))
    assert found.faults == ()
    assert any("extra 'onnx'" in obstacle for obstacle in found.obstacles)
    answer = mer("bundle", "export", "embedded", "-o", copy / "made")
    assert answer.code == 5
    assert not (copy / "made").exists()


def test_a_graph_that_drifts_is_refused_and_nothing_is_written(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(export, "SAME", 1.1)
    with pytest.raises(DataError, match=r"cosine of 1\.000000 with its network, expected 1\.1") as fault:
        export.export("embedded", tmp_path / "made")
    assert "--allow-drift" in (fault.value.hint or "")
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_exported_is_refused_before_any_work(mer, twin, tmp_path):
    with pytest.raises(ConfigError, match="is ONNX already"):
        export.export(str(twin.bundle), tmp_path / "made")
    with pytest.raises(ConfigError, match="holds a bundle"):
        export.export("embedded", twin.bundle)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        export.export("embedded", tmp_path / "file")
    with pytest.raises(DataError, match=r"'none\.mp4' cannot be compared on"):
        export.export("embedded", tmp_path / "made", clips=["none.mp4"])
    assert mer("bundle", "export", "embedded", "-o", tmp_path / "made", "--format", "tflite").code == 2
    assert mer("predict", HELLO, "--model", twin.bundle, "--device", "cuda").code in (3, 5)
    assert not (tmp_path / "made").exists()
