"""``mer predict`` into the files of other tools: one clip, many, and what no such file can hold."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pandas
import pympi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mercli.cli import rendering
from mercli.jobs.answers import exporting
from mercli.results.exports import parquet
from mercli.types import Prediction
from tests.results.pages import Read
from tests.streams.clips import make_clip

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "examples" / "hello.mp4"
WORDS = "1\n00:00:00,200 --> 00:00:01,400\nI am so happy\n"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of one name, one with words that have times, one of sound alone, and one that is none."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "b").mkdir()
    for name in ("a.mp4", "b/A.mp4"):
        shutil.copyfile(HELLO, folder / name)
    (folder / "a.srt").write_text(WORDS)
    make_clip(folder / "tone é!.wav", seconds=1.0)
    (folder / "z.mp4").write_text("no film")
    return folder


def told(clips, *words):
    return ("predict", clips, "--transcriber", "sidecar", "--windows", "2/1", *words)


def test_one_clip_goes_to_stdout_which_holds_nothing_else(mer, clips):
    answer = mer("predict", clips / "a.mp4", "--windows", "2/1", "--format", "srt", "--transcriber", "sidecar")
    assert (answer.code, answer.out.startswith("1\n00:00:00,000 --> 00:00:01,500\n")) == (0, True)
    assert "\nI am so happy\n" in answer.out


def test_many_clips_become_a_file_each_with_names_that_differ(mer, clips, tmp_path):
    answer = mer(*told(clips, "--format", "eaf", "-o", tmp_path / "labels"))
    assert (answer.code, answer.out) == (6, "")
    assert "z.mp4" in answer.err
    assert "said above says which" in answer.err
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["A-2.eaf", "a.eaf", "tone_é.eaf"]
    found = pympi.Elan.Eaf(str(tmp_path / "labels" / "a.eaf"))
    assert [text for *_, text in found.get_annotation_data_for_tier("transcript")] == ["I", "am", "so", "happy"]
    assert found.get_annotation_data_for_tier("text")[0][2] == "happy"
    assert (tmp_path / "labels" / found.get_linked_files()[0]["RELATIVE_MEDIA_URL"]).resolve() == clips / "a.mp4"
    alone = pympi.Elan.Eaf(str(tmp_path / "labels" / "tone_é.eaf"))
    assert alone.get_annotation_data_for_tier("face") == []
    assert alone.get_annotation_data_for_tier("audio")


def test_pages_of_many_clips_are_led_to_by_an_index(mer, clips, tmp_path):
    (tmp_path / "index.txt").write_text("so glad")
    answer = mer("predict", clips / "a.mp4", clips / "z.mp4", tmp_path / "index.txt", "--format", "html",
                 "-o", tmp_path / "pages", "--transcriber", "sidecar")  # fmt: skip
    assert (answer.code, answer.out) == (6, "")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["a.html", "index-2.html", "index.html"]
    index = Read((tmp_path / "pages" / "index.html").read_text())
    leading = [each["href"] for each in index.of("a") if each.get("class") != "skip"]
    assert leading == ["a.html", "index-2.html"]
    assert any(cell.endswith("z.mp4") for cell in index.text("th"))
    assert any("no media file" in cell for cell in index.text("td"))


def test_the_ending_chooses_the_format_and_files_are_the_same_twice(mer, clips, tmp_path):
    for name in ("one.TextGrid", "two.TextGrid"):
        answer = mer("predict", clips / "a.mp4", "-o", tmp_path / name, "--transcriber", "sidecar")
        assert answer.code == 0, answer.err
    assert (tmp_path / "one.TextGrid").read_bytes() == (tmp_path / "two.TextGrid").read_bytes()
    assert 'name = "audio probability"' in (tmp_path / "one.TextGrid").read_text()


def test_parquet_holds_every_clip_and_every_failure(mer, clips, tmp_path):
    answer = mer(*told(clips, "-o", tmp_path / "all.parquet", "--explain"))
    assert (answer.code, answer.out) == (6, "")
    found = pandas.read_parquet(tmp_path / "all.parquet")
    assert (found["error"].notna().sum(), len(found)) == (1, 10)
    assert found.groupby("clip").size().to_dict()[str(clips / "a.mp4")] == 4
    scores = found.filter(like="score_")
    assert scores.shape[1] == 7
    assert scores.dropna().sum(axis=1).sub(1).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--format", "parquet"], 2, "parquet is no text"),
        (["--format", "vtt"], 2, "FOLDER"),
        (["--format", "vtt", "-o", "a.vtt"], 2, "FOLDER"),
        (["--annotate", "a.mp4"], 2, "one clip"),
        (["-o", ".", "--format", "parquet"], 4, "is no file"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_predicted(mer, clips, monkeypatch, tmp_path, words, code, said):
    monkeypatch.chdir(tmp_path)
    answer = mer("predict", clips, *words)
    assert (answer.code, answer.out, said in answer.err) == (code, "", True)
    assert not list(tmp_path.iterdir())


def test_subtitles_never_take_the_place_of_what_is_said(mer, clips):
    words = (clips / "a.mp4", "--windows", "2/1", "--transcriber", "sidecar")
    for place in (clips, clips / "a.srt", clips / "b" / ".." / "a.vtt"):
        answer = mer("predict", *words, "--format", place.suffix[1:] or "srt", "-o", place)
        assert (answer.code, "taken for what is said" in answer.err) == (4, True)
    assert (clips / "a.srt").read_text() == WORDS
    assert mer("predict", *words, "-o", clips / "a.emotions.srt").code == 0
    assert "happy\n" in (clips / "a.emotions.srt").read_text()
    (clips / "a.emotions.srt").unlink()


def test_what_has_no_length_has_no_times(mer, tmp_path):
    (tmp_path / "a.txt").write_text("I am so happy")
    answer = mer("predict", tmp_path / "a.txt", "-o", tmp_path / "a.srt")
    assert (answer.code, "srt needs times" in answer.err, (tmp_path / "a.srt").exists()) == (4, True, False)


def test_what_a_modality_says_alone_is_the_answer_without_the_others(mer, tmp_path):
    together = tmp_path / "list.jsonl"
    rows = [{"id": "all", "video": str(HELLO), "text": "I hate you"}, {"id": "text", "text": "I hate you"}]
    together.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = mer("predict", "--list", together, "--alone", "--format", "jsonl", "--prior", "train")
    both, text = (json.loads(line) for line in answer.out.splitlines())
    assert list(both["alone"]) == ["audio", "face", "text"]
    assert both["alone"]["text"] == pytest.approx(text["scores"], abs=1e-5)
    assert both["alone"]["text"] != pytest.approx(both["scores"], abs=0.01)
    shown = mer("predict", HELLO, "--alone", "--text", "I hate you").out
    assert (
        sum(line.strip().split(" ")[:2] in (["text", "alone:"], ["face", "alone:"]) for line in shown.splitlines()) == 2
    )


def test_a_clip_is_annotated_beside_its_answers(mer, tmp_path):
    answer = mer("predict", HELLO, "--text", "so glad", "--annotate", tmp_path / "out.mp4", "--format", "json")
    assert (answer.code, json.loads(answer.out)[0]["label"]) == (0, "happy")
    assert str(tmp_path / "out.mp4") in answer.err
    assert (tmp_path / "out.mp4").stat().st_size > 10_000


def test_a_folder_is_told_from_a_file_by_its_name(tmp_path):
    (tmp_path / "there.v1").mkdir()
    (tmp_path / "file").touch()
    told = {"new": True, "new.eaf": False, "new.v1/": True, "there.v1": True, "file": False}
    assert {name: rendering.is_folder(f"{tmp_path}/{name}") for name in told} == told
    assert not rendering.is_folder(None)


@given(st.lists(st.text(st.characters(), min_size=1) | st.sampled_from(["a/b.mp4", "A/B.mp4", "con.mp4", "..", "."])))
def test_names_of_files_are_safe_and_differ_on_every_system(ids):
    taken = set()
    names = [
        exporting._name(Prediction(told, clip, 0, 1, "x", {}, None, "r"), taken)
        for told in ids
        for clip in (told, "other")
    ]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert 0 < len(f"{name}.TextGrid".encode()) < 255
        assert name.strip("._")
        assert name.casefold() != "con"


PAGE = (ROOT / "docs" / "exports.md").read_text()


@pytest.mark.slow
def test_the_commands_and_code_of_the_page_run(mer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("mer ")]
    assert len(lines) >= 9
    (tmp_path / "mer").mkdir()
    for line in lines:
        words = shlex.split(line.replace("/tmp/mer", str(tmp_path / "mer")), comments=True)
        answer = mer(*words[1:], *(("--transcriber", "sidecar") if words[1] == "predict" else ()))
        assert answer.code == 0, (words, answer.err)
    assert {path.name for path in (tmp_path / "mer").iterdir()} == {
        "hello.TextGrid", "hello.eaf", "labels", "all.parquet", "hello-annotated.mp4", "hello.jsonl", "timeline",
        "pages",
    }  # fmt: skip
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(code.replace("/tmp/mer", str(tmp_path / "mer")), {})
    assert "score_happy" in shown.getvalue()


def test_the_page_lists_the_columns_in_order():
    told = [name for cell in re.findall(r"^\| (`[a-z_A-Z`, ]+`) \| [a-z]+", PAGE.split("## Parquet")[1], re.M)
            for name in re.findall(r"`(\w+)`", cell)]  # fmt: skip
    assert told == [column.replace("score_x", "score_CLASS") for column in parquet.schema(["x"]).names]
