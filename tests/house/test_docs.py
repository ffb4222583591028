"""The documentation is code: generated pages equal the committed, commands in the text are real and run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
CORPORA = (ROOT / "docs/corpora.md").read_text()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, ROOT / "docs" / "build.py", folder], check=True, capture_output=True)
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_generated_pages_equal_the_committed(pages):
    assert len(pages) == 8
    for name, text in pages.items():
        assert (ROOT / "docs" / name).read_text() == text, f"run: .venv/bin/python docs/build.py ({name})"


def test_every_command_is_on_its_page(pages):
    from mercli.cli.app import COMMANDS

    for name in COMMANDS:
        assert f"## mer {name}\n" in pages["cli.md"]


def test_every_link_between_pages_leads_somewhere():
    count = 0
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if not target.startswith("http"):
                count += 1
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert count > 5


def test_every_link_inside_a_page_leads_to_a_heading():
    count = 0
    for page in (ROOT / "docs").glob("*.md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        headings = {
            re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)", text, re.M)
        }
        for target in re.findall(r"\]\(#([^)]+)\)", text):
            count += 1
            assert target in headings, f"{page.name}: #{target}"
    assert count > 20


def _commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["mer"]:
                yield words[1:]


def _parsed(words):
    """Return the parameters of a command line; raises where it has an option that is none."""
    from typer.main import get_command

    from mercli.cli.app import app

    command, rest = get_command(app), list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command.make_context("mer", rest).params


def test_every_command_in_the_docs_parses():
    texts = [page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]]
    lines = [words for text in texts for words in _commands(text)]
    assert len(lines) > 25
    for words in lines:
        assert _parsed(words), words
    with pytest.raises(Exception, match="No such option"):
        _parsed(["prepare", "--corpus", "meld", "--root", "x", "--chek"])


def _prepares(text):
    """Yield the reader's name, parameters and resolved configuration of each ``mer prepare`` in a text."""
    from mercli import config

    for words in _commands(text):
        if words[0] == "prepare":
            given = _parsed(words)
            flags = {"corpus.name": given["corpus"], "root": given["root"], "split": given["split"]}
            yield given["corpus"], given, config.resolve(config.PrepareConfig, flags, sets=given["set_"] or ())


def test_the_options_policies_and_folds_in_the_page_of_corpora_are_real():
    from mercli import registry
    from mercli.corpora import splits

    found = list(_prepares(CORPORA))
    assert len(found) >= 15
    for name, given, resolved in found:
        reader = registry.build("corpora", name, options=resolved.corpus.options)
        fold, _, number = (given["split"] or "").partition(":")
        if number.isdecimal():
            assert int(number) <= len(reader.facts.folds[fold].folds), given["split"]
        elif number:
            splits.parse(given["split"])


def test_the_commands_of_the_readme_run(mer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = list(_commands(README))
    assert len(commands) >= 10
    for words in commands:
        answer = mer(*(word.replace("/tmp/mer", str(tmp_path / "mer")) for word in words))
        assert answer.code == 0, (words, answer.err)


def test_the_head_of_the_tutorial_trains(mer, monkeypatch, tmp_path, world):
    text = (ROOT / "docs" / "tutorial-head.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    monkeypatch.chdir(tmp_path)
    Path("mean_head.py").write_text(code)
    (words,) = _commands(text)
    place = ["--data", world.data, "--runs", tmp_path / "runs", "--set", "epochs=3"]
    answer = mer(*("one" if word == "a" else word for word in words), *place)
    assert answer.code == 0, answer.err
    assert json.loads(next((tmp_path / "runs").glob("*/bundle/bundle.json")).read_text())["head"]["name"] == "mean"


def test_predictions_follow_the_published_schema(mer, world, tmp_path):
    schema = json.loads((ROOT / "docs/schemas/prediction.schema.json").read_text())
    listed = tmp_path / "list.jsonl"
    listed.write_text('{"id": "a", "text": "I am so happy"}\n{"id": "b", "video": "absent.mp4"}\n')
    answer = mer("predict", "--list", listed, "--format", "jsonl", "--explain")
    rows = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 6
    assert [row["id"] for row in rows] == ["a", "b"]
    for row in rows:
        jsonschema.validate(row, schema)
    assert rows[0]["error"] is None
    assert rows[1]["label"] is None


def _section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", CORPORA, re.M | re.DOTALL)[1]


def _facts():
    from mercli import presets

    folder = ROOT / "mercli/corpora/facts"
    return {path.stem: presets.parse(path.read_text(), path.name) for path in sorted(folder.glob("*.yaml"))}


def test_every_built_in_corpus_has_its_section_in_order():
    from mercli import registry

    names = [spec.name for spec in registry.specs("corpora") if spec.origin.startswith("mercli:")]
    one_by_one = CORPORA.split("\n# The corpora one by one\n")[1]
    assert re.findall(r"^## (\w+)$", one_by_one, re.M) == sorted(names)
    assert len(names) >= 20
    for name in names:
        assert f"](#{name})" in CORPORA.split("\n## ")[0]
        for option in registry.get("corpora", name).options():
            assert f"`{option}`" in _section(name), f"{name}: {option}"


def test_every_release_says_how_to_get_it_and_what_is_read():
    found = _facts()
    assert len(found) >= 14
    for name, told in found.items():
        assert len(told["get"]) > 60, name
        assert told["read"], name
        section = _section(name)
        for heading in ("**Get it.**", "Licence:", "**What is read.**", "**Options", "**Splits.**", "**Counts**"):
            assert heading in section, f"{name}: {heading}"
        for fold in told.get("folds", ()):
            assert f"`{fold}:1` to `{fold}:" in section
        assert section.count("(authors' list)") == (4 if name == "cremad" else 0)


def test_every_policy_and_each_of_its_choices_is_told():
    from mercli import labels

    for name, choices in labels.POLICIES.items():
        (row,) = re.findall(rf"^\| `{name}` \| `{labels.DEFAULT_POLICY[name]}`: .*$", CORPORA.split("\n# The")[0], re.M)
        assert all(f"`{choice}`: " in row for choice in choices), row


def test_the_table_of_classes_has_every_label_once():
    from mercli import registry

    head, rows = CORPORA.split("\n# The")[0], 0
    for name in _facts():
        (row,) = [line for line in head.splitlines() if line.startswith(f"| `{name}` | ") and line.count("|") == 10]
        cells = [
            cell for column in row.strip("|").split("|")[1:] for cell in column.strip().replace("*", "").split(", ")
        ]
        own = registry.build("corpora", name).scheme.names
        assert sorted(filter(None, cells)) == sorted(own), name
        rows += 1
    assert rows >= 14
    assert "| `iemocap` | neu | hap, *exc* | sad | ang | sur | fea | dis | *fru*, oth, xxx |" in head


def test_counts_are_those_of_the_release_and_blank_where_unknown():
    assert "| `csv` | test | 1256 | 402 | 281 | 345 | 208 | 68 | 50 | 2610 |" in _section("meld")
    assert re.search(r"^\| `release` \| test \|(?:  \|){8} 5427 \|$", _section("goemotions"), re.M)


def test_prose_of_the_page_of_corpora_stays_within_its_width():
    text = re.sub(r"```.*?```", "", CORPORA, flags=re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []


FILES = {"annotations": "annotations.txt", "csv": "clips.csv", "scp": "session5_train.scp", "table": "features.csv"}


@pytest.mark.parametrize("name", [*FILES, "folder"])
def test_the_form_shown_for_a_list_is_read(name, tmp_path):
    from mercli import registry
    from mercli.types import Segment

    section = _section(name)
    shown = re.search(r"```text\n(.*?)```", section, re.DOTALL)[1]
    for medium in re.findall(r"[\w/-]+\.(?:mp4|wav|png)", shown):
        (tmp_path / medium).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / medium).write_bytes(b"x" * 2000)
    if name in FILES:
        assert f"`{FILES[name]}`" in section
        (tmp_path / FILES[name]).write_text(shown)
    ((_, _, resolved),) = _prepares(section)
    options = {key: value for key, value in resolved.corpus.options.items() if key != "base"}
    items = list(registry.build("corpora", name, options=options).read(tmp_path, "mine"))
    segments = [item for item in items if isinstance(item, Segment)]
    header = name in ("csv", "table")
    assert len(segments) == len(shown.splitlines()) - header, items
    assert not any(segment.masked for segment in segments)


@pytest.fixture(scope="module")
def manifest_schema():
    schema = json.loads((ROOT / "docs/schemas/manifest.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return {
        name: jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})
        for name in ("clip", "segment", "excluded", "corpus")
    }


def _follows(schema, folder, most=500):
    """Check a manifest's rows and card; return how many rows of each kind were looked at."""
    from mercli import presets

    schema["corpus"].validate(presets.parse((folder / "corpus.yaml").read_text(), "corpus.yaml"))
    counts = {}
    for kind in ("clip", "segment", "excluded"):
        path = folder / ("excluded.jsonl" if kind == "excluded" else f"{kind}s.jsonl")
        rows = [json.loads(line) for line in path.read_text().splitlines()[:most]]
        for row in rows:
            schema[kind].validate(row)
        counts[kind] = len(rows)
    return counts


def test_made_corpora_of_the_page_are_made_and_follow_the_schema(mer, manifest_schema, tmp_path):
    commands = [words for words in _commands(CORPORA) if any("/tmp/mer" in word for word in words)]
    assert len(commands) == 4
    for words in commands:
        answer = mer(*(word.replace("/tmp/mer", str(tmp_path)) for word in words))
        assert answer.code == 0, (words, answer.err)
    folders = sorted(path.parent for path in tmp_path.glob("data/*/corpus.yaml"))
    assert [folder.name for folder in folders] == ["cremad", "iemocap", "meld"]
    for folder in folders:
        assert _follows(manifest_schema, folder)["segment"] >= 35


def test_the_manifests_of_the_made_world_follow_the_schema(manifest_schema, world):
    for name in world.corpora:
        assert _follows(manifest_schema, world.data / name)["clip"] == 35


def test_a_manifest_of_meld_follows_the_schema(mer, manifest_schema, shared_data, tmp_path):
    answer = mer(
        "prepare", "--corpus", "meld", "--root", shared_data / "meld/official", "--data", tmp_path, "--no-probe"
    )
    assert answer.code == 0, answer.err
    assert _follows(manifest_schema, tmp_path / "meld")["segment"] == 500


def test_rows_with_every_field_follow_the_schema(manifest_schema, tmp_path):
    from mercli.contracts import Excluded
    from mercli.corpora import manifest
    from mercli.types import Clip, LabelScheme, Segment, Word

    words = (Word("so", 0.0, 0.5), Word("glad", 0.5, 1.0, 0.9))
    labels = {"own": "happy", "value": 0.5, "several": {"happy": 1.0}}
    about = ("left", "ann", "f", "d1", 0, "so glad", "whisper", 0.8, "en", words, {"face": "dark"}, labels, "train")
    items = [
        Clip("a", "one", "a.mp4", "a.wav", "a.png", 1.0, "0" * 64, {"seconds": 1.0}),
        Segment("one/a/0", "a", 0.0, 1.0, *about),
        Excluded("b", "no label"),
    ]
    card = {"name": "one", "reader": "csv", "version": "1", "options": {}, "root": "x", "licence": None}
    scheme = LabelScheme("own", "one-of", ("happy",))
    manifest.write(tmp_path, {**card, "scheme": scheme, "separates": (), "known": (), "folds": {}}, items)
    assert _follows(manifest_schema, tmp_path) == {"clip": 1, "segment": 1, "excluded": 1}
    written = json.loads((tmp_path / "segments.jsonl").read_text())
    schema = json.loads((ROOT / "docs/schemas/manifest.schema.json").read_text())
    assert list(written) == list(schema["$defs"]["segment"]["properties"])


def test_the_schema_refuses_what_is_no_row(manifest_schema):
    examples = [
        json.loads(line)
        for block in re.findall(r"```json\n(.*?)```", CORPORA, re.DOTALL)
        for line in block.splitlines()
    ]
    assert len(examples) == 3
    for kind, row in zip(("clip", "segment", "excluded"), examples, strict=True):
        assert manifest_schema[kind].is_valid(row), kind
        assert not manifest_schema[kind].is_valid({**row, "emotion": "happy"})
        assert not manifest_schema[kind].is_valid({key: value for key, value in row.items() if key != "id"})
    assert not manifest_schema["clip"].is_valid({**examples[0], "audio": None})
    assert not manifest_schema["corpus"].is_valid({"name": "x"})
