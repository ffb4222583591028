"""FER2013: class folders, Kaggle's csvs and parquets; pictures unpacked outside the corpus; the known counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mercli import registry
from mercli.contracts import Excluded
from mercli.corpora import unpacking
from mercli.corpora.expected import Tally
from mercli.errors import DataError
from mercli.streams.pictures import read_image
from mercli.types import Clip, Segment

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
HEADER = "emotion,pixels,Usage\n"


def read(root, **options):
    items = list(registry.build("corpora", "fer2013", options=options).read(root, "x"))
    return [[item for item in items if isinstance(item, kind)] for kind in (Clip, Segment, Excluded)]


def put(root, *names, content=b"x" * 2000):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def pixels(value):
    return np.full((48, 48), value, np.uint8) + np.arange(48, dtype=np.uint8)


def text(grey):
    return " ".join(map(str, grey.ravel()))


def parquet(path, *rows):
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "label", "emotion", "jpeg")
    pq.write_table(pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)}), path)


def test_the_usage_in_a_name_is_its_split_whatever_folder_holds_it(tmp_path):
    # a common copy puts PublicTest and PrivateTest into one folder called test
    put(tmp_path, "fer/train/angry/Training_1.jpg", "fer/test/HAPPY/PublicTest_2.JPG", "fer/test/6/PrivateTest_3.png",
        "fer/train/sad/._Training_9.jpg")  # fmt: skip
    clips, segments, _ = read(tmp_path)
    assert [(c.id, c.image) for c in clips] == [
        ("PrivateTest_3", "fer/test/6/PrivateTest_3.png"), ("PublicTest_2", "fer/test/HAPPY/PublicTest_2.JPG"),
        ("Training_1", "fer/train/angry/Training_1.jpg"),
    ]  # fmt: skip
    assert [(s.split, s.labels["fer2013"], s.masked) for s in segments] == [
        ("test", "neutral", {}), ("dev", "happy", {}), ("train", "angry", {}),
    ]  # fmt: skip


def test_augmented_copies_unknown_folders_and_pointers_are_told(tmp_path):
    put(tmp_path, "train/disgust/Training_1.jpg", "train/disgust/Training_1_flip.jpg", "train/bored/Training_2.jpg",
        "copy/disgust/Training_1.jpg")  # fmt: skip
    put(tmp_path, "train/sad/Training_3.jpg", content=POINTER)
    _, segments, excluded = read(tmp_path)
    assert [(s.clip_id, s.masked.get("face")) for s in segments] == [
        ("Training_1", None), ("Training_3", "media is a git-lfs pointer"),
    ]  # fmt: skip
    assert sorted(e.id for e in excluded) == ["Training_1", "Training_2", "train/disgust/Training_1_flip.jpg"]


def test_two_names_that_stand_for_two_pictures_keep_both(tmp_path):
    put(tmp_path, "train/angry/Training_8475486.jpg", "train/surprise/Training_8475486.jpg")
    clips, _, excluded = read(tmp_path)
    assert [c.id for c in clips] == ["Training_8475486_angry", "Training_8475486_surprise"]
    assert excluded == []


@pytest.mark.parametrize("name", ["fer2013.csv", "icml_face_data.csv"])
def test_a_csv_gives_rows_whose_pictures_cannot_be_used_yet(tmp_path, name):
    header = HEADER if name == "fer2013.csv" else "emotion, Usage, pixels\n"
    rows = ("3,{},PublicTest", "9,{},Training", "0,{},Other", "2,{},Training")
    if name != "fer2013.csv":
        rows = tuple(",".join(np.array(row.split(","))[[0, 2, 1]]) for row in rows)
    (tmp_path / name).write_text(header + "".join(row.format(text(pixels(1))) + "\n" for row in rows))
    clips, segments, excluded = read(tmp_path)
    assert [(c.id, c.image, c.meta) for c in clips] == [
        ("PublicTest_0", None, {"table": name, "row": 0}), ("Training_3", None, {"table": name, "row": 3}),
    ]  # fmt: skip
    assert [(s.split, s.labels["fer2013"]) for s in segments] == [("dev", "happy"), ("train", "fear")]
    assert {s.masked["face"] for s in segments} == {unpacking.INSIDE}
    assert [e.id for e in excluded] == ["Training_1", "row2"]


def test_a_csv_unpacks_to_pictures_of_the_same_pixels_outside_the_corpus(tmp_path):
    root, out = tmp_path / "raw", tmp_path / "out" / "faces"
    root.mkdir()
    rows = [f"0,{text(pixels(value))},Training" for value in (0, 90)]
    (root / "fer2013.csv").write_text(HEADER + "\n".join([*rows, "1,1 2 3,Training", f"1,{'256 ' * 2304},Training"]))
    clips, segments, excluded = read(root, unpack=str(out))
    assert [c.image for c in clips] == [str(out / "Training_0.png"), str(out / "Training_1.png")]
    assert [s.masked for s in segments] == [{}, {}]
    for clip, value in zip(clips, (0, 90), strict=True):
        np.testing.assert_array_equal(read_image(out / clip.image)[:, :, 1], pixels(value))
    assert [e.reason for e in excluded] == ["its pixels are not 48 x 48 numbers of 0 to 255"] * 2
    assert [path.name for path in root.iterdir()] == ["fer2013.csv"]


def test_unpacking_again_keeps_what_is_there_and_repairs_what_is_not_whole(tmp_path):
    root, out = tmp_path / "raw", tmp_path / "out"
    root.mkdir()
    parquet(root / "train.parquet", ("Training_1", 0, "angry", b"one"), ("Training_2", 3, "happy", b"two"))
    read(root, unpack=str(out))
    kept = (out / "Training_1.jpg").stat().st_mtime_ns
    (out / "Training_2.jpg").write_bytes(b"tw")
    clips, _, _ = read(root, unpack=str(out))
    assert (out / "Training_1.jpg").stat().st_mtime_ns == kept
    assert [(out / c.image).read_bytes() for c in clips] == [b"one", b"two"]
    assert sorted(path.name for path in out.iterdir()) == ["Training_1.jpg", "Training_2.jpg"]


@pytest.mark.parametrize("inside", ["", "faces", "../raw/faces", "../link/faces"])
def test_unpacking_inside_the_corpus_is_refused_before_anything_is_written(tmp_path, inside):
    root = tmp_path / "raw"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    parquet(root / "train.parquet", ("Training_1", 0, "angry", b"one"))
    with pytest.raises(DataError, match="lies inside the corpus"):
        read(root, unpack=str(root / inside))
    assert [path.name for path in root.iterdir()] == ["train.parquet"]


def test_an_id_that_is_no_released_name_never_becomes_a_path(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    parquet(root / "train.parquet", ("../../evil", 0, "angry", b"one"), ("Training_1", 0, "angry", b"one"))
    clips, _, excluded = read(root, unpack=str(tmp_path / "out"))
    assert [c.id for c in clips] == ["Training_1"]
    assert "'../../evil' is not of the form" in excluded[0].reason
    assert sorted(path.name for path in tmp_path.rglob("*.jpg")) == ["Training_1.jpg"]


def test_tables_without_their_columns_and_other_folders_are_refused(tmp_path):
    put(tmp_path, "train/angry/im0.png")
    with pytest.raises(DataError, match="1 pictures have other names"):
        read(tmp_path)
    (tmp_path / "fer2013.csv").write_text("emotion,pixels\n")
    with pytest.raises(DataError, match="no column 'usage'; columns found: emotion, pixels"):
        read(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR")
    with pytest.raises(DataError, match="is no parquet file"):
        read(tmp_path)


def test_the_release_has_its_known_counts(shared_data):
    reader = registry.build("corpora", "fer2013")
    tally = Tally("fer2013", reader.facts.expected["release"])
    items = Counter(type(item) for item in tally.watch(reader.read(shared_data / "fer2013", "x")))
    assert items == {Clip: 28709 + 3589, Segment: 28709 + 3589}
    assert {row.part for row in tally.rows() if row.differs} == {"test"}  # PrivateTest is not here


def test_the_repetitions_are_as_the_facts_say(shared_data):
    import pyarrow.parquet as pq

    table = {name: pq.read_table(shared_data / "fer2013" / f"{name}.parquet") for name in ("train", "dev")}
    seen: dict[bytes, set[str]] = {}
    # equal files have equal pixels; that no two unequal files have was counted once, from decoded pixels
    for jpeg, label in zip(table["train"]["jpeg"].to_pylist(), table["train"]["emotion"].to_pylist(), strict=True):
        seen.setdefault(jpeg, set()).add(label)
    assert (len(seen), sum(len(labels) > 1 for labels in seen.values())) == (27473, 39)
    assert sum(jpeg in seen for jpeg in table["dev"]["jpeg"].to_pylist()) == 280
