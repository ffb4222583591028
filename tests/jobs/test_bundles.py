"""``mer bundle``: what is shown, what is refused, one file of it, and checkpoints of published systems."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from mercli import registry  # noqa: E402
from mercli.contracts import Batch  # noqa: E402
from mercli.errors import ConfigError, DataError  # noqa: E402
from mercli.fusion import bundle as bundles  # noqa: E402
from mercli.fusion import packed  # noqa: E402
from mercli.fusion.heads import avtca_import, foalnet_import, gated_import  # noqa: E402
from mercli.jobs import bundling, importing  # noqa: E402
from mercli.jobs.predict import bundle_folder  # noqa: E402
from mercli.labels import CANONICAL  # noqa: E402
from mercli.types import LabelScheme  # noqa: E402
from tests.features import test_foalnet_encoders as foalnet_models  # noqa: E402
from tests.features import test_smil_encoders as smil_models  # noqa: E402
from tests.features.test_avtca_encoders import lively, saved_trunk  # noqa: E402
from tests.parity.conftest import parity  # noqa: E402, F401


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped bundle, to be changed."""
    return Path(shutil.copytree(bundle_folder("embedded"), tmp_path / "made"))


def seal(folder):
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in packed.NAMED}
    (folder / "checksums.json").write_text(json.dumps(sums))


def change(folder, **changes):
    path = folder / "bundle.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    seal(folder)


def test_show_tells_the_card_and_every_file(mer, folder):
    answer = mer("bundle", "show", folder, "--json")
    found = json.loads(answer.out)
    card = bundles.load(folder).card
    assert (found["name"], found["scheme"]["names"]) == (card.name, list(CANONICAL.names))
    assert found["recipe"]["encoders"]["audio"]["name"] == "embedded-audio"
    assert found["dims"] == dict(card.dims)
    assert found["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    for name, told in found["files"].items():
        assert told["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert told["whole"]
    (folder / "README.md").write_text("other")
    table = mer("bundle", "show", folder)
    assert table.code == 0
    for told in (card.keys["text"], "prior train", "meld (train)", "late hidden=0", "CHANGED"):
        assert told in table.out


def test_a_sound_bundle_is_verified_with_its_encoders(mer):
    answer = mer("bundle", "verify", "embedded", "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    assert (found["faults"], found["obstacles"]) == ([], [])
    assert {m: encoder["usable"] for m, encoder in found["encoders"].items()} == dict.fromkeys(found["encoders"], True)
    assert set(found["encoders"]) == {"audio", "face", "text"}


def broken_file(folder):
    (folder / "README.md").write_text("other")


def nan_weight(folder):
    path = folder / "head.safetensors"
    state = load_file(path)
    state["head.classifiers.text.bias"][0] = float("nan")
    save_file(state, path)
    seal(folder)


def no_spread(folder):
    path = folder / "head.safetensors"
    save_file(load_file(path) | {"std.text": torch.zeros_like(load_file(path)["std.text"])}, path)
    seal(folder)


def other_weights(folder):
    path = folder / "head.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if name != "head.log_weight"}, path)
    seal(folder)


def other_key(folder):
    keys = json.loads((folder / "bundle.json").read_text())["keys"]
    change(folder, keys={**keys, "text": "0" * 12})


def no_encoder(folder):
    recipe = json.loads((folder / "bundle.json").read_text())["recipe"]
    change(folder, recipe={**recipe, "encoders": {**recipe["encoders"], "face": {"name": "smil-face", "options": {}}}})


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (broken_file, "'README.md' is not the file that was written"),
        (nan_weight, "'classifiers.text.bias' has NaN"),
        (no_spread, "the std of text features"),
        (other_weights, "its weights do not fit its card"),
        (other_key, "trained on text features 000000000000"),
        (no_encoder, "needs its option 'weights'"),
        (lambda folder: change(folder, temperature=-1.0), "temperature is -1.0"),
        (lambda folder: change(folder, priors={"train": [0.5, 0.6]}), "'train' is no distribution over 7 classes"),
        (lambda folder: change(folder, format=7), "format 7, expected 1"),
    ],
)
def test_verify_tells_every_fault_and_leaves_with_exit_code_4(mer, folder, harm, told):
    harm(folder)
    answer = mer("bundle", "verify", folder)
    assert answer.code == 4
    assert told in answer.err
    assert json.loads(mer("bundle", "verify", folder, "--json").out)["bundle"] == str(folder)


def test_an_encoder_that_is_not_here_is_no_fault_of_the_bundle_and_comes_with_its_hint(folder):
    no_encoder(folder)
    found = bundling.verify(str(folder))
    assert found.faults == ()
    assert "FER_static_ResNet50_AffectNet.pt" in found.encoders["face"]["why"]
    assert "options.weights=PATH" in found.encoders["face"]["hint"]
    assert found.encoders["audio"]["usable"]


def test_packing_twice_gives_the_same_bytes_and_loading_the_same_bundle(mer, folder, tmp_path):
    answer = mer("bundle", "pack", folder, "-o", tmp_path / "one.mer")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'one.mer'}\n")
    (folder / "notes.txt").write_text("no part of a bundle")
    for path in folder.iterdir():
        path.touch()
    bundling.pack(str(folder), tmp_path / "two.mer")
    assert (tmp_path / "one.mer").read_bytes() == (tmp_path / "two.mer").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.mer") as archive:
        assert archive.namelist() == sorted((*packed.NAMED, packed.SUMS))
        assert {m.date_time for m in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    one, other = bundles.load(folder), bundles.load(tmp_path / "one.mer")
    assert one.card == other.card
    for name, tensor in one.head.state_dict().items():
        assert torch.equal(tensor, other.head.state_dict()[name])
    assert mer("bundle", "verify", tmp_path / "one.mer").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "one.mer", "two.mer"]


def test_predict_takes_a_packed_bundle_as_it_takes_the_folder(mer, tmp_path):
    (tmp_path / "items.jsonl").write_text('{"id": "x", "text": "I am so happy today"}\n')
    packed_ = bundling.pack("embedded", tmp_path / "mine.mer")
    words = ("predict", "--list", tmp_path / "items.jsonl", "--json", "--model")
    first, second = mer(*words, "embedded"), mer(*words, packed_)
    assert first.code == second.code == 0, second.err
    assert first.out == second.out


def test_packing_refuses_what_is_damaged_and_what_would_be_overwritten(mer, folder, tmp_path):
    (tmp_path / "there.mer").write_text("mine")
    answer = mer("bundle", "pack", folder, "-o", tmp_path / "there.mer")
    assert (answer.code, (tmp_path / "there.mer").read_text()) == (3, "mine")
    assert mer("bundle", "pack", folder, "-o", tmp_path).code == 3
    (folder / "README.md").write_text("other")
    assert mer("bundle", "pack", folder, "-o", tmp_path / "new.mer").code == 4
    assert not (tmp_path / "new.mer").exists()


def zipped(path, folder, *more, change=None, compression=zipfile.ZIP_STORED, without=()):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name in (*packed.NAMED, packed.SUMS):
            member = zipfile.ZipInfo(name)
            member.compress_type = compression
            if change and name == "README.md":
                change(member)
            if name not in without:
                archive.writestr(member, (folder / name).read_bytes())
        for name in more:
            archive.writestr(name, b"more")


def linked(member):
    member.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    ("more", "how", "told"),
    [
        (("../outside.txt",), {}, r"holds '\.\./outside\.txt'"),
        (("/etc/passwd",), {}, "holds '/etc/passwd'"),
        (("sub/bundle.json",), {}, "holds 'sub/bundle.json'"),
        (("README.md",), {}, "has a file twice"),
        ((), {"change": linked}, "'README.md' is a link"),
        ((), {"compression": zipfile.ZIP_DEFLATED}, "is compressed"),
        ((), {"without": ("checksums.json",)}, "checksums.json is not there"),
        ((), {"without": ("README.md",)}, "'README.md' is not the file"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_that_pack_did_not_write_is_refused(folder, tmp_path, more, how, told):
    zipped(tmp_path / "bad.mer", folder, *more, **how)
    with pytest.raises(DataError, match=told):
        bundles.load(tmp_path / "bad.mer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.mer", "made"]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(folder, tmp_path, monkeypatch):
    bundling.pack(str(folder), tmp_path / "made.mer")
    monkeypatch.setattr(packed, "MOST_WEIGHTS", 1000)
    for path in (folder, tmp_path / "made.mer"):
        with pytest.raises(DataError, match=r"'head\.safetensors' has \d+ bytes, expected at most 1000"):
            bundles.load(path)


@pytest.mark.parametrize("cut", [0, 10, 3000])
def test_a_torn_zip_is_refused(folder, tmp_path, cut):
    bundling.pack(str(folder), tmp_path / "made.mer")
    content = (tmp_path / "made.mer").read_bytes()
    (tmp_path / "torn.mer").write_bytes(content[:cut])
    with pytest.raises(DataError, match="cannot be read as a packed bundle"):
        bundles.load(tmp_path / "torn.mer")
    flipped = bytearray(content)
    flipped[200] ^= 1
    (tmp_path / "torn.mer").write_bytes(flipped)
    with pytest.raises(DataError):
        bundles.load(tmp_path / "torn.mer")


def test_a_folder_of_bundles_names_one_of_them(mer, folder, tmp_path):
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    shutil.copytree(folder, tmp_path / "run" / "bundle" / "fold-1")
    for place in (tmp_path / "run", tmp_path / "run" / "bundle"):
        answer = mer("bundle", "show", place)
        assert answer.code == 4
        assert str(tmp_path / "run" / "bundle" / "fold-1") in answer.err


def smil_state(dims, classes=7, width=4):
    """Return random weights under the names of SMIL's checkpoints, as DataParallel saves them."""
    draw = torch.Generator().manual_seed(0)
    scheme = LabelScheme("x", "one-of", tuple(map(str, range(classes))))
    ours = registry.build("heads", "gated", dims, scheme, options={"width": width}).state_dict()
    state = {}
    for name in gated_import._NAMES:
        (found,) = gated_import.renamed({name: torch.zeros(1)}, gated_import._PATTERNS, "x")
        state[f"module.{name}"] = torch.randn(ours[found].shape, generator=draw)
    return state


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "audio": ("model", smil_models.audio_folder(folder / "audio")),
        "face": ("weights", smil_models.face_file(folder / "face.pt")),
        "text": ("model", smil_models.text_folder(folder / "text")),
    }


def flags(models):
    return [f"recipe.encoders.{m}.options.{option}={place}" for m, (option, place) in models.items()]


DIMS = {"audio": 12, "face": 16, "text": 16}


def vectors(dims, count=5, rows=1):
    draw = torch.Generator().manual_seed(1)
    values = {m: torch.randn((count, rows, dim), generator=draw) for m, dim in dims.items()}
    valid = {m: torch.ones((count, rows), dtype=torch.bool) for m in dims}
    return Batch(tuple(dims), values, valid, torch.ones((count, len(dims)), dtype=torch.bool))


def scores(bundle, batch):
    """Return the logits by class name."""
    with torch.inference_mode():
        return dict(zip(bundle.card.scheme.names, bundle.head.eval()(batch).logits.T, strict=True))


def seeds_scores(module, state, names, batch):
    """Return the logits of the checkpoint's own head by the names of its outputs."""
    seed = module.from_seed(state)
    scheme = LabelScheme("seed", "one-of", tuple(names))
    head = registry.build("heads", seed.name, seed.dims, scheme, options=seed.options)
    head.load_state_dict(seed.state)
    with torch.inference_mode():
        return dict(zip(names, head.eval()(batch).logits.T, strict=True))


def same(first, second):
    assert set(first) == set(second)
    for name in first:
        torch.testing.assert_close(first[name], second[name])


def test_a_smil_checkpoint_becomes_a_bundle_with_our_order_of_classes(mer, models, tmp_path):
    state = smil_state(DIMS)
    torch.save({"model_state_dict": state, "epoch": 3}, tmp_path / "best.pt")
    sets = [word for flag in flags(models) for word in ("--set", flag)]
    words = ("bundle", "import", "--from", "smil", tmp_path / "best.pt", "-o", tmp_path / "made", *sets)
    answer = mer(*words, "--trained-on", "meld:train", "--trained-on", "afew")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'made'}\n"), answer.err
    bundle = bundles.load(tmp_path / "made")
    assert bundle.card.scheme == CANONICAL
    batch = vectors(DIMS)
    same(scores(bundle, batch), seeds_scores(gated_import, state, gated_import.CLASSES, batch))
    assert list(bundle.card.trained_on) == [
        {"corpus": "meld", "split": "train"}, {"corpus": "afew", "split": "all"},
    ]  # fmt: skip
    assert bundle.card.temperature == 1
    np.testing.assert_allclose(bundle.card.priors["uniform"], 1 / 7)
    assert bundle.card.head["options"]["width"] == 4
    assert "SMIL" in (tmp_path / "made" / "README.md").read_text()
    assert bundle.card.facts["sha256"] == hashlib.sha256((tmp_path / "best.pt").read_bytes()).hexdigest()
    assert bundle.stats.mean["audio"].tolist() == [0] * DIMS["audio"]
    assert mer("bundle", "verify", tmp_path / "made").code == 0
    assert mer(*words).code == 3  # the bundle stays


def test_what_an_unknown_checkpoint_has_seen_is_not_nothing(models, tmp_path):
    save_file(smil_state(DIMS), tmp_path / "best.safetensors")
    importing.import_("smil", tmp_path / "best.safetensors", tmp_path / "made", sets=flags(models))
    (use,) = bundles.load(tmp_path / "made").card.trained_on
    assert use["corpus"] == "unknown"


def test_other_outputs_need_their_names_and_canonical_ones_come_in_our_order(models, tmp_path):
    state = smil_state(DIMS, classes=6)
    save_file(state, tmp_path / "six.safetensors")
    with pytest.raises(ConfigError, match="has 6 outputs, and 7 classes") as fault:
        importing.import_("smil", tmp_path / "six.safetensors", tmp_path / "made", sets=flags(models))
    assert "--classes neutral happy sad angry excited frustrated" in fault.value.hint
    names = ("happy", "sad", "angry", "surprise", "fear", "disgust")
    importing.import_("smil", tmp_path / "six.safetensors", tmp_path / "made", sets=flags(models), classes=names)
    bundle = bundles.load(tmp_path / "made")
    assert bundle.card.scheme.names == tuple(name for name in CANONICAL.names if name in names)
    same(scores(bundle, vectors(DIMS)), seeds_scores(gated_import, state, names, vectors(DIMS)))
    strange = ("b", "a", "c", "d", "e", "f")
    importing.import_("smil", tmp_path / "six.safetensors", tmp_path / "own", sets=flags(models), classes=strange)
    assert bundles.load(tmp_path / "own").card.scheme == LabelScheme("smil-6", "one-of", strange)


@pytest.mark.parametrize(
    ("told", "state", "sets"),
    [
        ("takes 13 audio numbers, and 'smil-audio' makes 12", {**DIMS, "audio": 13}, ...),
        ("'smil-audio', which cannot be built here: 'config.json' of the model", DIMS, []),
        ("the checkpoint has no 'fc_audio.weight', which SMIL's AVTmodel has", None, ...),
    ],
)
def test_a_checkpoint_of_something_else_or_encoders_that_are_not_here_are_told(models, tmp_path, told, state, sets):
    tensors = {"fc_extra.weight": torch.zeros(1)} if state is None else smil_state(state)
    save_file(tensors, tmp_path / "x.safetensors")
    chosen = flags(models) if sets is ... else sets
    with pytest.raises(DataError, match=told):
        importing.import_("smil", tmp_path / "x.safetensors", tmp_path / "made", sets=chosen)
    assert not (tmp_path / "made").exists()


def test_weights_that_are_not_here_come_with_the_flag_that_names_them(models, tmp_path):
    save_file(smil_state(DIMS), tmp_path / "x.safetensors")
    some = flags({m: models[m] for m in ("audio", "text")})
    with pytest.raises(ConfigError, match=r"'smil-face', which cannot be built here.*option 'weights'") as fault:
        importing.import_("smil", tmp_path / "x.safetensors", tmp_path / "made", sets=some)
    assert "recipe.encoders.face.options.weights=PATH" in fault.value.hint


def test_an_unknown_system_or_file_is_told(mer, tmp_path):
    answer = mer("bundle", "import", "--from", "smill", "x.pt", "-o", tmp_path / "made")
    assert (answer.code, "did you mean 'smil'" in answer.err) == (3, True)
    assert mer("bundle", "import", "--from", "smil", tmp_path / "x.pt", "-o", tmp_path / "made").code == 4


@pytest.mark.parity
def test_smils_own_weights_give_its_own_logits_through_the_bundle(parity, models, tmp_path, monkeypatch):  # noqa: F811
    reference = parity("smil_avt_small")
    sizes = reference.facts["constructor"]
    if sizes["input_dim_audio"] % 2 or sizes["input_dim_video"] % 2 or sizes["n_classes"] != len(gated_import.CLASSES):
        pytest.skip("no encoder of these widths")
    monkeypatch.setitem(smil_models.ROBERTA, "hidden_size", sizes["input_dim_text"])
    monkeypatch.setitem(smil_models.ROBERTA, "num_attention_heads", 1)
    fitting = {
        "audio": ("model", smil_models.audio_folder(tmp_path / "audio", sizes["input_dim_audio"] // 2)),
        "face": ("weights", smil_models.face_file(tmp_path / "face.pt", width=sizes["input_dim_video"] // 2)),
        "text": ("model", smil_models.text_folder(tmp_path / "text")),
    }
    save_file(reference.part("weights"), tmp_path / "seed.safetensors")
    importing.import_("smil", tmp_path / "seed.safetensors", tmp_path / "made", sets=flags(fitting))
    bundle = bundles.load(tmp_path / "made")
    theirs = {"audio": "audio", "face": "video", "text": "text"}
    for case in sorted({name.split(".")[0] for name in reference.part("in")}):
        values = {m: reference.tensors[f"in.{case}.{name}"].unsqueeze(1) for m, name in theirs.items()}
        valid = {m: torch.ones(value.shape[:2], dtype=torch.bool) for m, value in values.items()}
        count = len(values["audio"])
        found = scores(bundle, Batch(tuple(values), values, valid, torch.ones((count, 3), dtype=torch.bool)))
        reference.agrees(torch.stack([found[name] for name in gated_import.CLASSES], 1), f"out.{case}.logits")


@pytest.mark.parity
def test_avtcas_checkpoint_brings_its_own_trunk_and_calm_is_a_class_of_its_own(parity, tmp_path):  # noqa: F811
    state = reference_state = parity("avtca_lt_fusion").part("weights")
    saved_trunk(tmp_path)
    trunk = {f"visual_model.{name}": tensor for name, tensor in lively().state_dict().items()}
    torch.save({"state_dict": {f"module.{n}": t for n, t in {**state, **trunk}.items()}}, tmp_path / "best.pth")
    made = importing.import_("avtca", tmp_path / "best.pth", tmp_path / "made")
    bundle = bundles.load(made.bundle)
    assert bundle.card.scheme.names == (*CANONICAL.names, "calm")
    assert bundle.card.policy.endswith("calm=own")
    own = load_file(tmp_path / "made-face.safetensors")
    assert set(own) == set(lively().state_dict())
    assert bundle.card.recipe["encoders"]["face"]["options"]["weights"] == "made-face.safetensors"
    batch = vectors(dict(bundle.card.dims), rows=15)
    same(scores(bundle, batch), seeds_scores(avtca_import, reference_state, avtca_import.CLASSES, batch))
    assert bundling.verify(str(made.bundle)).obstacles == ()


@pytest.mark.parity
def test_foalnets_checkpoint_brings_its_own_wavlm(parity, tmp_path):  # noqa: F811
    reference = parity("foalnet_small_wavlm")
    state, told = reference.part("weights"), reference.facts["constructor"]
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text(json.dumps(told["wavlm_config"]))
    clip = foalnet_models.saved_clip(tmp_path / "clip", projection_dim=told["video_dim"])
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "best.safetensors")
    sets = [f"recipe.encoders.audio.options.model={tmp_path / 'base'}", f"recipe.encoders.face.options.model={clip}"]
    made = importing.import_("foalnet", tmp_path / "best.safetensors", tmp_path / "made", sets=sets)
    assert made.encoders == {"audio": str(tmp_path / "made-wavlm")}
    assert set(load_file(tmp_path / "made-wavlm" / "model.safetensors")) == set(foalnet_import.encoder(state))
    bundle = bundles.load(made.bundle)
    assert bundle.card.scheme.names == ("neutral", "happy", "sad", "angry")
    batch = vectors(dict(bundle.card.dims), rows=6)
    same(scores(bundle, batch), seeds_scores(foalnet_import, state, foalnet_import.CLASSES, batch))
    assert bundling.verify(str(made.bundle)).obstacles == ()
