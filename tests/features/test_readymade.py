"""Features made elsewhere: files and tables found by segment, read without running anything, stored without media."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
import torch

from mercli import registry
from mercli.errors import ConfigError, DataError
from mercli.features.store import Store
from mercli.types import Clip, Segment, Streams, Transcript
from tests.streams.clips import make_clip

DRAW = np.random.default_rng(0)
ROWS = DRAW.normal(size=(3, 4)).astype(np.float32)


def npy_folder(folder, names=("one/a/0", "one/b/0")) -> str:
    """Write an array (3, 4) per name, each its own numbers."""
    for number, name in enumerate(names):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, ROWS + number)
    return str(folder)


def build(modality="audio", **options):
    return registry.build("encoders", f"files-{modality}", options=options)


def encode(encoder, *ids):
    return encoder.encode([Streams(id=identity) for identity in ids])


def test_a_segment_s_file_becomes_its_feature_and_a_missing_one_no_valid_row(tmp_path):
    encoder = build("face", root=npy_folder(tmp_path), fps=2)
    first, second, absent = encode(encoder, "one/a/0", "one/b/0", "one/c/0")
    assert (encoder.modality, encoder.dim, encoder.needs_streams) == ("face", 4, False)
    np.testing.assert_allclose(first.values, ROWS)
    np.testing.assert_allclose(second.values, ROWS + 1)
    np.testing.assert_allclose(first.times, [[0, 0.5], [0.5, 1], [1, 1.5]])
    assert first.valid.all()
    assert not absent.valid.any()
    assert not absent.values.any()


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("meld/train/dia0_utt1/0.npy", "{segment}.npy"),
        ("train/dia0_utt1.npy", "{clip}.npy"),
        ("meld-dia0_utt1-0.npy", "{corpus}-{stem}-{name}.npy"),
        ("session01/deep/dia0_utt1.npy", "**/{stem}.npy"),
    ],
)
def test_the_pattern_names_the_file_by_parts_of_the_segment_s_id(tmp_path, file, pattern):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, ROWS)
    (found,) = encode(build(root=str(tmp_path), pattern=pattern), "meld/train/dia0_utt1/0")
    np.testing.assert_allclose(found.values, ROWS)


def test_two_files_that_both_fit_are_told(tmp_path):
    npy_folder(tmp_path, ("x/a", "y/a"))
    with pytest.raises(DataError, match=r"'x/a.npy' and 'y/a.npy'"):
        encode(build(root=str(tmp_path), pattern="**/{stem}.npy"), "one/a/0")


def written(path, values) -> None:
    from safetensors.numpy import save_file

    tensors = {name: torch.from_numpy(value) for name, value in values.items()}
    if path.suffix == ".npz":
        np.savez(path, **values)
    elif path.suffix == ".safetensors":
        save_file(values, path)
    elif path.suffix == ".pt":
        torch.save(tensors, path)
    else:  # as SMIL MER writes its features
        path.write_bytes(pickle.dumps({**tensors, "true_label": 3}))


@pytest.mark.parametrize("ending", [".npz", ".safetensors", ".pt", ".pickle", ".pkl"])
def test_of_a_file_with_several_arrays_the_key_names_one(tmp_path, ending):
    written(tmp_path / f"a{ending}", {"audio_features": ROWS[:1], "text_features": ROWS[1:2, :3].copy()})
    options = {"root": str(tmp_path), "pattern": f"{{stem}}{ending}"}
    (audio,) = encode(build(**options, key="audio_features"), "smil/a/0")
    (text,) = encode(build("text", **options, key="text_features"), "smil/a/0")
    np.testing.assert_allclose(audio.values, ROWS[:1])
    np.testing.assert_allclose(text.values, ROWS[1:2, :3])
    with pytest.raises(DataError, match=r"audio_features, text_features, and the option 'key'"):
        build(**options)
    with pytest.raises(DataError, match="none called 'x'"):
        build(**options, key="x")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_that_could_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    held = {"audio_features": torch.ones(1, 4), "x": Evil()}
    if zipped:
        torch.save(held, tmp_path / "a.pickle")
    else:
        (tmp_path / "a.pickle").write_bytes(pickle.dumps(held))
    with pytest.raises(DataError, match=r"a\.pickle' cannot be read as features"):
        build(root=str(tmp_path), pattern="{stem}.pickle", key="audio_features")
    assert not (tmp_path / "evil").exists()


def test_an_object_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.asarray([Evil(), 1], object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        build(root=str(tmp_path))


def test_an_array_of_another_width_or_shape_is_told_with_its_segment(tmp_path):
    npy_folder(tmp_path)
    np.save(tmp_path / "one/b/0.npy", np.ones((3, 5)))
    encoder = build(root=str(tmp_path))
    with pytest.raises(DataError, match=r"'one/b/0' has the shape \(3, 5\), expected \(4,\) or \(rows, 4\)"):
        encode(encoder, "one/b/0")
    np.save(tmp_path / "one/b/0.npy", np.ones((1, 3, 4)))
    with pytest.raises(DataError, match=r"\(1, 3, 4\)"):
        encode(encoder, "one/b/0")


def test_rows_that_are_no_numbers_are_not_valid(tmp_path):
    rows = ROWS.copy()
    rows[1, 2] = np.nan
    np.save(tmp_path / "a.npy", rows)
    (found,) = encode(build(root=str(tmp_path), pattern="{stem}.npy"), "one/a/0")
    assert found.valid.tolist() == [True, False, True]
    assert np.isfinite(found.values).all()


def test_the_fingerprint_follows_what_files_hold_and_are_called_not_where_they_lie(tmp_path, monkeypatch):
    def made(name):
        return build(root=str(tmp_path / name)).weights

    for name in ("a", "b", "c"):
        npy_folder(tmp_path / name)
    np.save(tmp_path / "b/one/b/0.npy", ROWS)
    assert made("a") == made("c") != made("b")
    monkeypatch.setattr("mercli.features.readymade_arrays.GIGABYTE", 100)
    assert made("a") == made("b"), "above the limit names and sizes are all that counts"
    npy_folder(tmp_path / "b", ("one/c/0",))
    assert made("a") != made("b")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs one of"),
        ({"root": ".", "table": "x.npz"}, "needs one of"),
        ({"root": ".", "pattern": "{x}.npy"}, "placeholder is none of"),
        ({"root": ".", "pattern": "{segment}.wav"}, "ends in .npy"),
        ({"root": ".", "fps": 0}, "above 0"),
    ],
)
def test_options_that_cannot_be_are_told(options, words):
    with pytest.raises(ConfigError, match=words):
        build(**options)


def test_a_folder_without_such_files_and_no_folder_are_told(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.npy file"):
        build(root=str(tmp_path))
    with pytest.raises(DataError, match="is no folder"):
        build(root=str(tmp_path / "x"))
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY torn")
    with pytest.raises(DataError, match=r"a\.npy' cannot be read"):
        build(root=str(tmp_path))


def units(folder):
    path = folder / "features.npz"
    np.savez(path, au=ROWS, audio_id=["03-01-a", "03-01-b", "03-02-a"], emotion=["x", "y", "z"])
    return str(path)


def test_rows_of_a_table_are_found_by_the_clip_s_id_of_which_parts_are_stripped(tmp_path):
    encoder = build("face", table=units(tmp_path), key="au", ids="audio_id", strip="^0[123]-")
    found = encode(encoder, "ravdess/01-b/0", "ravdess/Actor_01/02-a.flac/0", "ravdess/03-01-a/0")
    np.testing.assert_allclose(found[0].values, ROWS[1:2])
    np.testing.assert_allclose(found[1].values, ROWS[2:3])
    assert not found[2].valid.any()
    with pytest.raises(DataError, match="has the id 'a' in the rows 0 and 2"):
        build(table=units(tmp_path), key="au", ids="audio_id", strip="^.*-")
    with pytest.raises(ConfigError, match="au, audio_id, emotion"):
        build(table=units(tmp_path), key="au")
    with pytest.raises(DataError, match="expected numbers"):
        build(table=units(tmp_path), key="emotion", ids="audio_id")
    with pytest.raises(ConfigError, match="no regular expression"):
        build(table=units(tmp_path), key="au", ids="audio_id", strip="(")


def frame(path, **columns):
    import pandas

    made = pandas.DataFrame(columns)
    {".xlsx": made.to_excel, ".csv": made.to_csv, ".parquet": made.to_parquet}[path.suffix](path, index=False)
    return str(path)


@pytest.mark.parametrize("ending", [".xlsx", ".csv", ".parquet"])
@pytest.mark.parametrize(
    "form", ["[{}, {}]", "[{} {}]", "{},{}", "array([{}, {}], dtype=float32)", "tensor([[{},\n {}]])"]
)
def test_cells_of_columns_are_put_one_after_another(tmp_path, ending, form):
    path = frame(tmp_path / f"t{ending}", V1=[form.format(1, -2.5), form.format("3e0", 4)], V3=["[7]", ""])
    found = encode(build(table=path, columns="V1,V3"), "meld/row0/0", "meld/row1/0", "meld/row2/0", "meld/x/0")
    np.testing.assert_allclose(found[0].values, [[1, -2.5, 7]])
    assert [feature.valid.any() for feature in found] == [True, False, False, False]
    np.testing.assert_allclose(encode(build(table=path, columns="V1"), "meld/row1/0")[0].values, [[3, 4]])


def test_lists_in_parquet_and_ids_in_a_column_are_read(tmp_path):
    path = frame(tmp_path / "t.parquet", id=["b", "a"], V=[[1.0, 2.0], [3.0, 4.0]])
    (found,) = encode(build(table=path, columns="V", ids="id"), "x/a/0")
    np.testing.assert_allclose(found.values, [[3, 4]])


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["[1, 2]", "[1]"], "row 1 of .* has 1 numbers in 'V', others have 2"),
        (["[[1, 2], [3]]", "[1, 2]"], "has 2 numbers in 'V', others have 3"),
        (["[1 ... 2]"], "cut short when it was written"),
        (["happy"], "holds no numbers in 'V'"),
        ([""], "holds no numbers"),
    ],
)
def test_cells_without_numbers_are_told_by_row(tmp_path, cells, words):
    with pytest.raises(DataError, match=words):
        build(table=frame(tmp_path / "t.csv", V=cells, W=["x"] * len(cells)), columns="V")


def test_a_table_s_columns_must_be_there(tmp_path):
    path = frame(tmp_path / "t.csv", V=["1 2"], W=["x"])
    with pytest.raises(DataError, match="no column 'V9'; it has V, W"):
        build(table=path, columns="V9")
    with pytest.raises(ConfigError, match="names none of the columns"):
        build(table=path)
    with pytest.raises(DataError, match="is no file"):
        build(table=str(tmp_path / "x.csv"), columns="V")
    (tmp_path / "t.xlsx").write_bytes(b"PK junk")
    with pytest.raises(DataError, match="cannot be read as a table"):
        build(table=str(tmp_path / "t.xlsx"), columns="V")


@pytest.fixture
def texts(tmp_path, mer):
    """A corpus of five texts without any media, prepared, and features of sound for three of them."""
    rows = "\n".join(f"row {n} says this,{'happy' if n % 2 else 'sad'}" for n in range(5))
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "t.csv").write_text(f"text,label\n{rows}\n")
    answer = mer(
        "prepare", "--corpus", "csv", "--root", tmp_path / "raw", "--name", "said", "--data", tmp_path / "data"
    )
    assert answer.code == 0, answer.err
    from mercli.corpora import manifest

    ids = [segment.id for segment in manifest.load(tmp_path / "data", "said").segments()]
    npy_folder(tmp_path / "npy", ids[:3])
    return tmp_path, ids


def files_of(tmp_path, modality="audio"):
    name = f"recipe.encoders.{modality}.name=files-{modality}"
    return "--set", name, "--set", f"recipe.encoders.{modality}.options.root={tmp_path / 'npy'}"


def test_a_corpus_of_texts_gets_features_of_sound_that_lie_in_files(mer, texts):
    tmp_path, ids = texts
    way = ("extract", "--corpora", "said", "--data", tmp_path / "data", "--preset", "weightless", *files_of(tmp_path))
    answer = mer(*way, "--modalities", "audio", "text", "--json")
    assert answer.code == 0, answer.err
    (row,) = json.loads(answer.out)
    assert row["present"] == {"audio": 3, "text": 5}
    assert row["missing"]["audio"] == {"no ready-made feature of this segment": 2}
    (folder,) = (tmp_path / "data/said/features/audio").iterdir()
    np.testing.assert_allclose(Store(folder).get(ids[1]).values, ROWS + 1)
    assert json.loads(mer(*way, "--modalities", "audio", "text", "--json").out)[0]["encoded"] == 0
    way = ("extract", "--corpora", "said", "--data", tmp_path / "data", *files_of(tmp_path, "face"))
    assert json.loads(mer(*way, "--modalities", "face", "--json").out)[0]["present"] == {"face": 3}


def test_what_others_encode_is_the_same_beside_ready_made_features(tmp_path):
    from mercli import config
    from mercli.jobs.clips import pieces, transcripts
    from mercli.jobs.features import encoding

    make_clip(tmp_path / "a.mp4", seconds=1.0)
    npy_folder(tmp_path, ["one/a/0"])
    plain = {"audio": {"name": "logmel-stats"}, "text": {"name": "hashed-ngrams"}}
    files = {"face": {"name": "files-face", "options": {"root": str(tmp_path)}}}

    def made(encoders, **masked):
        recipe = config.Recipe.model_validate({"encoders": encoders, "transcriber": {"name": "none"}})
        built, finder = encoding.build(recipe, encoders), transcripts.Finder(recipe.transcriber)
        segment = Segment("one/a/0", "a", 0.0, 1.0, text="what a day", masked=masked)
        unit = pieces.Unit(tmp_path, Clip("a", "one", video="a.mp4"), (segment,), tuple(encoders))
        every = list(pieces.pieces(unit, built.settings, "largest", finder, built.ready))
        assert [piece.last for _, piece in every] == [False] * (len(every) - 1) + [True]
        assert not any("face" in piece.streams.missing for _, piece in every if not masked), "a face was looked for"
        ((_, bundle),) = encoding.features(built, every)
        return bundle

    alone, beside = made(plain), made({**plain, **files})
    for modality in plain:
        np.testing.assert_array_equal(alone.features[modality].values, beside.features[modality].values)
    np.testing.assert_allclose(beside.features["face"].values, ROWS)
    assert made(files).features["face"] is not None
    masked = made({**plain, **files}, face="wrong video")
    assert masked.features["face"] is None
    assert masked.missing["face"] == "wrong video"


def test_ready_made_features_need_no_stream_and_get_each_segment_once(tmp_path):
    from mercli.jobs.clips.cutting import Piece
    from mercli.jobs.features import encoding

    encoder = build(root=npy_folder(tmp_path))
    made = encoding.EncoderSet({"audio": encoder}, {}, {"audio": "files-audio"}, {"audio": "fp32"})
    sound = Streams(audio=np.ones(1600, np.float32), transcript=Transcript("a", "given"))
    every = [
        ("one/a/0", Piece(0, Streams(), 5.0, bare=True)),
        ("one/a/0", Piece(0, sound, 5.0)),
        ("one/a/0", Piece(0, sound, 5.1, last=True)),
    ]
    ((_, bundle),) = encoding.features(made, every, batch=1)
    np.testing.assert_allclose(bundle.features["audio"].values, ROWS)
    np.testing.assert_allclose(bundle.features["audio"].times[:, 0], [5, 6, 7])


def test_action_units_of_ravdess_are_found_by_its_clips(shared_data):
    table = shared_data / "ravdess_au_mfcc/features.npz"
    if not table.is_file():
        pytest.skip("RAVDESS is not here")
    encoder = build("face", table=str(table), key="au", ids="audio_id", strip="^0[123]-")
    with np.load(table) as held:
        expected = {str(name)[3:]: row for name, row in zip(held["audio_id"], held["au"], strict=True)}
    (found,) = encode(encoder, "ravdess/01-05-02-01-02-01/0")
    np.testing.assert_allclose(found.values[0], expected["01-05-02-01-02-01"], rtol=1e-6)
    assert encoder.dim == 35
