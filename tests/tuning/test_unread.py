"""Segments that cannot be read are no examples: neither their classes nor their counts are those of the training."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml

torch = pytest.importorskip("torch")

from mercli.errors import DataError  # noqa: E402
from mercli.jobs import finetune as job  # noqa: E402
from tests.tuning.conftest import config  # noqa: E402

TORN = "media does not decode: x.mp4 is no media file"


@pytest.fixture
def corpus(made, tmp_path):
    """A copy of the made corpus and its media, which can be damaged, with the streams of no clip."""
    shutil.copytree(made / "meld", tmp_path / "raw")
    held = tmp_path / "data" / "meld"
    shutil.copytree(made / "data" / "meld", held, ignore=shutil.ignore_patterns("streams"))
    card = yaml.safe_load((held / "corpus.yaml").read_text())
    root = tmp_path / "raw" / (made / "meld").joinpath(card["root"]).relative_to(made / "meld")
    (held / "corpus.yaml").write_text(yaml.safe_dump({**card, "root": str(root)}))
    return held


def tear(held, when: str, count: int) -> None:
    """Mask or truncate some of the training clips of one class, as if they were torn before or after ``prepare``."""
    root = yaml.safe_load((held / "corpus.yaml").read_text())["root"]
    videos = {row["id"]: row["video"] for row in map(json.loads, (held / "clips.jsonl").read_text().splitlines())}
    rows = [json.loads(line) for line in (held / "segments.jsonl").read_text().splitlines()]
    own = [row for row in rows if row["split"] == "train" and "disgust" in row["labels"].values()][:count]
    assert len(own) == count
    for row in own:
        if when == "before":
            row["masked"] = {"audio": TORN, "face": f"{TORN} {row['id']}"}
        else:
            with open(f"{root}/{videos[row['clip_id']]}", "r+b") as file:
                file.truncate(3000)
    (held / "segments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def told(made, held, **more):
    return config(made, "face", str(made / "vit"), epochs=1, data=str(held.parent), runs=str(held / "runs"), **more)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_class_whose_training_clips_were_all_torn_is_refused_as_one_without_any(made, corpus, when):
    tear(corpus, when, 3)
    with pytest.raises(DataError, match="class 'disgust' has no training segment") as refused:
        job.finetune(told(made, corpus))
    assert refused.value.hint == "--classes neutral happy sad angry surprise fear"
    assert not list((corpus / "runs").glob("*/encoder"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("when", "reason"), [("before", "media does not decode"), ("after", "its clip could not be decoded")]
)
def test_the_card_counts_by_corpus_and_reason_what_could_not_be_read(made, corpus, when, reason):
    tear(corpus, when, 2)
    card = job.finetune(told(made, corpus)).card
    assert card["left_out"]["could not be read"] == {"meld": {reason: 2}}
    assert card["segments"]["train"]["disgust"] == 1


@pytest.mark.slow
def test_strict_stops_at_a_clip_torn_since_and_not_at_what_prepare_has_masked(made, corpus):
    tear(corpus, "before", 1)
    assert job.finetune(told(made, corpus, strict=True)).card["segments"]["train"]["disgust"] == 2
    shutil.rmtree(corpus / "streams")
    tear(corpus, "after", 2)
    with pytest.raises(DataError, match="1 segments could not be decoded"):
        job.finetune(told(made, corpus, strict=True))


def test_corpora_of_which_no_dev_segment_has_the_modality_are_refused(made, corpus):
    rows = [json.loads(line) for line in (corpus / "segments.jsonl").read_text().splitlines()]
    masked = [{**row, "masked": {"face": TORN}} if row["split"] == "dev" else row for row in rows]
    (corpus / "segments.jsonl").write_text("".join(json.dumps(row) + "\n" for row in masked))
    with pytest.raises(DataError, match="no segment of dev has face"):
        job.finetune(told(made, corpus))
